"""Limits on connections in total and from one address, and on handshakes per second. Pure; time is an argument."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final

from server.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Iterable

Network = IPv4Network | IPv6Network

_HOP: Final = re.compile(r'"?(?:\[([^\[\]]+)\]|([0-9.]+))(?::[0-9]{1,5})?"?')

RETRY_SECONDS: Final = 5
"""The `Retry-After` of refusals whose end cannot be predicted."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The response to an upgrade request above a limit.

    Attributes:
        status: HTTP status.
        label: metric label under which the refusal is counted.
        retry_after: seconds until the client may try again.
        text: body of the response.
    """

    status: HTTPStatus
    label: str
    retry_after: int
    text: str


FULL: Final = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "full", RETRY_SECONDS, "The server is full")
BUSY: Final = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "handshake_rate", 1, "Too many handshakes at once")
ADDRESS_FULL: Final = Refusal(
    HTTPStatus.TOO_MANY_REQUESTS, "address_limit", RETRY_SECONDS, "Too many connections from your address"
)
DRAINING: Final = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "draining", RETRY_SECONDS, "The server is shutting down")


class Admission:
    """Count connections, and admit those within the limits.

    Args:
        max_connections: connections in total; 0: any number.
        max_per_address: connections from one address, IPv6 by /64; 0: any number.
        handshake_rate: upgrades per second; 0: any number.

    Attributes:
        draining: set to refuse all connections from now on.
    """

    def __init__(self, max_connections: int, max_per_address: int, handshake_rate: float) -> None:
        self.max_connections = max_connections
        self._max_per_address = max_per_address
        self._bucket = TokenBucket(handshake_rate, max(1.0, handshake_rate))
        self._connections = 0
        self._by_address: Counter[str] = Counter()
        self.draining = False

    def admit(self, address: str, now: float) -> Refusal | None:
        """Count a connection and return None, or return the refusal."""
        if self.draining:
            return DRAINING
        if self.max_connections and self._connections >= self.max_connections:
            return FULL
        if self._max_per_address and self._by_address[address] >= self._max_per_address:
            return ADDRESS_FULL
        if not self._bucket.take(now):
            return BUSY
        self._connections += 1
        if self._max_per_address:
            self._by_address[address] += 1
        return None

    def release(self, address: str) -> None:
        """Uncount an admitted connection that has ended."""
        self._connections -= 1
        if self._max_per_address:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]


def accountable_address(peer: str, forwarded: Iterable[str], trusted: tuple[Network, ...]) -> str:
    """Return the address under which the limits count a connection.

    Args:
        peer: address of the TCP peer.
        forwarded: values of X-Forwarded-For in their order; only entries that trusted proxies wrote are used.
        trusted: networks of those proxies.

    Returns:
        The nearest address that is not a trusted proxy's. For an IPv6 address its /64, because one customer has a whole
        /64.
    """
    if not trusted:
        return _group(peer)
    address = peer
    hops = [hop.strip() for value in forwarded for hop in value.split(",")]
    while hops and _within(address, trusted):
        candidate = _without_port(hops.pop())
        if not _is_address(candidate):
            break
        address = candidate
    return _group(address)


def _without_port(hop: str) -> str:
    """Return the address of an X-Forwarded-For entry: some proxies add a port, brackets or quotes."""
    match = _HOP.fullmatch(hop)
    return (match[1] or match[2]) if match else hop


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    if not networks or not _is_address(address):
        return False
    ip = _plain(address)
    return any(ip in network for network in networks)


def _plain(address: str) -> IPv4Address | IPv6Address:
    """Return an address, unwrapping IPv4-mapped IPv6 addresses."""
    ip = ip_address(address)
    return ip.ipv4_mapped or ip if isinstance(ip, IPv6Address) else ip


def _group(address: str) -> str:
    if ":" not in address or not _is_address(address):
        return address
    ip = _plain(address)
    return str(IPv6Network((int(ip), 64), strict=False)) if isinstance(ip, IPv6Address) else str(ip)
