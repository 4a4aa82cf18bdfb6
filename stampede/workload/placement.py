"""The assignment of users to rooms and processes; pure.

A room belongs to one process. Its ledger is therefore exact without any exchange between processes: members, messages
sent and messages received are known in one place, on one clock. The server sees no difference. There are three
disadvantages: one process must be able to receive all deliveries of a room, each process needs at least one room, and
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

_LATE_OFFSET: Final = 10_000_000
"""Distance between the numbers of two late processes: more rooms, and more users, than any process has."""


@dataclass(frozen=True, slots=True)
class Partition:
    """The part of all users and rooms that one process runs.

    Attributes:
        position: of the process among the `of` processes that were there when the run began.
        of: number of these processes.
        late: 0 for these; n for the n-th process that joined during the run. Its users and rooms are additional ones.
    """

    position: int
    of: int
    late: int = 0

    def number(self, local: int) -> int:
        """Return the global number of the `local`-th room, or user, of this process; no other process has it."""
        return self.late * _LATE_OFFSET + local if self.late else self.position + local * self.of

    def select(self, items: Iterator[T]) -> Iterator[T]:
        """Return the items of a common sequence that belong to this process."""
        return items if self.late else islice(items, self.position, None, self.of)


@dataclass(frozen=True, slots=True)
class RoomPlan:
    """How users are spread over rooms: a fixed number of rooms, or rooms of a fixed size; the other one is None.

    Each user is in `per_user` rooms.
    """

    rooms: int | None
    size: int | None
    per_user: int = 1

    def rooms_of(self, partition: Partition) -> int | None:
        """Return how many rooms of a fixed number a process has; a late process gets as many additional ones."""
        if self.rooms is None:
            return None
        if partition.late:
            return max(1, self.rooms // partition.of)
        return len(range(partition.position, self.rooms, partition.of))

    def rooms_of_user(self, place: int, partition: Partition) -> list[int]:
        """Return the global numbers of the rooms of the `place`-th user of a process.

        Rooms of a fixed size are filled one after the other: as many users as fit into a room share their rooms. A
        fixed number of rooms is filled in turn.
        """
        group = place // self.size if self.size is not None else place
        local = range(group * self.per_user, (group + 1) * self.per_user)
        if self.size is None:
            rooms = self.rooms_of(partition) or 1
            return [partition.number(room % rooms) for room in local]
        return [partition.number(room) for room in local]


class Placement:
    """The numbered places of one process, each reserved for one user class.

    Locust spawns user classes in a fixed order, but the users of one second class by class. Rooms that were filled in
    that order would be full of senders or silent. So the places follow the fixed order, and a user gets the lowest free
    place of its class.

    Args:
        order: names of the user classes of all places, one after the other; it may end.
    """

    __slots__ = ("_count", "_free", "_order")

    def __init__(self, order: Iterator[str]) -> None:
        self._order = order
        self._free: dict[str, list[int]] = {}
        self._count = 0

    def allocate(self, user_class: str) -> int:
        """Return the lowest free place of a user class; after the end of the order, the next new place."""
        free = self._free.setdefault(user_class, [])
        while not free:
            self._free.setdefault(next(self._order, user_class), []).append(self._count)
            self._count += 1
        return free.pop(0)

    def release(self, place: int, user_class: str) -> None:
        """Free a place."""
        insort(self._free[user_class], place)
