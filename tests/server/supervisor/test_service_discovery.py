"""The HTTP service of the supervisor: its answers, and its limit on concurrent requests."""

from __future__ import annotations

import http.client
import socket
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from server.supervisor.service_discovery import ServiceDiscovery

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 60


@dataclass
class Page:
    body: bytes = b"figures"
    content_type: str = "text/plain"
    headers: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def port() -> Iterator[int]:
    def render(_accept: str, _encodings: str) -> Page:
        return Page()

    with ServiceDiscovery("127.0.0.1", 0, {0: "127.0.0.1:9"}, [], render) as discovery:
        yield int(discovery.url.rpartition(":")[2].partition("/")[0])


def ask(port: int, method: str, path: str) -> tuple[int, str | None, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    connection.request(method, path)
    answer = connection.getresponse()
    result = answer.status, answer.headers["Content-Length"], answer.read()
    connection.close()
    return result


@pytest.mark.parametrize("path", ["/health", "/health?verbose", "/targets", "/metrics", "/nowhere"])
def test_head_is_answered_as_get_without_the_body(port: int, path: str) -> None:
    status, length, body = ask(port, "GET", path)
    assert ask(port, "HEAD", path) == (status, length, b"")
    assert (status, len(body)) == (404 if path == "/nowhere" else 200, int(length or 0))


def test_silent_connections_use_a_limited_number_of_threads(port: int) -> None:
    before = threading.active_count()
    with ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=SECONDS)) for _ in range(100)]
        for each in idle[40:]:  # the first ones use all slots
            assert each.recv(1) == b""
        assert threading.active_count() - before <= 32
    status = 0
    while status != 200:  # once the slots are free again
        try:
            status = ask(port, "GET", "/health")[0]
        except (ConnectionError, http.client.HTTPException):
            continue
