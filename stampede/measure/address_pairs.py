"""Deliveries by pair of addresses, and where they are lost: within an address or between two; pure."""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING, Final

import msgspec

from stampede.ledger.counts import DeliveryCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SHOWN: Final = 3
"""Pairs that are named, those with the most losses first."""


class AddressPair(msgspec.Struct, frozen=True):
    """The deliveries from clients at one address of the server to clients at another one, or at the same.

    Attributes:
        sender: address of the server to which the senders are connected.
        receiver: address of the receivers.
        expected: deliveries that the ledger expects.
        received: deliveries that arrived.
        lost: deliveries that did not arrive in time.
    """

    sender: str
    receiver: str
    expected: int
    received: int
    lost: int

    @property
    def is_within(self) -> bool:
        """Whether senders and receivers are at the same address."""
        return self.sender == self.receiver

    @property
    def counts(self) -> DeliveryCounts:
        """The counts alone."""
        return DeliveryCounts(self.expected, self.received, self.lost)


def address_pairs(counts: Mapping[str, Mapping[str, DeliveryCounts]]) -> list[AddressPair]:
    """Return all pairs of addresses, given the counts of `Figures`; none if all clients are at one address."""
    return _all_pairs(
        {(sender, receiver): one for sender, receivers in counts.items() for receiver, one in receivers.items()}
    )


def add_pairs(pairs: Iterable[AddressPair]) -> list[AddressPair]:
    """Add up the pairs of several windows, each pair once."""
    sums: dict[tuple[str, str], DeliveryCounts] = {}
    for pair in pairs:
        sums.setdefault((pair.sender, pair.receiver), DeliveryCounts()).add(pair.counts)
    return _all_pairs(sums)


def _all_pairs(counts: Mapping[tuple[str, str], DeliveryCounts]) -> list[AddressPair]:
    """Return each pair of the addresses that there are, also those without deliveries; none for a single address."""
    addresses = sorted({address for pair in counts for address in pair})
    if len(addresses) < 2:
        return []
    known = ((*pair, counts.get(pair, DeliveryCounts())) for pair in product(addresses, addresses))
    return [AddressPair(sender, receiver, one.expected, one.received, one.lost) for sender, receiver, one in known]


def within_and_between(pairs: Iterable[AddressPair]) -> tuple[DeliveryCounts, DeliveryCounts]:
    """Return the sums of the pairs within an address, and of those between two."""
    within, between = DeliveryCounts(), DeliveryCounts()
    for pair in pairs:
        (within if pair.is_within else between).add(pair.counts)
    return within, between


def loss_lines(pairs: Sequence[AddressPair]) -> list[str]:
    """Return where deliveries were lost, as text, given all pairs; nothing if none was lost."""
    if not any(pair.lost for pair in pairs):
        return []
    within = [pair for pair in pairs if pair.is_within]
    between = {(pair.sender, pair.receiver): pair for pair in pairs if not pair.is_within}
    addresses = [pair.sender for pair in within]
    ways = [(between[one, other], between[other, one]) for one, other in combinations(addresses, 2)]
    named = [(pair.lost, f"{_lost_of(pair)} within {pair.sender}") for pair in within if pair.lost]
    if len(ways) == 1:
        rest = _both_ways(*ways[0])
    else:
        rest = f"{_lost_of(*between.values())} between addresses"
        named += [(forth.lost + back.lost, _both_ways(forth, back)) for forth, back in ways if forth.lost or back.lost]
    named.sort(key=lambda one: -one[0])
    lines = [f"lost {_lost_of(*within)} within an address, {rest}", *(text for _, text in named[:_SHOWN])]
    return lines if len(named) <= _SHOWN else [*lines, f"and {len(named) - _SHOWN} more"]


def _lost_of(*pairs: AddressPair) -> str:
    return f"{sum(pair.lost for pair in pairs)} of {sum(pair.expected for pair in pairs)}"


def _both_ways(forth: AddressPair, back: AddressPair) -> str:
    """Describe both directions between two addresses; apart if only one of them loses deliveries."""
    if bool(forth.lost) is not bool(back.lost):
        return ", ".join(f"{_lost_of(pair)} from {pair.sender} to {pair.receiver}" for pair in (forth, back))
    return f"{_lost_of(forth, back)} between {forth.sender} and {forth.receiver}"
