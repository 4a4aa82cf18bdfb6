"""Who goes into which room: pure.

A room lives in one process. That makes its ledger exact without any agreement between processes: who is a member, what
was sent and what came is all known in one place, on one clock. The server cannot tell the difference. The price: one
room's deliveries are limited by what one generator process can take, and there must be at least one room a process.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of the herd a process is: number `position` of `of`."""

    position: int
    of: int


@dataclass(frozen=True, slots=True)
class RoomPlan:
    """How users are spread over rooms: a fixed number of rooms, or rooms of a fixed size; the other one is None."""

    rooms: int | None
    size: int | None

    def rooms_of(self, share: Share) -> int | None:
        """Return how many rooms of a fixed number a process has."""
        return None if self.rooms is None else len(range(share.position, self.rooms, share.of))

    def room_of(self, place: int, share: Share) -> int:
        """Return the global number of the room of the `place`-th user of a process.

        Rooms of a fixed size are filled one after the other; over a fixed number users are dealt in turn. The rooms of
        all processes are numbered in turn, so that numbers never meet.
        """
        rooms = self.rooms_of(share)
        local = place // self.size if self.size is not None else place % (rooms or 1)
        return share.position + local * share.of


class Places:
    """The numbered places of one process; always the lowest free one is taken, so that rooms stay full."""

    __slots__ = ("_free", "_next")

    def __init__(self) -> None:
        self._free: list[int] = []
        self._next = 0

    def take(self) -> int:
        """Take the lowest free place."""
        if self._free:
            return self._free.pop(0)
        self._next += 1
        return self._next - 1

    def give_back(self, place: int) -> None:
        """Free a place."""
        insort(self._free, place)
        while self._free and self._free[-1] == self._next - 1:
            self._free.pop()
            self._next -= 1
