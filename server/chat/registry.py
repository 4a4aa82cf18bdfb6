"""The index of a process: the open rooms, all chat clients and all watchers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.chat.broker import EVERYONE, WATCHERS
from server.chat.room import Room

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.chat.batching import BatchScheduler
    from server.stats import ServerStats


class Registry:
    """The rooms of one server process.

    Args:
        stats: counts the rooms created, and what happens in them.
        scheduler: flushes the rooms at the end of the loop iteration.
        clock: monotonic seconds.

    Attributes:
        rooms: rooms with members, by key (the name in normal form).
        everyone: all chat clients.
        watchers: the clients of `/ws/notifications`.
    """

    def __init__(self, stats: ServerStats, scheduler: BatchScheduler, clock: Callable[[], float]) -> None:
        self._stats = stats
        self._scheduler = scheduler
        self._clock = clock
        self.rooms: dict[str, Room] = {}
        self.everyone = self._make_room(EVERYONE, EVERYONE)
        self.watchers = self._make_room(WATCHERS, WATCHERS)
        self._audiences = {EVERYONE: self.everyone, WATCHERS: self.watchers}

    def open(self, name: str, key: str) -> Room:
        """Create a room and return it."""
        room = self.rooms[key] = self._make_room(name, key)
        self._stats.rooms_created += 1
        return room

    def close(self, room: Room) -> None:
        """Remove a room that has no members."""
        del self.rooms[room.key]

    def audience(self, key: str) -> Room | None:
        """Return a room, everyone for EVERYONE, or the watchers for WATCHERS; None for a room without local members."""
        room = self.rooms.get(key)
        return self._audiences.get(key) if room is None else room

    def _make_room(self, name: str, key: str) -> Room:
        return Room(name, key, self._stats, self._scheduler, self._clock)
