"""Who goes into which room: pure.

A room lives in one process. That makes its ledger exact without any agreement between processes: who is a member, what
was sent and what came is all known in one place, on one clock. The server cannot tell the difference. The price: one
room's deliveries are limited by what one generator process can take, there must be at least one room a process, and
the last room of each process may be only partly full.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator


T = TypeVar("T")

_LATE: Final = 10_000_000
"""Numbers between one late process and the next: more rooms, and more users, than any process has."""


@dataclass(frozen=True, slots=True)
class Partition:
    """Which part of the pool a process is: number `position`, in a run that began with `of` of them.

    One that joined in mid-run is the `late`-th one to do so; it has rooms and users beside those that were dealt out at
    the start. The others: 0.
    """

    position: int
    of: int
    late: int = 0

    def number(self, local: int) -> int:
        """Return the global number of the `local`-th room, or user, of this process: those of two never meet."""
        return self.late * _LATE + local if self.late else self.position + local * self.of

    def dealt(self, items: Iterator[T]) -> Iterator[T]:
        """Return those items of a common order that fall to this process."""
        return items if self.late else islice(items, self.position, None, self.of)


@dataclass(frozen=True, slots=True)
class RoomPlan:
    """How users are spread over rooms: a fixed number of rooms, or rooms of a fixed size; the other one is None."""

    rooms: int | None
    size: int | None

    def rooms_of(self, partition: Partition) -> int | None:
        """Return how many rooms of a fixed number a process has; a late one as many as others, beyond that number."""
        if self.rooms is None:
            return None
        return (
            max(1, self.rooms // partition.of)
            if partition.late
            else len(range(partition.position, self.rooms, partition.of))
        )

    def room_of(self, place: int, partition: Partition) -> int:
        """Return the global number of the room of the `place`-th user of a process.

        Rooms of a fixed size are filled one after the other; over a fixed number users are dealt in turn.
        """
        rooms = self.rooms_of(partition)
        local = place // self.size if self.size is not None else place % (rooms or 1)
        return partition.number(local)


class Placement:
    """The numbered places of one process, each for one kind of user; the lowest free one of a kind is taken.

    Locust hands out kinds in a fixed order, but makes the users of a second kind by kind: were rooms filled as users
    come, some would be full of talkers and others silent.

    Args:
        order: the kinds of all places, one after the other; it may end.
    """

    __slots__ = ("_count", "_free", "_order")

    def __init__(self, order: Iterator[str]) -> None:
        self._order = order
        self._free: dict[str, list[int]] = {}
        self._count = 0

    def take(self, kind: str) -> int:
        """Take the lowest free place of a kind; once the order has ended the next one is of any kind."""
        free = self._free.setdefault(kind, [])
        while not free:
            self._free.setdefault(next(self._order, kind), []).append(self._count)
            self._count += 1
        return free.pop(0)

    def give_back(self, place: int, kind: str) -> None:
        """Free a place."""
        insort(self._free[kind], place)
