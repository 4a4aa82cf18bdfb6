"""Fixtures for the browser and the npm packages; tests/conftest.py loads them through `pytest_plugins`."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from playwright.sync_api import expect, sync_playwright

from benchmarks.node_packages import packages
from benchmarks.processes import BenchmarkError
from tests.metrics.fixtures import skip_or_fail

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
TIMEOUT_MS = 60_000
LOST = re.compile(r"WebSocket connection to 'ws://\S+' failed")
"""Logged by the browser for a failed connection; a page cannot prevent it."""

EXPIRED = re.compile(r"Failed to load resource: the server responded with a status of 404 ")
"""Logged by the browser for a shared file that has expired; a page cannot prevent it."""


@pytest.fixture(scope="session")
def node_home() -> Path:
    """Return the folder with the npm packages of the client's tests; without Node these tests are skipped."""
    try:
        return packages(NODE)
    except BenchmarkError as problem:
        skip_or_fail(str(problem))


@pytest.fixture(scope="module")  # a session-wide browser's event loop would disturb other tests
def chromium() -> Iterator[Browser]:
    """Headless Chromium from Debian."""
    found = shutil.which("chromium") or CHROMIUM
    if not Path(found).exists():
        skip_or_fail("chromium not found: install it (Debian: apt-get install --no-install-recommends chromium)")
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


class Site(Protocol):
    """Base URLs: `http` of pages, `url` of WebSockets."""

    @property
    def http(self) -> str: ...
    @property
    def url(self) -> str: ...


class OpenTab(Protocol):
    """Open a page of a server in its own browser context."""

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
            server: the server.
            path: path of the page.
            width: width of the viewport in pixels.
            height: height of the viewport in pixels.
            dark: prefer the dark colour scheme.
            script: JavaScript to run before that of the page.
            refused: close every WebSocket with this reason, like a server that refuses the token.
        """


@pytest.fixture
def open_tab(chromium: Browser) -> Iterator[OpenTab]:
    """Open tabs of different users. Errors and warnings of a page, also of its content policy, fail the test."""
    problems: list[str] = []

    def note(message: ConsoleMessage) -> None:
        is_expected = LOST.match(message.text) or (
            EXPIRED.match(message.text) and "/files/" in message.location.get("url", "")
        )
        if message.type in ("error", "warning") and not is_expected:
            problems.append(message.text)

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
                    ignore_https_errors=True,  # the tests use their own certificates
                )
            )
            context.set_default_timeout(TIMEOUT_MS)
            if script:
                context.add_init_script(script)
            if refused:
                context.route_web_socket(re.compile(""), lambda socket: socket.close(code=1008, reason=refused))
            page = context.new_page()
            page.on("console", note)
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("request", lambda request: _check_origin(server, request.url, problems))
            page.goto(server.http + path)
            return page

        yield open_one
    assert problems == []


def _check_origin(server: Site, url: str, problems: list[str]) -> None:
    if not url.startswith((server.http, server.url, "data:")):
        problems.append(f"a request to another site: {url}")
