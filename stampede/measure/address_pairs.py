"""Deliveries by pair of addresses, and where they are lost: within an address or between two; pure."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stampede.ledger.counts import DeliveryCounts

_SHOWN: Final = 3
"""Pairs that are named, those with the most losses first."""


class AddressPair(msgspec.Struct, frozen=True):
    """The deliveries from clients at one address of the server to clients at another one, or at the same."""

    sender: str
    receiver: str
    expected: int
    received: int
    lost: int

    @property
    def is_within(self) -> bool:
        """Whether senders and receivers are at the same address."""
        return self.sender == self.receiver


def address_pairs(counts: Mapping[str, Mapping[str, DeliveryCounts]]) -> list[AddressPair]:
    """Return the pairs of addresses in the counts of `Figures`; none if all clients are at one address."""
    pairs = [
        AddressPair(sender, receiver, one.expected, one.received, one.lost)
        for sender, receivers in sorted(counts.items())
        for receiver, one in sorted(receivers.items())
    ]
    return pairs if len(pairs) > 1 else []


def loses_only_between(pairs: Iterable[AddressPair]) -> bool:
    """Return whether deliveries between addresses were lost, while all those within an address arrived."""
    within, between = _split(pairs)
    return sum(one.lost for one in between) > 0 and sum(one.lost for one in within) == 0 < _expected(within)


def loss_lines(pairs: Sequence[AddressPair]) -> list[str]:
    """Return where deliveries were lost, as text; nothing if none was."""
    if not any(pair.lost for pair in pairs):
        return []
    within, between = _split(pairs)
    addresses = sorted({pair.sender for pair in pairs} | {pair.receiver for pair in pairs})
    by_way = {(pair.sender, pair.receiver): pair for pair in between}
    ways = [[by_way[way] for way in (ends, ends[::-1]) if way in by_way] for ends in combinations(addresses, 2)]
    single = _between(*ways[0]) if len(ways) == 1 and ways[0] else f"{_lost_of(between)} between addresses"
    lines = [f"lost {_lost_of(within)} within an address, {single}"]
    named = [(pair.lost, f"{_lost_of([pair])} within {pair.sender}") for pair in within if pair.lost]
    if len(ways) > 1:
        named += [(sum(pair.lost for pair in way), _between(*way)) for way in ways if any(pair.lost for pair in way)]
    named.sort(key=lambda one: -one[0])
    lines += [text for _, text in named[:_SHOWN]]
    if len(named) > _SHOWN:
        lines.append(f"and {len(named) - _SHOWN} more")
    return lines


def _split(pairs: Iterable[AddressPair]) -> tuple[list[AddressPair], list[AddressPair]]:
    """Return the pairs within an address, and those between two."""
    known = list(pairs)
    return [pair for pair in known if pair.is_within], [pair for pair in known if not pair.is_within]


def _expected(pairs: Iterable[AddressPair]) -> int:
    return sum(pair.expected for pair in pairs)


def _lost_of(pairs: Sequence[AddressPair]) -> str:
    return f"{sum(pair.lost for pair in pairs)} of {_expected(pairs)}"


def _between(*way: AddressPair) -> str:
    """Describe both directions between two addresses; apart if only one of them loses deliveries."""
    if len({pair.lost > 0 for pair in way}) > 1:
        return ", ".join(f"{_lost_of([pair])} from {pair.sender} to {pair.receiver}" for pair in way)
    return f"{_lost_of(way)} between {way[0].sender} and {way[0].receiver}"
