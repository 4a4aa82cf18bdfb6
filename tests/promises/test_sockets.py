"""Sockets without a request are limited in number and in time, with and without TLS."""

from __future__ import annotations

import socket
import ssl
import urllib.request
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.promises.certificates import Authority
from tests.promises.server_process import launch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.promises.server_process import ServerProcess

SECONDS = 60
FILES = 500
OPENED = 700
SLOW = {"server.http.connection.HANDSHAKE_SECONDS": 600.0, "server.http.tls_connection.HANDSHAKE_SECONDS": 600.0}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextmanager
def idle(address: tuple[str, int], number: int) -> Iterator[list[socket.socket]]:
    """Open connections and send nothing."""
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(address, timeout=SECONDS)) for _ in range(number)]


def ended(sockets: Sequence[socket.socket]) -> int:
    """Return how many of the connections the server has closed or answered."""
    number = 0
    for each in sockets:
        each.setblocking(False)
        try:
            each.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            continue
        except ConnectionError:
            pass
        number += 1
    return number


def address_of(url: str) -> tuple[str, int]:
    host, port = url.rpartition("/")[2].rsplit(":", 1)
    return host, int(port)


def health(server: ServerProcess, authority: Authority) -> str:
    url = server.url.replace("ws", "http", 1) + "/health"
    with urllib.request.urlopen(url, context=authority.trust, timeout=SECONDS) as answer:  # noqa: S310 - our own server
        return str(answer.read().decode())


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
def test_idle_sockets_never_take_the_last_descriptors(authority: Authority, *, is_secure: bool) -> None:
    flags = authority.flags if is_secure else ()
    with launch(*flags, prefix=("prlimit", f"--nofile={FILES}"), constants=SLOW) as server:
        with idle(address_of(server.url), OPENED) as sockets:
            server.wait_until(lambda: ended(sockets) > OPENED - FILES, "the excess connections to be closed")
            assert ended(sockets) < OPENED
            assert server.descriptors <= FILES - 64  # kept for uploads, logs and the bus
        # All of them are released.
        server.wait_until(lambda: server.descriptors < 64, "descriptors to be released")
        assert health(server, authority) == "OK"


def test_idle_sockets_on_the_metrics_port_have_a_limit_of_their_own() -> None:
    with launch("--metrics-port", "0", prefix=("prlimit", f"--nofile={FILES}"), constants=SLOW) as server:
        assert server.process.stdout is not None
        url = server.process.stdout.readline().split()[2]
        with idle(address_of(url.removesuffix("/metrics")), OPENED) as sockets:
            server.wait_until(lambda: ended(sockets) >= OPENED - 32, "the excess connections to be closed")
            assert server.get("/health") == "OK"


def test_an_unfinished_tls_handshake_is_ended_at_the_timeout(authority: Authority) -> None:
    with launch(*authority.flags, constants={"server.http.tls_connection.HANDSHAKE_SECONDS": 0.5}) as server:
        with idle(address_of(server.url), 20) as sockets:
            for each in sockets[:10]:
                each.sendall(b"\x16\x03\x01\x02\x00\x01")  # the start of a ClientHello
            server.wait_until(lambda: ended(sockets) == len(sockets), "handshakes to be ended")
        assert health(server, authority) == "OK"


def test_failed_tls_handshakes_do_not_count_as_connections(authority: Authority) -> None:
    with launch(*authority.flags, "--max-connections", "1", constants=SLOW) as server:
        for _ in range(200):
            with socket.create_connection(address_of(server.url), timeout=SECONDS) as broken:
                broken.sendall(b"GET / HTTP/1.1\r\n\r\n")
                while broken.recv(4096):
                    pass
        untrusting = ssl.create_default_context()
        for _ in range(200):
            with (
                socket.create_connection(address_of(server.url), timeout=SECONDS) as plain,
                pytest.raises(ssl.SSLError),
            ):
                untrusting.wrap_socket(plain, server_hostname="127.0.0.1")
        assert health(server, authority) == "OK"
