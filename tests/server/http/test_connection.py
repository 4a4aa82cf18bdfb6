"""A connection before its upgrade: one request, one response, then the end."""

from __future__ import annotations

import socket
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest

from server.http.parser import MAX_HEAD_BYTES
from tests.clients import SECONDS
from tests.server.http.raw_requests import HOST, UPGRADE, VERSION, exchange, fields

if TYPE_CHECKING:
    from tests.processes import RunningServer


def test_every_response_has_a_date_and_ends_its_connection(shared: RunningServer) -> None:
    for request in (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"x\r\n\r\n",
        b"GET /ws/chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
    ):
        answer = dict(fields(exchange(shared, request)))
        assert abs(time.time() - parsedate_to_datetime(answer["date"]).timestamp()) < 3600
        assert answer["connection"].lower() == "close"


def test_only_the_first_of_pipelined_requests_gets_a_response(shared: RunningServer) -> None:
    answer = exchange(shared, 3 * b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert dict(fields(answer))["connection"] == "close"


def test_a_request_that_expects_100_continue_is_refused_at_once(shared: RunningServer) -> None:
    answer = exchange(
        shared, b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\nExpect: 100-continue\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize("target", [b"/ws/chat", b"http://x/ws/chat", b"ws://x/ws/chat?x=1", b"/ws/%63hat"])
def test_an_upgrade_may_have_a_head_of_16_kib_and_any_form_of_target(shared: RunningServer, target: bytes) -> None:
    for size in (0, 9000, MAX_HEAD_BYTES - 500):
        host, port = shared.http.removeprefix("http://").rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
            cookie = b"Cookie: " + b"c" * size + b"\r\n"
            connection.sendall(b"GET " + target + b" HTTP/1.1\r\n" + HOST + UPGRADE + VERSION + cookie + b"\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 101 ")


def test_a_request_may_arrive_byte_by_byte(shared: RunningServer) -> None:
    host, port = shared.http.removeprefix("http://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /health HTTP/1.1\r\n\r\n":
            connection.sendall(bytes([byte]))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
