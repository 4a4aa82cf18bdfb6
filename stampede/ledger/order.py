"""Compares in which order the members of a room received messages of different senders; pure.

Two members that received the same two messages agree on them, or received them the other way round. A member is
*divergent* if, for some two messages of different senders, at least as many members received them the other way round
as in its order. So one member that differs from two others is divergent alone, and two halves of a room that differ
are divergent both: neither is the usual order.

Only what both members received is compared. A server need not send a message to its sender, and a member that joined
late or left early is compared over the messages that it received. Messages of one slot are not compared with each
other: `stampede.ledger.pair` counts those that overtake each other.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain, combinations
from typing import TYPE_CHECKING

from stampede.ledger.counts import OrderCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

Message = tuple[int, int]
"""A message of a room: its sender's slot and its number in this slot. No other message of the room has the same."""


def common_part(orders: Sequence[Sequence[Message]]) -> list[list[Message]]:
    """Return the orders of some members without the messages that fewer than half of them received.

    Recordings of equal length end at different messages, since a member need not receive its own. Two members alone
    would be compared over the last messages, and a difference would count both.
    """
    received = Counter(chain.from_iterable(orders))
    members = sum(map(bool, orders))  # that received anything
    return [[message for message in order if 2 * received[message] >= members] for order in orders]


class OrderComparison:
    """A comparison of the orders in which the members of one room received messages."""

    __slots__ = ("_orders", "_pairs")

    def __init__(self) -> None:
        self._orders: list[Sequence[Message]] = []
        self._pairs: Counter[tuple[Message, Message]] = Counter()  # earlier and later message -> members

    def add(self, order: Sequence[Message]) -> None:
        """Add the messages of one member in the order of their arrival, each message once.

        The time that this takes grows with the square of their number: 0.1 ms for 32 messages.
        """
        self._orders.append(order)
        self._pairs.update(combinations(order, 2))

    def counts(self) -> OrderCounts:
        """Return the counts of this comparison, which are zero if no two members have two messages to compare."""
        pairs = self._pairs
        compared = {
            (first, second)
            for (first, second), members in pairs.items()
            if first[0] != second[0] and members + pairs[second, first] > 1
        }
        unusual = {(first, second) for first, second in compared if pairs[second, first] >= pairs[first, second]}
        return OrderCounts(
            samples=int(bool(compared)),
            members=self._members_with(compared),
            messages=len({message for pair in compared for message in pair}),
            divergent=self._members_with(unusual),
        )

    def _members_with(self, pairs: set[tuple[Message, Message]]) -> int:
        """Return how many members received one of these pairs in its order."""
        return sum(not pairs.isdisjoint(combinations(order, 2)) for order in self._orders) if pairs else 0
