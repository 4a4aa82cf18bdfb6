from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from capacity.http_client import HttpError, HttpTimeoutError, Requester
from capacity.processes.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


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
