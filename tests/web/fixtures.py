"""A browser, and what npm has for tests; pulled in by tests/conftest.py through `pytest_plugins`."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from playwright.sync_api import sync_playwright

from benchmarks.node_packages import packages
from benchmarks.processes import BenchmarkError
from tests.metrics.fixtures import do_without

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Page

NODE = Path(__file__).parent / "node"
CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
)
PATIENCE_MS = 60_000
LOST = re.compile(r"WebSocket connection to 'ws://\S+' failed")
"""What the browser itself logs of a connection that cannot be made; no page can keep it from doing so."""


@pytest.fixture(scope="session")
def node_home() -> Path:
    """Folder in the cache with the npm packages of the browser side's tests; without Node tests do without."""
    try:
        return packages(NODE)
    except BenchmarkError as problem:
        do_without(str(problem))


@pytest.fixture(scope="module")  # longer, and its event loop would stand in the way of other tests' own
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    found = shutil.which("chromium") or CHROMIUM
    if not Path(found).exists():
        do_without("chromium not found: install it (Debian: apt-get install --no-install-recommends chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


class Site(Protocol):
    """Where a page is: `http` for pages, `url` for its WebSockets."""

    @property
    def http(self) -> str: ...
    @property
    def url(self) -> str: ...


class OpenTab(Protocol):
    """Open a page of a server in a window of its own."""

    def __call__(
        self,
        server: Site,
        path: str = "/",
        *,
        width: int = 1280,
        height: int = 800,
        dark: bool = False,
        script: str = "",
        refused: str = "",
    ) -> Page:
        """Return the page once it has loaded.

        Args:
            server: where it is.
            path: below that.
            width: of the window, as `height`.
            height: in pixels.
            dark: whether the person likes it dark.
            script: run before the page's own.
            refused: reason with which every WebSocket is closed, as a server does that refuses its token.
        """


@pytest.fixture
def open_tab(chromium: Browser) -> Iterator[OpenTab]:
    """Open tabs, each a person of its own; whatever a page complains of fails the test, the policy's reports too."""
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not LOST.match(message.text):
            complaints.append(message.text)

    with ExitStack() as contexts:

        def open_one(
            server: Site,
            path: str = "/",
            *,
            width: int = 1280,
            height: int = 800,
            dark: bool = False,
            script: str = "",
            refused: str = "",
        ) -> Page:
            context = contexts.enter_context(
                chromium.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme="dark" if dark else "light",
                    ignore_https_errors=True,  # certificates of the tests' own
                )
            )
            context.set_default_timeout(PATIENCE_MS)
            if script:
                context.add_init_script(script)
            if refused:
                context.route_web_socket(re.compile(""), lambda socket: socket.close(code=1008, reason=refused))
            page = context.new_page()
            page.on("console", note)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", lambda request: _hold_to(server, request.url, complaints))
            page.goto(server.http + path)
            return page

        yield open_one
    assert complaints == []


def _hold_to(server: Site, url: str, complaints: list[str]) -> None:
    if not url.startswith((server.http, server.url, "data:")):
        complaints.append(f"a request to somewhere else: {url}")
