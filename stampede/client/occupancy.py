"""How many clients of a process are in their rooms, counted at each join and leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stampede.ledger.room import Room


class Occupancy:
    """The clients in their rooms.

    A loop over 6 000 clients takes 30 ms, so each join and leave updates the counts.

    Attributes:
        ready: clients who are in all of their rooms.
        rooms: rooms that are not empty.
        members: memberships of these rooms.
    """

    __slots__ = ("members", "ready", "rooms")

    def __init__(self) -> None:
        self.ready = self.rooms = self.members = 0

    def joined(self, room: Room) -> None:
        """Count a member that has just joined."""
        self.members += 1
        self.rooms += room.joined_count == 1

    def left(self, room: Room) -> None:
        """Count a member that has just left."""
        self.members -= 1
        self.rooms -= not room.joined_count
