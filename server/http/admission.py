"""Who is let in, and how fast one may speak: pure, with time as an argument.

Every refusal says when to come back, and has the label under which it is counted.
"""

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
"""What `Retry-After` says where nothing better is known."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an upgrade is refused: HTTP status, metric label, seconds until another try makes sense, words."""

    status: HTTPStatus
    label: str
    retry_after: int
    text: str


FULL: Final = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "full", RETRY_SECONDS, "The server is full")
BUSY: Final = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "handshake_rate", 1, "Too many are coming at once")
CROWDED: Final = Refusal(
    HTTPStatus.TOO_MANY_REQUESTS, "address_limit", RETRY_SECONDS, "Too many connections from your address"
)
DRAINING: Final = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "draining", RETRY_SECONDS, "The server is going away")


class Admission:
    """Count who is in, and decide who may come in.

    Args:
        most: connections in all; 0: any number.
        most_per_address: connections from one address, IPv6 by /64; 0: any number.
        handshakes: upgrades a second; 0: any number.
    """

    def __init__(self, most: int, most_per_address: int, handshakes: float) -> None:
        self.most = most
        self._most_per_address = most_per_address
        self._pace = TokenBucket(handshakes, max(1.0, handshakes))
        self._inside = 0
        self._by_address: Counter[str] = Counter()
        self.draining = False

    def admit(self, address: str, now: float) -> Refusal | None:
        """Let one in, and remember it; or say why not."""
        if self.draining:
            return DRAINING
        if self.most and self._inside >= self.most:
            return FULL
        if self._most_per_address and self._by_address[address] >= self._most_per_address:
            return CROWDED
        if not self._pace.take(now):
            return BUSY
        self._inside += 1
        if self._most_per_address:
            self._by_address[address] += 1
        return None

    def release(self, address: str) -> None:
        """Forget one that was let in."""
        self._inside -= 1
        if self._most_per_address:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]


def accountable_address(peer: str, forwarded: Iterable[str], trusted: Iterable[Network]) -> str:
    """Return the address that a connection is counted under.

    Args:
        peer: address of the TCP peer.
        forwarded: values of X-Forwarded-For, in their order; believed only as far as trusted proxies wrote them.
        trusted: networks of those proxies.

    Returns:
        The nearest address that is no trusted proxy's; of an IPv6 address its /64, which one customer has to itself.
    """
    networks = tuple(trusted)
    address = peer
    hops = [hop.strip() for value in forwarded for hop in value.split(",")]
    while hops and _within(address, networks):
        candidate = _without_port(hops.pop())
        if not _is_address(candidate):
            break
        address = candidate
    return _group(address)


def _without_port(hop: str) -> str:
    """Return the address in an entry of X-Forwarded-For, which some proxies write with a port, brackets or quotes."""
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
    """Return an address as what it is: one of IPv4 may come dressed as IPv6."""
    ip = ip_address(address)
    return ip.ipv4_mapped or ip if isinstance(ip, IPv6Address) else ip


def _group(address: str) -> str:
    if ":" not in address or not _is_address(address):
        return address
    ip = _plain(address)
    return str(IPv6Network((int(ip), 64), strict=False)) if isinstance(ip, IPv6Address) else str(ip)
