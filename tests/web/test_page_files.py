"""Shared files in a real browser: opened, previewed, expired, by the hundred; nothing in them ever runs."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import jwt
import pytest
from playwright.sync_api import expect

from tests.clients import ChatClient
from tests.server.uploads.uploading import upload
from tests.web.chat_page import enter, expect_picture, line, picture, received, say

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.web.fixtures import OpenTab

SECRET = "a secret of at least 32 bytes for HS256"
SCRIPT = "<img src=x onerror=\"fetch('/ran')\"><script>window.ran = 1; fetch('/ran')</script>"


def nothing_ran(server: RunningServer) -> None:
    assert server.samples()['chat_http_requests_total{code="404",path="other"}'] == 0


def test_two_people_share_a_picture_a_text_and_a_page(server: RunningServer, open_tab: OpenTab, tmp_path: Path) -> None:
    text = "Zwölf Büffel\n<b>not bold</b>\n" * 10
    hostile = "<img src=x>.html"
    (tmp_path / "bison.png").write_bytes(picture())
    (tmp_path / "notes.txt").write_text(text)
    (tmp_path / hostile).write_text(SCRIPT)
    ann, bob = enter(open_tab(server), "ann"), enter(open_tab(server, width=390, height=844, dark=True), "bob")
    ann.set_input_files("#file", [tmp_path / name for name in ("bison.png", "notes.txt", hostile)])
    for page in (ann, bob):
        expect(page.locator("#messages .file bdi")).to_have_text(["bison.png", "notes.txt", hostile])
        expect_picture(page, "bison.png")
        line(page, "notes.txt").get_by_role("button", name="Show").click()
        expect(line(page, "notes.txt").locator("pre")).to_have_text(text)
        expect(line(page, hostile).get_by_role("button")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(ann.locator("#uploads li")).to_have_count(0)
    with bob.expect_popup() as opened:
        line(bob, "bison.png").get_by_role("link").click()
    opened.value.wait_for_function("document.images[0]?.naturalWidth === 32")
    with bob.expect_popup() as opened:
        line(bob, "notes.txt").get_by_role("link").click()
    expect(opened.value.locator("body")).to_have_text(text)
    with bob.expect_download() as saved:
        line(bob, hostile).get_by_role("link").click()
    assert saved.value.path().read_text() == SCRIPT
    assert saved.value.suggested_filename == "_img src=x_.html"
    answer = bob.request.get(f"{server.http}/{line(bob, hostile).get_by_role('link').get_attribute('href')}")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    for page in (ann, bob):
        assert page.locator("img[src=x]").count() == 0
        assert page.evaluate("window.ran") is None
    nothing_ran(server)


@pytest.mark.parametrize("mime_type", ["text/plain", "image/png", "text/html", "image/svg+xml"])
def test_a_page_of_any_type_runs_nothing_when_it_is_opened(
    server: RunningServer, open_tab: OpenTab, mime_type: str
) -> None:
    with ChatClient(server.url) as eve:
        eve.expect("connected")
        file_id = upload(eve, "a.html", SCRIPT.encode(), mime_type=mime_type)["uploadId"]
    page = open_tab(server)
    # The address as a link and as a frame; a frame of another origin could not be looked into.
    page.evaluate(
        """(address) => {
            const link = Object.assign(document.createElement("a"), {href: address, target: "_blank", id: "link"});
            document.body.append(link);
        }""",
        f"files/{file_id}",
    )
    if mime_type in ("text/html", "image/svg+xml"):
        with page.expect_download():
            page.evaluate("document.getElementById('link').click()")
    else:
        with page.expect_popup() as opened:
            page.evaluate("document.getElementById('link').click()")
        opened.value.wait_for_load_state()
        assert opened.value.evaluate("[document.contentType, window.ran]") == [mime_type, None]
        assert opened.value.locator("script").count() == 0
    nothing_ran(server)


def test_a_picture_that_is_none_is_said_to_be_none(server: RunningServer, open_tab: OpenTab) -> None:
    ann = enter(open_tab(server), "ann")
    with ChatClient(server.url) as eve:
        eve.send("joinRoom", room="lobby")
        eve.until_pong()
        eve.received.clear()
        eve.send("fileStart", name="fake.png", size=0, mimeType="image/png")
        eve.send("fileEnd")
        expect(line(ann, "fake.png").locator(".preview")).to_have_text("This is not a picture.")


def test_an_expired_file_is_said_to_have_expired(
    start: Callable[..., RunningServer], open_tab: OpenTab, tmp_path: Path
) -> None:
    server = start("--upload-keep", "7200")
    (tmp_path / "notes.txt").write_text("soon gone")
    ann = enter(open_tab(server), "ann")
    ann.set_input_files("#file", tmp_path / "notes.txt")
    expect(line(ann, "notes.txt")).to_have_count(1)
    (stored,) = [path for path in (tmp_path / "uploads").iterdir() if path.suffix != ".json"]
    os.utime(stored, (time.time() - 7201,) * 2)
    gone = "There is no such file. It may have expired: this server keeps files for 2 hours."
    line(ann, "notes.txt").get_by_role("button", name="Show").click()
    expect(line(ann, "notes.txt").locator(".preview")).to_have_text(gone)
    expect(line(ann, "notes.txt").get_by_role("button")).to_have_text("Try again")
    with ann.expect_popup() as opened:
        line(ann, "notes.txt").get_by_role("link").click()
    expect(opened.value.locator("body")).to_have_text(gone)
    os.utime(stored)
    line(ann, "notes.txt").get_by_role("button", name="Try again").click()
    expect(line(ann, "notes.txt").locator("pre")).to_have_text("soon gone")


def test_a_page_with_a_token_opens_files_with_it(
    start: Callable[..., RunningServer], open_tab: OpenTab, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "bison.png").write_bytes(picture())
    server = start("--jwt-secret-file", str(tmp_path / "secret"))
    token = jwt.encode({"sub": "ann"}, SECRET, algorithm="HS256")
    ann = open_tab(server, f"/?token={token}")
    expect(ann.locator("#where")).to_have_text("lobby")
    ann.set_input_files("#file", tmp_path / "bison.png")
    expect_picture(ann, "bison.png")


def test_a_hundred_files_leave_the_page_usable(server: RunningServer, open_tab: OpenTab, tmp_path: Path) -> None:
    names = [f"{number:03}.{'png' if number % 2 else 'txt'}" for number in range(100)]
    for name in names:
        (tmp_path / name).write_bytes(picture() if name.endswith("png") else b"words")
    ann, bob = enter(open_tab(server, width=390, height=844), "ann"), enter(open_tab(server), "bob")
    ann.set_input_files("#file", [tmp_path / name for name in names])
    expect(ann.locator("#uploading")).to_contain_text("files are waiting or being sent")
    expect(ann.locator("#send")).to_be_in_viewport(ratio=1)
    say(ann, "many files")
    received(bob, "many files")
    for page in (ann, bob):
        expect(page.locator("#messages .file bdi")).to_have_text(names)
        expect(page.locator("#messages > li:not(.notice)")).to_have_count(101)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(ann.locator("#uploads li")).to_have_count(0)
    expect(ann.locator("#uploading")).to_be_hidden()
    expect_picture(bob, names[-1])
    assert (
        bob.evaluate("(({scrollHeight, scrollTop, clientHeight}) => scrollHeight - scrollTop - clientHeight)(log)") < 60
    )
    say(bob, "seen")
    received(ann, "seen")


def test_all_waiting_uploads_can_be_cancelled(server: RunningServer, open_tab: OpenTab, tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.bin").write_bytes(os.urandom(20_000_000))
    ann = enter(open_tab(server), "ann")
    # A click from here could come after the uploads, or miss: the button moves whenever one ends.
    ann.evaluate(
        """() => new MutationObserver((_, observer) => {
          observer.disconnect();
          document.querySelector("#uploading button").click();
        }).observe(document.querySelector("#uploading"), { attributeFilter: ["hidden"] })"""
    )
    ann.set_input_files("#file", [tmp_path / f"{number}.bin" for number in range(5)])
    expect(ann.locator("#uploads li")).to_have_count(0)
    expect(ann.locator("#uploading")).to_be_hidden()
    assert ann.locator("#messages .file").count() < 5
