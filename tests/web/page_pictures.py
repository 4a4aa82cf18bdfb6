"""Make the pictures of the chat page and the live page in server/web/pictures, with 400 users of Locust on the server.

`.venv/bin/python -m tests.web.page_pictures` takes about two minutes, on an idle machine. Look at the pictures before
they are committed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from playwright.sync_api import expect, sync_playwright

from tests.processes import start_server
from tests.tables import ROOT
from tests.web.chat_page import enter, received, say
from tests.web.fixtures import CHROMIUM, FLAGS, TIMEOUT_MS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.processes import RunningServer

FOLDER: Final = ROOT / "server" / "web" / "pictures"
SHARED: Final = ROOT / "capacity" / "example-report.png"
LOAD: Final = (
    *("--headless", "-u", "400", "-r", "20", "-t", "90s", "--room-size", "40", "--message-rate", "0.5"),
    *("--storm-period", "30", "ChattingUser", "ReconnectStormUser"),
)
RAMP_MS: Final = 75_000
"""Time from the start of Locust to the pictures: the charts of the pages show two minutes."""


@dataclass(frozen=True, slots=True)
class View:
    """A picture: the path of its page, and the size and the colours of the window."""

    path: str
    width: int
    height: int
    dark: bool = False


VIEWS: Final = {
    "chat-1280": View("/", 1280, 720),
    "chat-380": View("/", 380, 740, dark=True),
    "live-1280": View("/live", 1280, 800),
    "live-380": View("/live", 380, 1180),
}


def open_page(browser: Browser, url: str, view: View) -> Page:
    """Open the page of a picture in a browser context of its own."""
    page = browser.new_page(
        viewport={"width": view.width, "height": view.height}, color_scheme="dark" if view.dark else "light"
    )
    page.goto(url + view.path)
    return page


def chat(ann: Page, ben: Page, *others: Page) -> None:
    """Let two people talk, and share a picture; the others read."""
    conversation = [
        (ann, "Morning! Has the load test started?"),
        (ben, "Yes, 400 users. You can see them in the strip at the top."),
        (ann, "The lobby does not notice any of it. What did yesterday's capacity run say?"),
    ]
    for page, text in conversation:
        say(page, text)
        for other in (ann, ben, *others):
            if other is not page:
                received(other, text)
    ben.locator("#file").set_input_files(SHARED)
    for page in (ann, *others):
        expect(page.locator("#messages .file img")).to_have_count(1)


def take_pictures(browser: Browser, server: RunningServer, log: IO[str]) -> dict[str, bytes]:
    """Return the pictures by name."""
    pages = {name: open_page(browser, server.http, view) for name, view in VIEWS.items()}
    ann, phone = enter(pages["chat-1280"], "Ann"), enter(pages["chat-380"], "Cleo")
    ben = enter(open_page(browser, server.http, View("/", 1000, 700)), "Ben")
    command = [sys.executable, "-m", "locust", "-f", "loadtest", "--host", server.url, *LOAD]
    with subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log) as users:
        chat(ann, ben, phone)
        ben.wait_for_timeout(RAMP_MS)
        if users.poll() is not None:
            raise RuntimeError(f"Locust ended early; its log is in {log.name}")
        ben.locator("#text").press_sequentially("It held")
        for page in (ann, phone):
            expect(page.locator("#typing")).to_contain_text("Ben")
        pictures = {name: page.screenshot() for name, page in pages.items()}
        users.terminate()
    return pictures


def main() -> None:
    """Write the pictures."""
    expect.set_options(timeout=TIMEOUT_MS)
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        server = start_server(folder=Path(place))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium") or CHROMIUM, args=list(FLAGS))
        with (Path(place) / "locust.log").open("w") as log:
            pictures = take_pictures(browser, server, log)
        for name, picture in pictures.items():
            (FOLDER / f"{name}.png").write_bytes(picture)
        browser.close()
        server.stop()


if __name__ == "__main__":
    main()
