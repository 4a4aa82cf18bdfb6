"""A server on all addresses limits clients by their address over IPv4 and IPv6."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.clients import handshake, open_handshake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.processes import RunningServer


@contextmanager
def held_from(address: str, url: str) -> Iterator[int]:
    """Connect from an address of this machine; yield the status of the response."""
    host, port = url.removeprefix("ws://").rsplit(":", 1)
    request = (
        f"GET /ws/chat HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=60, source_address=(address, 0)) as connection:
        connection.sendall(request.encode())
        yield int(connection.recv(65536).split(b" ", 2)[1])


@pytest.mark.parametrize("host", ["::", ""])
def test_the_limit_per_address_applies_over_ipv4_and_ipv6(start: Callable[..., RunningServer], host: str) -> None:
    server = start("--host", host, "--max-connections-per-address", "1")
    assert server.url.startswith("ws://[::]:")
    port = server.url.rpartition(":")[2]
    ipv4, ipv6 = f"ws://127.0.0.1:{port}", f"ws://[::1]:{port}"
    with ExitStack() as stack:
        assert stack.enter_context(open_handshake(ipv4)).status == 101
        assert stack.enter_context(open_handshake(ipv6)).status == 101
        assert [handshake(ipv4).status, handshake(ipv6).status] == [429, 429]
        # IPv4 addresses must not be grouped as one /64 of IPv6-mapped addresses.
        with held_from("127.0.0.2", ipv4) as other:
            assert other == 101


@pytest.mark.parametrize("proxy", ["127.0.0.1", "[::1]"])
def test_forwarded_addresses_are_trusted_over_ipv4_and_ipv6(start: Callable[..., RunningServer], proxy: str) -> None:
    trusted = ("--trusted-proxy", "127.0.0.0/8", "--trusted-proxy", "::1")
    server = start("--host", "::", "--max-connections-per-address", "1", *trusted)
    url = f"ws://{proxy}:{server.url.rpartition(':')[2]}"
    with ExitStack() as stack:
        for client in ("192.0.2.1", "192.0.2.2", "2001:db8:0:1::1", "2001:db8:0:2::1"):
            assert stack.enter_context(open_handshake(url, **{"X-Forwarded-For": client})).status == 101
        for client in ("192.0.2.1", "::ffff:192.0.2.2", "2001:db8:0:1::2", "2001:db8:0:2:ffff::1"):
            assert handshake(url, **{"X-Forwarded-For": client}).status == 429
