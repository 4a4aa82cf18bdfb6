"""A room keeps its messages while the tab lives, with marks of what was not read; errors of fields vanish."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.web.chat_page import enter, received, say, words

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.processes import RunningServer
    from tests.web.fixtures import OpenTab

HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def go(page: Page, room: str) -> None:
    page.fill("#room", room)
    page.press("#room", "Enter")
    expect(page.locator("#where")).to_have_text(room)


def test_a_room_keeps_its_messages_and_says_which_are_missing(server: RunningServer, open_tab: OpenTab) -> None:
    ann, bob = enter(open_tab(server), "ann"), enter(open_tab(server), "bob")
    say(bob, "first")
    received(ann, "first")
    say(ann, "second")
    received(bob, "second")
    go(ann, "barn")
    assert words(ann) == []
    say(ann, "alone")
    expect(ann.locator("#messages .mine .words")).to_have_text(["alone"])
    expect(bob.locator("#here")).to_have_text("only you")
    say(bob, "missed")
    ann.get_by_role("button", name="lobby").click()
    expect(ann.locator("#messages .notice").last).to_have_text(
        re.compile(r"^You were in another room (at|from) .+\. The server keeps no messages of that time\.$")
    )
    assert words(ann) == ["first", "second"]
    expect(bob.locator("#here")).to_have_text("2 here")
    say(bob, "third")
    received(ann, "third")
    go(ann, "  barn ")  # another spelling of the same room
    assert words(ann) == ["alone"]
    expect(ann.locator(".mine[data-status=confirmed]")).to_have_count(1)


def test_unread_messages_are_marked_in_the_room_and_in_the_list_of_rooms(
    server: RunningServer, open_tab: OpenTab
) -> None:
    ann, bob = enter(open_tab(server), "ann"), enter(open_tab(server), "bob")
    for number in range(40):
        say(bob, f"line {number}")
    received(ann, "line 39")
    expect(ann.locator("#newer")).to_be_hidden()
    ann.evaluate("log.scrollTop = 0")
    ann.wait_for_function("log.scrollTop === 0")
    say(bob, "below")
    say(bob, "further below")
    expect(ann.locator("#newer")).to_have_text("2 new ↓")
    expect(ann.locator(".unread-mark + li.first .words")).to_have_text("below")
    go(ann, "barn")
    lobby = ann.get_by_role("button", name="lobby")
    expect(lobby.locator("mark")).to_have_text("2 new")
    expect(ann.locator("#newer")).to_be_hidden()
    lobby.click()
    expect(ann.locator("#where")).to_have_text("lobby")
    assert ann.evaluate("log.scrollTop") == 0, "the place where the room was left"
    ann.click("#newer")
    expect(ann.locator("#newer")).to_be_hidden()
    go(ann, "barn")
    expect(lobby.locator("mark")).to_be_hidden()


def test_messages_of_a_hidden_tab_are_marked_and_counted_in_the_title(server: RunningServer, open_tab: OpenTab) -> None:
    ann, bob = enter(open_tab(server), "ann"), enter(open_tab(server), "bob")
    say(bob, "seen")
    received(ann, "seen")
    ann.evaluate(HIDE, True)
    say(bob, "not seen")
    say(bob, "not seen either")
    received(ann, "not seen either")
    expect(ann).to_have_title("(2) lobby - Stampede")
    expect(ann.locator(".unread-mark + li .words")).to_have_text("not seen")
    expect(ann.locator("#newer")).to_have_text("2 new ↓")
    ann.evaluate(HIDE, False)
    expect(ann).to_have_title("lobby - Stampede")
    expect(ann.locator("#newer")).to_be_hidden()
    expect(ann.locator(".unread-mark")).to_have_count(1)  # still shows where the new ones begin
    ann.evaluate(HIDE, True)
    say(bob, "later")
    expect(ann.locator(".unread-mark + li .words")).to_have_text("later")


def test_the_errors_of_name_and_room_vanish_once_they_no_longer_hold(server: RunningServer, open_tab: OpenTab) -> None:
    ann = enter(open_tab(server), "ann")
    for field, error, problem in (
        ("#name", "#name-error", "A username needs a visible character."),
        ("#room", "#room-error", "A room name needs a visible character."),
    ):
        ann.fill(field, "\u3164")
        ann.press(field, "Enter")
        expect(ann.locator(error)).to_have_text(problem)
        expect(ann.locator(field)).to_have_attribute("aria-invalid", "true")
        ann.fill(field, "\u3164x")
        expect(ann.locator(error)).to_have_text(re.compile("has no invisible"))
        ann.fill(field, "x")
        expect(ann.locator(error)).to_be_empty()
        expect(ann.locator(field)).not_to_have_attribute("aria-invalid", "true")
    expect(ann.locator("#where")).to_have_text("lobby")


@pytest.mark.parametrize("fragment", ["#%E3%85%A4", "#" + "x" * 200, "#%"])
def test_an_address_with_an_impossible_room_leads_to_the_lobby(
    server: RunningServer, open_tab: OpenTab, fragment: str
) -> None:
    expect(open_tab(server, f"/{fragment}").locator("#where")).to_have_text("lobby")


def test_a_phone_shows_whole_sparklines_and_a_label_for_the_name(server: RunningServer, open_tab: OpenTab) -> None:
    ann = enter(open_tab(server, width=390, height=844), "ann")
    strip = ann.locator(".strip").bounding_box()
    assert strip is not None
    for canvas in ann.locator(".strip dl canvas").all():
        box = canvas.bounding_box()
        assert box is not None
        assert box["height"] > 10
        assert strip["x"] <= box["x"] < box["x"] + box["width"] <= strip["x"] + strip["width"]
        assert box["y"] + box["height"] < strip["y"] + strip["height"]
    for cell in ann.locator(".strip dl > div").all():
        assert cell.evaluate("cell => cell.scrollWidth <= cell.clientWidth && cell.scrollHeight <= cell.clientHeight")
    ann.click("#drawer")
    expect(ann.get_by_text("You are")).to_be_in_viewport(ratio=1)
    expect(ann.get_by_label("You are")).to_have_value("ann")
    assert ann.evaluate("document.documentElement.scrollWidth <= innerWidth")
