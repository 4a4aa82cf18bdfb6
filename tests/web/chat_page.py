"""Helpers for tests of the chat page: enter a room, send, and wait for the page's content."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page


def enter(page: Page, name: str, room: str = "lobby") -> Page:
    """Set the user's name and wait until the page is in the room."""
    expect(page.locator("#where")).to_have_text(room)
    drawer = page.locator("#drawer")
    if drawer.is_visible():  # on a phone
        drawer.click()
    page.fill("#name", name)
    page.press("#name", "Enter")
    expect(page.locator("#people li").first).to_contain_text(name)
    if drawer.is_visible():
        page.keyboard.press("Escape")
        expect(page.locator("#side")).to_be_hidden()
    return page


def say(page: Page, text: str) -> None:
    page.fill("#text", text)
    page.press("#text", "Enter")


def words(page: Page) -> list[str]:
    return [text.strip() for text in page.locator("#messages .words").all_text_contents()]


def received(page: Page, text: str) -> None:
    """Wait until the page shows exactly this message of another user."""
    expect(page.locator("#messages li:not(.mine) .words", has_text=re.compile(f"^{re.escape(text)}$"))).to_have_count(1)


def record_typing(page: Page) -> None:
    """Record the typing notices: each disappears after seconds, and a slow test could miss it."""
    page.evaluate(
        """() => {
            const place = document.getElementById("typing");
            window.hints = [];
            new MutationObserver(() => {
                window.hints.push([place.querySelector("bdi")?.textContent, place.textContent]);
            }).observe(place, {childList: true});
        }"""
    )


def expect_typing(page: Page, name: str) -> None:
    """Wait until the page has shown that this user, and no other, is typing."""
    page.wait_for_function(
        "name => window.hints.some(([who, hint]) => who === name && hint === `${name} is typing…`)", arg=name
    )
