"""The live page's server: the report, its JSON, the page, its script and its events; nothing else, for any client."""

from __future__ import annotations

import gzip
import json
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from capacity.web.http_server import MOST_CONNECTIONS
from capacity.web.messages import End, Progress
from tests.capacity.web.serving import Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as one:
        yield one


def read_event(stream: socket.socket) -> dict[str, object]:
    """Read the next event of a stream, or its first after the head of the response."""
    content = b""
    while not content.endswith(b"\n\n"):
        content += stream.recv(1)
    found: dict[str, object] = json.loads(content.removeprefix(b"data: "))
    return found


def open_events(served: Served) -> socket.socket:
    stream = served.connect()
    stream.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += stream.recv(1)
    assert b"Content-Type: text/event-stream" in head
    return stream


def test_the_page_has_the_title_as_text_and_allows_only_its_own_script(served: Served) -> None:
    page = served.request("/")
    assert page.status == 200
    assert b"Capacity of &lt;b&gt;this&lt;/b&gt;" in page.body
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert page.headers["Cache-Control"] == "no-store"
    script = served.request("/live.js")
    assert (script.status, script.headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")


def test_the_report_and_its_json_are_served_as_they_are_now(served: Served) -> None:
    assert served.request("/report.html").status == served.request("/report.json").status == 404
    served.board.show_report(b"<p>first</p>", b'{"a": 1}')
    assert served.request("/report.html").body == b"<p>first</p>"
    assert served.request("/report.json").headers["Content-Type"] == "application/json"
    served.board.show_end(End("It has ended.", b"<p>last</p>", b"{}"))
    assert served.request("/report.html?again").body == b"<p>last</p>"
    packed = served.request("/report.html", headers={"Accept-Encoding": "br, gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == b"<p>last</p>"


@pytest.mark.parametrize(
    "path",
    [
        "/report", "/report.html/", "/x//report.html", "/../report.json", "/%2e%2e/report.json", "/report%2ehtml",
        "/live.css", "/templates/live.js", "/events/", "/README.md", "/.git/config", "/profile-passing.svg",
        "http://localhost/", "*",
    ],
)  # fmt: skip
def test_nothing_else_is_served(served: Served, path: str) -> None:
    served.board.show_report(b"<p>", b"{}")
    response = served.request(path)
    assert (response.status, response.body) == (404, b"not found\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_the_page_can_only_be_read(served: Served, method: str) -> None:
    assert served.request("/report.html", method).status == 501


def test_a_head_request_has_no_body(served: Served) -> None:
    head = served.request("/", "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["Content-Length"]) == len(served.request("/").body)
    assert served.request("/events", "HEAD").status == 200


def test_a_web_site_whose_name_resolves_to_this_machine_reads_nothing(served: Served) -> None:
    served.board.show_report(b"<p>", b"{}")
    for host in ("localhost", "localhost:9000", "127.0.0.1", "[::1]:80"):
        assert served.request("/report.json", headers={"Host": host}).status == 200
    for host in ("attacker.example", "127.0.0.1.attacker.example", "192.0.2.1", "[::1", ""):
        response = served.request("/report.json", headers={"Host": host})
        assert (response.status, b"localhost" in response.body) == (421, True)


def test_a_public_address_has_any_name() -> None:
    with serving("192.0.2.1") as served:
        assert served.request("/", headers={"Host": "ci.example"}).status == 200


def test_events_lead_to_the_last_state(served: Served) -> None:
    served.board.show_progress(Progress("step 1"))
    with open_events(served) as stream:
        assert read_event(stream)["activity"] == "step 1"
        served.board.show_report(b"<p>", b"{}")
        assert read_event(stream)["report"] == 1
        served.board.show_end(End("It has ended.", b"<p>", b"{}"))
        assert read_event(stream)["ended"] == "It has ended."
        served.server.wait_idle(0)  # returns although the stream is open
    served.server.wait_idle(30)


def test_clients_that_send_or_read_nothing_do_not_disturb_others(served: Served) -> None:
    served.board.show_progress(Progress("step 1"))
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(served.connect())
            half = stack.enter_context(served.connect())
            half.sendall(b"GET /report.ht")
        for _ in range(50):
            stack.enter_context(open_events(served))  # never read
        for number in range(100):
            served.board.show_progress(Progress(f"step {number}"))
        served.board.show_report(b"<p>", b"{}")
        assert served.request("/report.html").status == 200


def test_connections_beyond_the_limit_are_closed_and_later_ones_served(served: Served) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(open_events(served)) for _ in range(MOST_CONNECTIONS)]
        with served.connect() as refused:
            assert refused.recv(1) == b""
        streams[0].shutdown(socket.SHUT_RDWR)
        # Its thread notices that at the next event.
        response = None
        while response is None:
            served.board.show_progress(Progress("step"))
            try:
                response = served.request("/")
            except OSError:
                continue
        assert response.status == 200


@pytest.mark.parametrize(
    "request_bytes", [b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n"]
)
def test_garbage_is_refused_without_a_traceback(
    served: Served, request_bytes: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with served.connect() as client:
        client.sendall(request_bytes)
        client.shutdown(socket.SHUT_WR)
        while client.recv(1024):
            pass
    assert served.request("/").status == 200
    assert capsys.readouterr().err == ""
