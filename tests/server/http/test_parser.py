"""Requests of any form get the status that RFC 9112 and RFC 9110 demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.http.parser import MAX_HEAD_BYTES, read_request
from server.http.response import HttpResponse
from tests.server.http.raw_requests import HOST, UPGRADE, VERSION, exchange, status

if TYPE_CHECKING:
    from tests.processes import RunningServer


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /health?verbose=1 HTTP/1.0\r\n\r\n", 200),
        (b"GET /nowhere HTTP/1.1\r\n\r\n", 404),
        (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"POST /health HTTP/1.1\r\n\r\n", 405),
        (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"BREW /pot HTTP/1.1\r\n\r\n", 501),
        (b"get / HTTP/1.1\r\n\r\n", 501),  # methods are case-sensitive (RFC 9110, section 9.1)
        (b"GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 413),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nContent-Length: 00\r\nContent-Length: 0, 0\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
        (b"GET / HTTP/1.1\r\nContent-Length:\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 200),  # treated as 1.1 (RFC 9110, section 2.5)
        (b"GET / http/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"hello\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: a\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: a\rb\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: \xfc\t,\r\n\r\n", 200),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400),
        (b"GET /# HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /%68ealth HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET http://x/health HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET HTTP://x:8080/health?a=/b HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET http://x?a=1 HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET http://x/nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET http:///health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_HEAD_BYTES, 431),
        (b"GET /" + b"a" * MAX_HEAD_BYTES, 414),
        (b"GET /nowhere?" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /health HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(200)) + b"\r\n", 200),
        (b"GET /nowhere HTTP/1.1\r\n" + UPGRADE + b"Sec-WebSocket-Version: 13\r\n\r\n", 404),
        (b"GET /ws/chat HTTP/1.1\r\n" + UPGRADE + b"Sec-WebSocket-Version: 8\r\n\r\n", 400),
        (b"GET /ws/chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", 426),
        (b"GET /ws/chat HTTP/1.1\r\nHost: x\r\n\r\n", 426),  # a proxy removed Upgrade
        (b"GET /ws/chat HTTP/1.0\r\n" + UPGRADE + VERSION + b"\r\n", 426),  # RFC 9110, section 7.8
        (b"GET / HTTP/1.0\r\n" + UPGRADE + VERSION + b"\r\n", 200),
        (b"POST /ws/chat HTTP/1.1\r\n" + UPGRADE + VERSION + b"\r\n", 405),
        (b"GET /ws/chat HTTP/1.1\r\n" + HOST + UPGRADE + VERSION + b"Content-Length: 3\r\n\r\nabc", 413),
    ],
)
def test_every_request_gets_a_response_with_the_right_status(shared: RunningServer, request_: bytes, code: int) -> None:
    assert status(shared, request_) == code
    assert shared.get("/health") == "OK"


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /health HTTP/1.1\r\nHost: 10.0.0.7:8080\r\nUser-Agent: kube-probe/1.34\r\nConnection: close\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Keep-alive\r\nUser-Agent: GoogleHC/1.0\r\n\r\n",
        b"GET /health HTTP/1.0\r\n\r\n",  # HAProxy: option httpchk GET /health
        b"GET /health HTTP/1.1\r\n\r\n",  # the same with HTTP/1.1, without the required Host
        b"GET /health HTTP/1.0\r\nUser-Agent: check_http/v2.3.5\r\nConnection: close\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nUser-Agent: curl/8.5.0\r\nExpect: 100-continue\r\n\r\n",
        # curl --http2
        b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
        b"GET /health HTTP/1.1\nHost: x\n\n",  # printf and netcat
        b"\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n",  # RFC 9112, section 2.2
    ],
)
def test_health_checks_of_load_balancers_and_monitors_get_200(shared: RunningServer, request_: bytes) -> None:
    head, _, body = exchange(shared, request_).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b"OK"


@pytest.mark.parametrize(
    "start", [b"\x16\x03\x01\x02\x00\x01", b"\x80\x2e", b"GET /\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"]
)
def test_bytes_that_cannot_start_a_request_are_rejected_at_once(shared: RunningServer, start: bytes) -> None:
    answer = exchange(shared, start)
    assert answer.startswith(b"HTTP/1.1 400 ")  # not 408, the response to a timeout


@pytest.mark.parametrize("cut", range(1, 27))
def test_an_incomplete_head_is_no_request_yet(cut: int) -> None:
    head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert read_request(head[:cut]) is None


def test_a_complete_head_is_parsed_and_measured() -> None:
    head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    read = read_request(head + b"\x81\x80mask")
    assert isinstance(read, tuple)
    request, length = read
    assert length == len(head)
    assert (request.method, request.path, [*request.headers.raw_items()]) == ("GET", "/", [("Host", "x")])
    assert isinstance(read_request(b"x" * (MAX_HEAD_BYTES + 1)), HttpResponse)
