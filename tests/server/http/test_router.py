"""Responses by method and path, and how they are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server.http.raw_requests import UPGRADE, exchange, fields

if TYPE_CHECKING:
    from tests.processes import RunningServer


@pytest.mark.parametrize("path", [b"/", b"/health", b"/metrics", b"/api/status", b"/nowhere"])
def test_head_gets_the_headers_of_get_without_the_body(shared: RunningServer, path: bytes) -> None:
    get, _, body = exchange(shared, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
    head, end, nothing = exchange(shared, b"HEAD " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
    assert (end, nothing) == (b"\r\n\r\n", b"")
    assert body
    assert [line.partition(b":")[0] for line in head.split(b"\r\n")] == [
        line.partition(b":")[0] for line in get.split(b"\r\n")
    ]
    assert int(dict(fields(head))["content-length"]) > 0


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"OPTIONS / HTTP/1.0\r\n\r\n", 204),  # HAProxy: option httpchk
        (b"OPTIONS /health HTTP/1.1\r\nHost: x\r\n\r\n", 204),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 204),
        (b"OPTIONS http://x HTTP/1.1\r\nHost: x\r\n\r\n", 204),
        (b"OPTIONS /ws/chat HTTP/1.1\r\nHost: x\r\n\r\n", 426),
        (b"OPTIONS /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"PUT / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    ],
)
def test_options_and_405_list_the_allowed_methods(shared: RunningServer, request_: bytes, code: int) -> None:
    head, _, body = exchange(shared, request_).partition(b"\r\n\r\n")
    answer = dict(fields(head))
    assert int(head.split(b" ", 2)[1]) == code
    if code in (204, 405):
        assert answer["allow"] == "GET, HEAD, OPTIONS"
    if code == 204:
        assert (body, "content-length" in answer, "content-type" in answer) == (b"", False, False)


def test_the_response_to_a_missing_upgrade_names_the_missing_header(shared: RunningServer) -> None:
    answer = exchange(shared, b"GET /ws/chat HTTP/1.1\r\nHost: x\r\n\r\n")
    assert dict(fields(answer))["upgrade"] == "websocket"
    assert b"Upgrade" in answer.partition(b"\r\n\r\n")[2]
    answer = exchange(shared, b"GET /ws/chat HTTP/1.1\r\nHost: x\r\n" + UPGRADE + b"Sec-WebSocket-Version: 8\r\n\r\n")
    assert dict(fields(answer))["sec-websocket-version"] == "13"  # RFC 6455, section 4.2.2


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
