"""The message rate of /api/status, and the Content-Security-Policy of the pages."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from server import __version__
from server.http.pages import MessageRate, content_security_policy
from server.stats import ServerStats
from tests.clients import ChatClient
from tests.server.http.raw_requests import UPGRADE, exchange, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.processes import RunningServer


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_the_message_rate_covers_the_last_seconds_only() -> None:
    clock, stats = Clock(100.0), ServerStats()
    rate = MessageRate(stats, clock)
    assert rate.per_second() == 0.0
    for messages in [10] * 10 + [50] * 10:
        clock.now += 1.0
        stats.messages_received["typing"] += messages
        rate.sample()
    assert rate.per_second() == pytest.approx(50)


def test_the_message_rate_of_a_server_that_just_started_covers_its_lifetime() -> None:
    clock, stats = Clock(5.0), ServerStats()
    rate = MessageRate(stats, clock)
    clock.now = 5.5
    stats.messages_received["chatMessage"] += 10
    assert rate.per_second() == pytest.approx(20)


@pytest.mark.parametrize("host", ["chat.example.org", "127.0.0.1:8080", "xn--bcher-kva.example:443"])
def test_the_policy_names_the_websockets_of_the_page_for_old_browsers(host: str) -> None:
    assert f"connect-src 'self' ws://{host} wss://{host}; " in content_security_policy(host)


@pytest.mark.parametrize(
    "host", ["", "[::1]:8080", "a b", "a; script-src *", "a\r\nb", "*", "one.example, two.example"]
)
def test_a_host_that_a_policy_cannot_contain_adds_nothing(host: str) -> None:
    assert "connect-src 'self'; " in content_security_policy(host)


def test_api_status_reports_connections_rooms_rate_and_uptime(start: Callable[..., RunningServer]) -> None:
    began = time.monotonic()
    server = start()

    def report() -> dict[str, Any]:
        answer = json.loads(server.get("/api/status"))
        assert isinstance(answer, dict)
        return answer

    empty = report()
    assert 0 <= empty["uptime"] <= time.monotonic() - began
    assert (empty["connections"], empty["rooms"], empty["messagesPerSecond"]) == (0, 0, 0)
    since = time.monotonic()
    with ChatClient(server.url) as client, ChatClient(server.url):
        client.send("joinRoom", room="r")
        client.until_pong()
        asked = time.monotonic()
        full = report()
        assert (full["connections"], full["rooms"], full["draining"]) == (2, 1, False)
        assert full["uptime"] - empty["uptime"] >= asked - since - 0.002  # both are rounded to the millisecond
        while not report()["messagesPerSecond"]:
            client.until_pong()
    assert full["version"] == __version__
    assert full["node"] == f"{socket.gethostname()}:{server.process.pid}"


def test_the_chat_page_and_its_scripts_have_a_strict_content_security_policy(shared: RunningServer) -> None:
    head, _, body = exchange(shared, b"GET / HTTP/1.1\r\n\r\n").partition(b"\r\n\r\n")
    assert b"Content-Security-Policy: default-src 'none'" in head
    assert b"text/html" in head
    for part in (b"chat.js", b"chat.css", b"live"):
        assert b'"' + part + b'"' in body  # relative, so that a proxy may serve the pages below a prefix
        assert status(shared, b"GET /" + part + b" HTTP/1.1\r\n\r\n") == 200


def test_metrics_may_have_a_port_of_their_own(start: Callable[..., RunningServer]) -> None:
    server = start("--metrics-port", "0")
    assert status(server, b"GET /metrics HTTP/1.1\r\n\r\n") == 404
    private = server.first_lines[1].split("http://")[1].split("/")[0]
    server.url = f"ws://{private}"
    assert server.samples()["chat_connections"] == 0
    assert status(server, b"GET /health HTTP/1.1\r\n\r\n") == 404
    assert status(server, b"GET /ws/chat HTTP/1.1\r\n" + UPGRADE + b"Sec-WebSocket-Version: 13\r\n\r\n") == 404
