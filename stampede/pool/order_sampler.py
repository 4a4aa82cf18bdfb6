"""Samples in which order the members of a few rooms at a time receive messages.

A sample lasts from one call of `next_sample` to the next. Only deliveries to its members cost more meanwhile, and only
the first ones.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from stampede.ledger.order import OrderComparison, common_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from stampede.client.message_handler import MessageHandler
    from stampede.ledger.counts import OrderCounts
    from stampede.ledger.membership import Membership
    from stampede.ledger.order import Message
    from stampede.ledger.room import Room

MAX_MEMBERS: Final = 64
"""Members recorded at a time. Several small rooms share them; of a larger room, other members each time."""

MAX_MESSAGES: Final = 32
"""Messages recorded of each member: the first ones that it receives in a sample."""


class Recorder:
    """Records what one user receives, until `MAX_MESSAGES` have arrived in one of its rooms.

    Args:
        handler: handles the user's messages, and has no other function for deliveries.
        orders: where to record, by membership.
    """

    __slots__ = ("_handler", "_orders")

    def __init__(self, handler: MessageHandler, orders: dict[Membership, list[Message]]) -> None:
        self._handler = handler
        self._orders = orders
        handler.on_delivery = self._record

    def _record(self, _now: int, membership: Membership, slot: int, seq: int, /) -> None:
        order = self._orders.get(membership)
        if order is not None:
            order.append((slot, seq))
            if len(order) >= MAX_MESSAGES:
                self.stop()

    def stop(self) -> None:
        """Record nothing more. Another function that has replaced the one of this recorder remains."""
        if self._handler.on_delivery == self._record:
            self._handler.on_delivery = None


class OrderSampler:
    """Records what members of a few rooms receive, and compares the orders.

    Members are recorded from the start of a sample until they leave. Users that have not resynced after a drop are left
    out, since their handlers time the resync.

    Args:
        counts: where the results are added.
    """

    __slots__ = ("_counts", "_next_handler", "_next_room", "_orders", "_recorders")

    def __init__(self, counts: OrderCounts) -> None:
        self._counts = counts
        self._next_room = self._next_handler = 0
        self._recorders: list[Recorder] = []
        self._orders: dict[Room, list[list[Message]]] = {}  # of each member of the sampled rooms

    def next_sample(self, rooms: Sequence[Room], handlers: Sequence[MessageHandler]) -> Iterator[None]:
        """Compare the rooms of the present sample, and start one of the next rooms.

        The iterator yields after each step, since a long pause would delay deliveries.

        Args:
            rooms: the rooms of this process.
            handlers: of all users of this process.
        """
        yield from self.compare()
        self._orders = {room: [] for room in self._choose(rooms)}
        if not self._orders or not handlers:
            return
        start = self._next_handler % len(handlers)
        for number in chain(range(start, len(handlers)), range(start)):
            handler = handlers[number]
            if handler.on_delivery is None:
                orders = self._add(handler.memberships.values())
                if orders:
                    self._recorders.append(Recorder(handler, orders))
                    self._next_handler = number + 1
            yield

    def _choose(self, rooms: Sequence[Room]) -> list[Room]:
        """Return the next rooms in turn that have `MAX_MEMBERS` members together, at least one room."""
        chosen: list[Room] = []
        members = 0
        for _ in rooms:
            room = rooms[self._next_room % len(rooms)]
            if chosen and members + room.joined_count > MAX_MEMBERS:
                break
            self._next_room += 1
            if room.joined_count > 1:
                chosen.append(room)
                members += room.joined_count
        return chosen

    def _add(self, memberships: Iterable[Membership]) -> dict[Membership, list[Message]]:
        """Add those of a user's memberships whose rooms are sampled; return where to record what they receive."""
        added: dict[Membership, list[Message]] = {}
        for membership in memberships:
            orders = self._orders.get(membership.room)
            if orders is not None and len(orders) < MAX_MEMBERS:
                added[membership] = []
                orders.append(added[membership])
        return added

    def compare(self) -> Iterator[None]:
        """End the present sample and count its result; the iterator yields after each member."""
        for recorder in self._recorders:
            recorder.stop()
        self._recorders = []
        while self._orders:
            _, orders = self._orders.popitem()
            comparison = OrderComparison()
            for order in common_part(orders):
                comparison.add(order)
                yield
            self._counts.add(comparison.counts())
