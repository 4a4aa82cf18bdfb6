"""Locust's page in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.stampede.fixtures import TIMEOUT

if TYPE_CHECKING:
    from playwright.sync_api import Page


def expect_settled(page: Page) -> None:
    """Wait until a page that was just opened, during or after a run, no longer moves.

    The line with the verdict moves all that is below it, and the selected tab is scrolled into view. A button that
    moves between press and release is not clicked.
    """
    expect(page.get_by_role("status").filter(has_text="Verdict")).to_be_visible(timeout=TIMEOUT * 1000)
    expect(page.get_by_role("tab", selected=True)).to_be_in_viewport(ratio=0.9, timeout=TIMEOUT * 1000)
