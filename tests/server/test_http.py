"""The HTTP side: every request is answered, with the right code, and counted."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from server.http import MAX_HEAD_BYTES, Answer, judge_head
from tests.clients import SECONDS, ChatClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.processes import RunningServer


def exchange(server: RunningServer, request: bytes) -> bytes:
    """Send bytes, return everything that comes back until the server ends the connection."""
    host, port = server.http.removeprefix("http://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        connection.sendall(request)
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer


def status(server: RunningServer, request: bytes) -> int:
    return int(exchange(server, request).split(b" ", 2)[1])


UPGRADE = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /health?verbose=1 HTTP/1.0\r\n\r\n", 200),
        (b"GET /nowhere HTTP/1.1\r\n\r\n", 404),
        (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"POST /health HTTP/1.1\r\n\r\n", 405),
        (b"HEAD / HTTP/1.1\r\n\r\n", 405),
        (b"BREW /pot HTTP/1.1\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 413),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 200),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"hello\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_HEAD_BYTES, 431),
        (b"GET /nowhere HTTP/1.1\r\n" + UPGRADE + b"Sec-WebSocket-Version: 13\r\n\r\n", 404),
        (b"GET /ws/chat HTTP/1.1\r\n" + UPGRADE + b"Sec-WebSocket-Version: 8\r\n\r\n", 400),
        (b"GET /ws/chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", 426),
    ],
)
def test_every_request_is_answered(shared: RunningServer, request_: bytes, code: int) -> None:
    assert status(shared, request_) == code
    assert shared.get("/health") == "OK"


def test_a_request_may_come_byte_by_byte(shared: RunningServer) -> None:
    host, port = shared.http.removeprefix("http://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /health HTTP/1.1\r\n\r\n":
            connection.sendall(bytes([byte]))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


def test_requests_are_counted_by_known_path_and_code(server: RunningServer) -> None:
    for path in ("/health", "/health", "/api/status", "/nowhere", "/else"):
        exchange(server, b"GET " + path.encode() + b" HTTP/1.1\r\n\r\n")
    samples = server.samples()
    assert samples['chat_http_requests_total{code="200",path="/health"}'] == 2
    assert samples['chat_http_requests_total{code="200",path="/api/status"}'] == 1
    assert samples['chat_http_requests_total{code="404",path="other"}'] == 2
    exchange(server, b"GET /nowhere HTTP/1.1\r\n" + UPGRADE + b"Sec-WebSocket-Version: 13\r\n\r\n")
    exchange(server, b"GET /ws/chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
    samples = server.samples()
    assert samples['chat_handshakes_rejected_total{reason="not_found"}'] == 1
    assert samples['chat_handshakes_rejected_total{reason="bad_request"}'] == 1


def test_status_says_how_many_are_here(server: RunningServer) -> None:
    with ChatClient(server.url) as client:
        client.send("joinRoom", room="r")
        client.until_pong()
        report = json.loads(server.get("/api/status"))
    assert report["connections"] == 1
    assert report["rooms"] == 1
    assert report["uptime"] >= 0
    assert report["messagesPerSecond"] >= 0
    assert report["draining"] is False
    assert report["version"]
    assert report["node"]


def test_the_chat_page_and_its_parts_are_served_under_a_strict_policy(shared: RunningServer) -> None:
    head, _, body = exchange(shared, b"GET / HTTP/1.1\r\n\r\n").partition(b"\r\n\r\n")
    assert b"Content-Security-Policy: default-src 'none'" in head
    assert b"text/html" in head
    for part in (b"chat.js", b"chat.css", b"live"):
        assert b'"' + part + b'"' in body  # relative: a proxy may serve it all below a prefix
        assert status(shared, b"GET /" + part + b" HTTP/1.1\r\n\r\n") == 200


def test_metrics_may_have_an_address_of_their_own(start: Callable[..., RunningServer]) -> None:
    server = start("--metrics-port", "0")
    assert status(server, b"GET /metrics HTTP/1.1\r\n\r\n") == 404
    private = server.first_lines[1].split("http://")[1].split("/")[0]
    server.url = f"ws://{private}"
    assert server.samples()["chat_connections"] == 0
    assert status(server, b"GET /health HTTP/1.1\r\n\r\n") == 404
    assert status(server, b"GET /ws/chat HTTP/1.1\r\n" + UPGRADE + b"Sec-WebSocket-Version: 13\r\n\r\n") == 404


@pytest.mark.parametrize("cut", range(1, 27))
def test_an_incomplete_head_is_waited_for(cut: int) -> None:
    head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert judge_head(head[:cut]) == 0


def test_a_complete_head_is_measured() -> None:
    head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert judge_head(head + b"\x81\x80mask") == len(head)
    assert isinstance(judge_head(b"x" * (MAX_HEAD_BYTES + 1)), Answer)
