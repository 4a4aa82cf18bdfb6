"""The chat page in a real browser reconnects after a restart and a drain of the real server."""

from __future__ import annotations

import contextlib
import random
import re
import socket
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.web.chat_page import enter, received, say, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.processes import RunningServer
    from tests.web.fixtures import OpenTab


def steady_port() -> str:
    """Return a free port outside the range of outgoing connections, so that a restarted server can use it again."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", random.randrange(10_000, 30_000)))  # below the ephemeral ports
            return str(probe.getsockname()[1])


def test_pages_reconnect_after_a_restart_and_queued_messages_arrive_once(
    start: Callable[..., RunningServer], open_tab: OpenTab
) -> None:
    port = steady_port()
    first = start("--port", port)
    ann, bob = enter(open_tab(first), "ann"), enter(open_tab(first), "bob")
    expect(ann.locator("#here")).to_have_text("2 here")
    first.kill()
    for page in (ann, bob):
        expect(page.locator("#connection")).to_have_attribute("data-state", re.compile("waiting|connecting"))
    for text in ("one", "two", "three"):
        say(ann, text)
    expect(ann.locator(".mine[data-status=waiting]")).to_have_count(3)
    start("--port", port)
    for page in (ann, bob):
        expect(page.locator("#connection")).to_have_attribute("data-state", "open")
    expect(bob.locator("#here")).to_have_text("2 here")
    received(bob, "three")
    assert words(bob) == ["one", "two", "three"]
    expect(ann.locator("#messages .notice", has_text="You were not connected")).to_have_count(1)
    expect(ann.locator(".mine[data-status=waiting]")).to_have_count(0)
    expect(ann.locator(".mine[data-status=confirmed]")).to_have_count(3)
    say(bob, "back again")
    received(ann, "back again")
    assert words(bob) == ["one", "two", "three", "back again"]


def test_a_drain_is_shown_and_the_page_reconnects_after_retry_ms(
    start: Callable[..., RunningServer], open_tab: OpenTab
) -> None:
    port = steady_port()
    server = start("--port", port)
    ann = enter(open_tab(server), "ann")
    ann.evaluate(
        """() => {
            const {setTimeout} = window;
            let asked; // the latest delay
            window.setTimeout = (act, ms, ...rest) => setTimeout(act, asked = ms, ...rest);
            window.shown = [];
            new MutationObserver(() => {
                const {state} = document.getElementById("connection").dataset;
                window.shown.push([state, document.getElementById("state").textContent, performance.now(), asked]);
            }).observe(document.getElementById("connection"), {attributes: true, childList: true, subtree: true});
        }"""
    )
    server.stop()
    ann.wait_for_function("window.shown.some(([state, text]) => text === 'server restarting, reconnecting')")
    start("--port", port)
    expect(ann.locator("#connection")).to_have_attribute("data-state", "open")
    told = ann.evaluate("window.shown")
    lost, asked = next((at, asked) for state, _, at, asked in told if state == "waiting")
    assert asked in (500, 501)  # retry_ms of the first connection is 500; the page's other connection may be the first
    tried = next(at for state, _, at, _ in told if state == "connecting" and at > lost)
    assert tried - lost >= 400  # the observer's clock may be read late
