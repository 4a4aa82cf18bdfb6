"""Helpers for tests of the chat page: enter a room, send, share a picture, and wait for the page's content."""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


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


def picture(width: int = 32, height: int = 20) -> bytes:
    """Return a PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + b"\xb4\x43\x0f" * width
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(row * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def line(page: Page, name: str) -> Locator:
    """Return the line of a shared file."""
    return page.locator("#messages .file", has=page.get_by_text(name, exact=True))


def expect_picture(page: Page, name: str) -> None:
    """Wait until the page shows a picture of `picture()`."""
    shown = line(page, name).locator("img")
    expect(shown).to_have_count(1)
    page.wait_for_function("(picture) => picture.naturalWidth === 32", arg=shown.element_handle())
