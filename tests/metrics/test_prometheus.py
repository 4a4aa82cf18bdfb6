"""A real Prometheus scrapes a real server's page."""

from __future__ import annotations

import socket
import subprocess
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.metrics.fixtures import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.metrics.fixtures import StartPrometheus
    from tests.processes import RunningServer

NO_HEARTBEAT = ("--heartbeat-interval", "0", "--heartbeat-timeout", "0")


def upgraded(server: RunningServer) -> socket.socket:
    """Open a raw chat connection, read the start of the response, and then neither read nor write."""
    host, _, port = server.url.removeprefix("ws://").partition(":")
    client = socket.create_connection((host, int(port)))
    client.sendall(
        f"GET /chat HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert client.recv(12) == b"HTTP/1.1 101"
    return client


def test_heartbeat_kills_are_counted_once_each_and_nothing_stays_open(
    start: Callable[..., RunningServer], start_prometheus: StartPrometheus
) -> None:
    silent = 7
    server = start("--heartbeat-interval", "0.2", "--heartbeat-timeout", "0.6")
    with ExitStack() as sockets:
        for _ in range(silent):
            sockets.enter_context(upgraded(server))
        wait_until(lambda: server.samples()["chat_connections"] == 0, "the heartbeat to drop them")
        prometheus = start_prometheus(server=server.url)
        prometheus.expect(
            {
                "chat_connections": 0,
                "chat_connections_opened_total": silent,
                "chat_heartbeat_kills_total": silent,
                'chat_connections_closed_total{reason="heartbeat"}': silent,
                "sum(chat_connections_closed_total)": silent,
                "chat_session_duration_seconds_count": silent,
                'up{job="server"}': 1,
            }
        )
        for wrong in ({"chat_heartbeat_kills_total": silent + 1}, {"chat_no_such_metric": 0}):
            with pytest.raises(AssertionError):
                prometheus.expect(wrong)


def test_two_thousand_connections_do_not_change_the_size_of_the_page(start: Callable[..., RunningServer]) -> None:
    server = start(*NO_HEARTBEAT)
    empty = server.samples().keys()
    with ExitStack() as sockets:
        for _ in range(2000):
            sockets.enter_context(upgraded(server))
        wait_until(lambda: server.samples()["chat_connections"] == 2000, "2000 connections")
        assert server.samples().keys() == empty
        assert server.samples()["process_open_fds"] > 2000


def test_promtool_accepts_the_servers_page(server: RunningServer, promtool: str) -> None:
    page = server.get("/metrics").encode()
    checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_the_servers_page_has_a_vary_header_and_scrape_durations(server: RunningServer) -> None:
    with urllib.request.urlopen(f"{server.http}/metrics", timeout=60) as answer:  # noqa: S310 - our own server
        assert answer.headers["Vary"] == "Accept, Accept-Encoding"
    page = server.samples()
    assert page["chat_scrape_duration_seconds_count"] == 1
    assert page["chat_scrape_duration_seconds_sum"] > 0
