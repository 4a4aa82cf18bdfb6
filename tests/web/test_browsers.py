"""Browser behaviour that the pages must handle: blocked storage, text composition, pasting, silent connections."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import jwt
import pytest
from playwright.sync_api import expect

from tests.web.chat_page import enter, received, say
from tests.web.silent_link import SilentLink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.processes import RunningServer
    from tests.web.fixtures import OpenTab

SECRET = "a secret of at least thirty-two bytes"
BLOCKED = """
for (const name of ["sessionStorage", "localStorage"]) {
    Object.defineProperty(window, name, {get() { throw new DOMException("Access is denied", "SecurityError"); }});
}
"""
RATE_LIMITED = """
history.pushState = () => { throw new DOMException("Too many calls", "SecurityError"); };
"""
PASTE = """([texts, files]) => {
    const data = new DataTransfer();
    for (const [type, text] of Object.entries(texts)) data.setData(type, text);
    for (const [name, type] of files) data.items.add(new File(["content"], name, {type}));
    const event = new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true});
    document.getElementById("text").dispatchEvent(event);
    return event.defaultPrevented;
}"""
PICTURE = ["image.png", "image/png"]


def state(page: Page) -> str:
    return page.locator("#connection").get_attribute("data-state") or ""


@pytest.mark.parametrize("script", [BLOCKED, RATE_LIMITED], ids=["storage", "history"])
def test_the_page_works_without_storage_and_history(script: str, server: RunningServer, open_tab: OpenTab) -> None:
    ann, bob = enter(open_tab(server, script=script), "ann"), enter(open_tab(server), "bob")
    say(ann, "no storage here")
    received(bob, "no storage here")
    ann.fill("#room", "barn")
    ann.press("#room", "Enter")
    expect(ann.locator("#where")).to_have_text("barn")


@pytest.mark.parametrize(
    ("texts", "files", "shared"),
    [
        ({"text/plain": "a\tb\n1\t2", "text/html": "<table></table>"}, [PICTURE], []),
        ({"text/plain": "words"}, [PICTURE], []),
        ({"text/plain": "words"}, [], []),
        ({}, [PICTURE], ["image.png"]),
        ({"text/html": "<img src='x'>"}, [PICTURE], ["image.png"]),
        ({"text/plain": "a.txt"}, [["a.txt", "text/plain"]], ["a.txt"]),
        ({"text/plain": "/srv/ann/a.txt\n/srv/ann/b.txt"}, [["a.txt", ""], ["b.txt", ""]], ["a.txt", "b.txt"]),
    ],
    ids=["spreadsheet", "word processor", "text", "screenshot", "picture of a page", "file", "two files"],
)
def test_a_paste_shares_files_unless_it_is_meant_as_text(
    texts: dict[str, str], files: list[list[str]], shared: list[str], server: RunningServer, open_tab: OpenTab
) -> None:
    ann = enter(open_tab(server), "ann")
    assert ann.evaluate(PASTE, [texts, files]) is bool(shared)
    ann.evaluate(PASTE, [{}, [["last.bin", ""]]])  # uploads keep their order
    for name in [*shared, "last.bin"]:
        expect(ann.locator("#messages .file", has_text=f"{name}7 bytes")).to_have_count(1)
    expect(ann.locator("#messages .file")).to_have_count(len(shared) + 1)


def test_the_enter_that_ends_a_composition_sends_nothing(server: RunningServer, open_tab: OpenTab) -> None:
    ann = enter(open_tab(server), "ann")
    press = """(options) => document.getElementById("text").dispatchEvent(
        new KeyboardEvent("keydown", {key: "Enter", bubbles: true, cancelable: true, ...options}))"""
    ann.fill("#text", "nihon")
    ann.evaluate(press, {"keyCode": 229})  # Safari: the composition ended just before
    ann.evaluate(press, {"isComposing": True, "keyCode": 229})
    ann.evaluate(press, {"isComposing": True})
    expect(ann.locator("#text")).to_have_value("nihon")
    ann.evaluate(press, {"keyCode": 13})
    expect(ann.locator("#text")).to_have_value("")
    expect(ann.locator("#messages .mine .words")).to_have_text(["nihon"])


@pytest.mark.parametrize("path", ["/", "/live"])
def test_a_silent_connection_is_detected_and_replaced(path: str, server: RunningServer, open_tab: OpenTab) -> None:
    with SilentLink(server.url.removeprefix("ws://")) as link:
        page = open_tab(link, path)
        number = page.locator("[data-metric=connections] dd")
        expect(number).to_have_text("2" if path == "/" else "1")
        page.evaluate(
            """() => {
                window.shown = [];
                const note = () => window.shown.push(document.querySelector("[data-metric=connections] dd").textContent,
                    document.getElementById("connection")?.dataset.state);
                new MutationObserver(note).observe(document.body,
                    {subtree: true, childList: true, characterData: true, attributes: true});
            }"""
        )
        assert link.silence() >= 1
        page.wait_for_function("() => window.shown.includes('\N{EN DASH}')")  # the load feed, which only receives
        if path == "/":
            page.wait_for_function("() => window.shown.includes('waiting')")
            expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        expect(number).to_have_text(re.compile(r"^\d+$"))


@pytest.mark.parametrize("width", [380, 1280])
def test_a_refused_token_is_reported_and_not_tried_again(width: int, server: RunningServer, open_tab: OpenTab) -> None:
    reason = "token_expired: The token has expired"
    chat = open_tab(server, "/?token=old", width=width, refused=reason)
    expect(chat.locator("#state")).to_have_text("The token has expired")
    assert state(chat) == "closed"
    expect(chat.locator("#retry")).to_be_visible()
    live = open_tab(server, "/live?token=old", width=width, refused=reason)
    expect(live.locator("[data-feed]")).to_have_text("The token has expired")
    for page in (chat, live):
        page.evaluate("dispatchEvent(new Event('online'))")
    assert state(chat) == "closed"
    expect(live.locator("[data-feed]")).to_have_text("The token has expired")


@pytest.mark.parametrize(
    ("age", "shown"), [(None, "A token is needed"), (3600, "The token has expired"), (-3600, "connected")]
)
def test_the_page_shows_the_server_s_reason_for_refusing_a_token(
    age: int | None, shown: str, start: Callable[..., RunningServer], open_tab: OpenTab, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    server = start("--jwt-secret-file", str(tmp_path / "secret"))
    query = ""
    if age is not None:
        query = "?token=" + jwt.encode({"sub": "ann", "exp": int(time.time()) - age}, SECRET, algorithm="HS256")
    chat, live = open_tab(server, "/" + query), open_tab(server, "/live" + query)
    expect(chat.locator("#state")).to_have_text(shown)
    expect(live.locator("[data-feed]")).to_have_text("once a second" if shown == "connected" else shown)


def test_a_server_without_load_reports_is_not_reported_as_unreachable(
    start: Callable[..., RunningServer], open_tab: OpenTab
) -> None:
    server = start("--notifications", "no")
    live = open_tab(server, "/live")
    expect(live.locator("[data-feed]")).to_have_text("this server sends no load reports; trying again")
    chat = open_tab(server)
    expect(chat.locator("#connection")).to_have_attribute("data-state", "open")
