"""The addresses of a server, and the order in which connections try them; pure.

The order is that of RFC 8305, section 4: address families alternate, each in the order of the resolver. Connections
are distributed over all addresses: each one begins at its own address, or at the next one, and tries the following ones
if that is unreachable.

An address that has never answered, while another one has, is tried last. An example is the IPv6 address of a server
that listens on IPv4 only.
"""

from __future__ import annotations

from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from stampede.websocket.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable

ATTEMPT_SECONDS: Final = 2.0
"""Seconds for the TCP connect to an address while there are others to try (RFC 8305, section 8)."""


class Address(NamedTuple):
    """One address of the server, as a socket needs it."""

    family: int
    sockaddr: tuple[Any, ...]

    @property
    def host(self) -> str:
        """The address without its port."""
        return str(self.sockaddr[0])

    @property
    def endpoint(self) -> Endpoint:
        """The address with its port."""
        return Endpoint(self.host, int(self.sockaddr[1]))


class AddressUse(msgspec.Struct):
    """How often one address was used.

    Attributes:
        address: the address; with its port if the server has several ports.
        connections: connections opened to it.
        failures: failed attempts.
        why: the label of the last failure.
    """

    address: str
    connections: int = 0
    failures: int = 0
    why: str = ""


class Addresses:
    """The addresses of one server, as one process uses them. Reports name an address by its label, see `AddressUse`.

    Args:
        found: at least one address, in the resolver's order.
        first: index at which the first connection begins. The processes of a test begin at different addresses.

    Attributes:
        first: the same.
    """

    __slots__ = ("_all", "_labels", "_next", "_uses", "first")

    def __init__(self, found: Iterable[Address], first: int = 0) -> None:
        self._all = _alternating(dict.fromkeys(found))
        has_ports = len({address.endpoint.port for address in self._all}) > 1
        self._labels = {address: str(address.endpoint) if has_ports else address.host for address in self._all}
        self._uses = {address: AddressUse(label) for address, label in self._labels.items()}
        self._next = self.first = first

    def order(self, preferred: str | None = None) -> list[Address]:
        """Return the addresses in the order in which the next connection must try them.

        Args:
            preferred: label of the first one, unless that has never answered.
        """
        if len(self._all) == 1:
            return self._all
        answering = self._answering()
        silent = [address for address in self._all if address not in answering]
        own = [address for address in answering if self._labels[address] == preferred]
        others = [address for address in answering if address not in own]
        start = self._next % max(len(others), 1)
        self._next += 1
        return own + others[start:] + others[:start] + silent

    def _answering(self) -> list[Address]:
        """Return the addresses without those that have never answered, while another one has."""
        if not any(use.connections for use in self._uses.values()):
            return self._all
        return [address for address, use in self._uses.items() if use.connections or not use.failures]

    def label(self, address: Address) -> str:
        """Return the label of an address."""
        return self._labels[address]

    def labels(self) -> list[str]:
        """Return the labels of the addresses that may answer."""
        return [self._labels[address] for address in self._answering()]

    def has_answered(self, address: Address) -> bool:
        """Return whether a connection to an address was opened before."""
        return self._uses[address].connections > 0

    def opened(self, address: Address) -> None:
        """Count a connection that was opened to an address."""
        self._uses[address].connections += 1

    def failed(self, address: Address, why: str) -> None:
        """Count an attempt that failed."""
        use = self._uses[address]
        use.failures += 1
        use.why = why

    def uses(self) -> list[AddressUse]:
        """Return how often each address was used."""
        return list(self._uses.values())


def _alternating(found: Iterable[Address]) -> list[Address]:
    """Return the addresses with alternating families, beginning with that of the first one."""
    families: dict[int, list[Address]] = {}
    for address in found:
        families.setdefault(address.family, []).append(address)
    return [address for address in chain.from_iterable(zip_longest(*families.values())) if address is not None]


def merge_uses(uses: Iterable[AddressUse]) -> list[AddressUse]:
    """Add up the uses of several processes, each address once."""
    merged: dict[str, AddressUse] = {}
    for use in uses:
        total = merged.setdefault(use.address, AddressUse(use.address))
        total.connections += use.connections
        total.failures += use.failures
        total.why = use.why or total.why
    return list(merged.values())
