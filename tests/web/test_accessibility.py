"""The pages can be used with a keyboard alone, and axe finds no accessibility problem."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.clients import ChatClient
from tests.server.uploads.uploading import upload
from tests.web.chat_page import enter, line, picture, say

if TYPE_CHECKING:
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.web.fixtures import OpenTab


def test_every_control_can_be_reached_with_the_keyboard(server: RunningServer, open_tab: OpenTab) -> None:
    ann = enter(open_tab(server), "ann")
    ann.evaluate("document.activeElement.blur(); document.body.focus()")
    ann.reload()
    expect(ann.locator("#where")).to_have_text("lobby")
    expect(ann.locator("#text")).to_be_focused()
    ann.keyboard.type("typed")
    ann.keyboard.press("Enter")
    expect(ann.locator("#messages .mine .words")).to_have_text("typed")
    reached = set()
    for _ in range(20):
        ann.keyboard.press("Shift+Tab")
        reached.add(
            ann.evaluate(
                "(({id, ariaLabel, textContent}) => id || ariaLabel || textContent.trim())(document.activeElement)"
            )
        )
    assert {"attach", "log", "room", "name", "Full size", "Skip to the message field"} <= reached


@pytest.mark.parametrize(
    ("path", "width", "dark"), [("/", 1280, False), ("/", 380, True), ("/live", 1280, True), ("/live", 380, False)]
)
def test_axe_finds_no_accessibility_problems(
    server: RunningServer, open_tab: OpenTab, node_home: Path, path: str, width: int, *, dark: bool
) -> None:
    page = open_tab(server, path, width=width, dark=dark)
    if path == "/":
        enter(page, "ann")
        with ChatClient(server.url) as bob:
            bob.send("setUsername", username="bob")
            bob.send("joinRoom", room="lobby")
            bob.until_pong()
            bob.send("chatMessage", text="hello " * 300)
            for name, data, mime_type in (("b.png", picture(), "image/png"), ("b.txt", b"words", "text/plain")):
                upload(bob, name, data, mime_type=mime_type)
                bob.until_pong()
            line(page, "b.txt").get_by_role("button").click()
            expect(line(page, "b.txt").locator("pre")).to_have_text("words")
            bob.send("typing")
            expect(page.locator("#messages .words")).to_have_count(1)
            bob.until_pong()
        say(page, "hello")
        page.evaluate("document.getElementById('drawer').click()")
    page.evaluate((node_home / "node_modules" / "axe-core" / "axe.min.js").read_text())
    found = page.evaluate("axe.run(document)")
    assert found["passes"]
    problems = [(rule["id"], rule["impact"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]]
    assert problems == [], json.dumps(problems, indent=1)
