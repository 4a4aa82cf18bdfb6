from __future__ import annotations

import gc
import itertools
import socket
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from capacity.http_client import HttpError, HttpTimeoutError, Requester, fetch
from capacity.processes.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.0)
        yield listening


def connections(listening: socket.socket) -> int:
    """Return the number of connections since the last call."""
    found = 0
    while True:
        try:
            listening.accept()[0].close()
        except BlockingIOError:
            return found
        found += 1


def test_an_endpoint_that_does_not_answer_in_time_is_not_requested_again_until_a_retry(silent: socket.socket) -> None:
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/metrics"
    requester = Requester(timeout_s=0.1)
    for _ in range(3):
        with pytest.raises(HttpTimeoutError, match=f"{url}: no answer within 0.1 s"):
            requester.fetch(url)
    assert connections(silent) == 1
    requester.retry()
    with pytest.raises(HttpTimeoutError):
        requester.fetch(url)
    assert connections(silent) == 1


def test_another_error_does_not_end_the_requests(silent: socket.socket) -> None:
    requester = Requester(timeout_s=0.1)
    with pytest.raises(HttpError, match="refused"):
        requester.fetch(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(HttpTimeoutError):
        requester.fetch(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert connections(silent) == 1


class Page(BaseHTTPRequestHandler):
    """A page after which the server closes the connection."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class PageServer(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Ignore the connections that an interrupted request closes."""


@pytest.fixture
def page() -> Iterator[str]:
    """The URL of a page."""
    with PageServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class Interruption(Exception):  # noqa: N818 - stands for Ctrl-C
    pass


@contextmanager
def interrupted_at_call(number: int) -> Iterator[list[str]]:
    """Raise an exception at the start of the n-th function that Python calls, as a signal handler does; yield where."""
    calls = itertools.count(1)
    raised: list[str] = []

    def trace(frame: FrameType, _event: str, _arg: Any) -> None:
        if next(calls) == number:
            raised.append(frame.f_code.co_qualname)
            raise Interruption

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield raised
    finally:
        sys.settrace(before)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # interrupted before it was assigned
def test_a_signal_during_a_request_is_never_lost(page: str) -> None:
    fetch(page)  # imports what requests need
    for number in itertools.count(1):
        try:
            with interrupted_at_call(number) as raised:
                fetch(page)
        except Interruption:
            continue
        if not raised:  # no function was the n-th one
            assert number > 50
            break
        pytest.fail(f"an exception in {raised[0]} was discarded")
    gc.collect()
