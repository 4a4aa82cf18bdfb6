"""The HTTP side: every request is answered, with the right code, and counted."""

from __future__ import annotations

import json
import socket
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest

from server import __version__
from server.http.parser import MAX_HEAD_BYTES, read_request
from server.http.response import HttpResponse
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


def fields(answer: bytes) -> list[tuple[str, str]]:
    """Return the header of an answer, names in lower case."""
    lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]


UPGRADE = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\n"
HOST = b"Host: x\r\n"


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
        (b"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 200),  # to be read as 1.1 (RFC 9110, section 2.5)
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
        (b"GET /ws/chat HTTP/1.1\r\nHost: x\r\n\r\n", 426),  # a proxy that takes Upgrade away
        (b"GET /ws/chat HTTP/1.0\r\n" + UPGRADE + VERSION + b"\r\n", 426),  # RFC 9110, section 7.8
        (b"GET / HTTP/1.0\r\n" + UPGRADE + VERSION + b"\r\n", 200),
        (b"POST /ws/chat HTTP/1.1\r\n" + UPGRADE + VERSION + b"\r\n", 405),
        (b"GET /ws/chat HTTP/1.1\r\n" + HOST + UPGRADE + VERSION + b"Content-Length: 3\r\n\r\nabc", 413),
    ],
)
def test_every_request_is_answered(shared: RunningServer, request_: bytes, code: int) -> None:
    assert status(shared, request_) == code
    assert shared.get("/health") == "OK"


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /health HTTP/1.1\r\nHost: 10.0.0.7:8080\r\nUser-Agent: kube-probe/1.34\r\nConnection: close\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Keep-alive\r\nUser-Agent: GoogleHC/1.0\r\n\r\n",
        b"GET /health HTTP/1.0\r\n\r\n",  # HAProxy: option httpchk GET /health
        b"GET /health HTTP/1.1\r\n\r\n",  # the same with HTTP/1.1, and without the Host that it needs
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


@pytest.mark.parametrize("path", [b"/", b"/health", b"/metrics", b"/api/status", b"/nowhere"])
def test_head_gets_the_header_of_get_and_no_body(shared: RunningServer, path: bytes) -> None:
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
def test_what_may_be_asked_is_told(shared: RunningServer, request_: bytes, code: int) -> None:
    head, _, body = exchange(shared, request_).partition(b"\r\n\r\n")
    answer = dict(fields(head))
    assert int(head.split(b" ", 2)[1]) == code
    if code in (204, 405):
        assert answer["allow"] == "GET, HEAD, OPTIONS"
    if code == 204:
        assert (body, "content-length" in answer, "content-type" in answer) == (b"", False, False)


def test_a_websocket_path_without_an_upgrade_names_what_is_missing(shared: RunningServer) -> None:
    answer = exchange(shared, b"GET /ws/chat HTTP/1.1\r\nHost: x\r\n\r\n")
    assert dict(fields(answer))["upgrade"] == "websocket"
    assert b"Upgrade" in answer.partition(b"\r\n\r\n")[2]
    answer = exchange(shared, b"GET /ws/chat HTTP/1.1\r\nHost: x\r\n" + UPGRADE + b"Sec-WebSocket-Version: 8\r\n\r\n")
    assert dict(fields(answer))["sec-websocket-version"] == "13"  # RFC 6455, section 4.2.2


def test_every_answer_has_a_date_and_ends_its_connection(shared: RunningServer) -> None:
    for request in (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"x\r\n\r\n",
        b"GET /ws/chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
    ):
        answer = dict(fields(exchange(shared, request)))
        assert abs(time.time() - parsedate_to_datetime(answer["date"]).timestamp()) < 3600
        assert answer["connection"].lower() == "close"


def test_of_pipelined_requests_the_first_is_answered_and_the_answer_says_so(shared: RunningServer) -> None:
    answer = exchange(shared, 3 * b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert dict(fields(answer))["connection"] == "close"


def test_a_body_that_waits_for_100_continue_is_refused_at_once(shared: RunningServer) -> None:
    answer = exchange(
        shared, b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\nExpect: 100-continue\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize(
    "start", [b"\x16\x03\x01\x02\x00\x01", b"\x80\x2e", b"GET /\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"]
)
def test_what_can_be_no_request_is_refused_without_waiting_for_its_end(shared: RunningServer, start: bytes) -> None:
    answer = exchange(shared, start)
    assert answer.startswith(b"HTTP/1.1 400 ")  # 408 would be the end of the wait


@pytest.mark.parametrize("target", [b"/ws/chat", b"http://x/ws/chat", b"ws://x/ws/chat?x=1", b"/ws/%63hat"])
def test_an_upgrade_may_have_a_head_of_16_kib_and_any_form_of_target(shared: RunningServer, target: bytes) -> None:
    for size in (0, 9000, MAX_HEAD_BYTES - 500):
        host, port = shared.http.removeprefix("http://").rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
            cookie = b"Cookie: " + b"c" * size + b"\r\n"
            connection.sendall(b"GET " + target + b" HTTP/1.1\r\n" + HOST + UPGRADE + VERSION + cookie + b"\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 101 ")


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


def test_status_says_how_many_are_here_and_since_when(start: Callable[..., RunningServer]) -> None:
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
    assert read_request(head[:cut]) is None


def test_a_complete_head_is_measured() -> None:
    head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    read = read_request(head + b"\x81\x80mask")
    assert isinstance(read, tuple)
    request, length = read
    assert length == len(head)
    assert (request.method, request.path, [*request.headers.raw_items()]) == ("GET", "/", [("Host", "x")])
    assert isinstance(read_request(b"x" * (MAX_HEAD_BYTES + 1)), HttpResponse)
