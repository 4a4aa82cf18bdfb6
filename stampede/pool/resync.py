"""Measures how long a user that was dropped takes until it receives deliveries again."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

from stampede.measure import request_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.client.chat_connection import ChatConnection
    from stampede.ledger.membership import Membership
    from stampede.ledger.room import Room
    from stampede.measure.measures import Measures
    from stampede.measure.storm import Storm
    from stampede.measure.watch import Watch


class Resync:
    """The drops of one user, and its resyncs.

    A user has resynced with its first delivery, or with a pong if no other user sends messages to its rooms.

    Args:
        connection: of the user.
        measures: of the process.
        is_silent: returns whether no other user sends messages to the user's rooms.

    Attributes:
        dropped_at: when the connection was dropped on purpose or lost in a watch (monotonic nanoseconds), until the
            resync; else 0.
    """

    __slots__ = ("_connection", "_is_silent", "_measures", "_sent_before_drop", "_storm", "dropped_at")

    def __init__(self, connection: ChatConnection, measures: Measures, is_silent: Callable[[], bool]) -> None:
        self._connection = connection
        self._measures = measures
        self._is_silent = is_silent
        self._storm: Storm | None = None
        self._sent_before_drop = 0
        self.dropped_at = 0

    def begin(self, storm: Storm | None) -> None:
        """Begin a drop, as part of a storm if one is given."""
        self.abandon()
        self._connection.is_offline = True
        self.dropped_at = monotonic_ns()
        if storm is not None:
            self._storm = storm
            storm.drop(self.dropped_at)

    def lose(self, watch: Watch, cause: str, rooms: list[Room], in_flight: int) -> None:
        """Count a lost connection in a watch. It begins a drop, unless the user has not resynced from its last one."""
        now = monotonic_ns()
        watch.lose(now, cause)
        if self._storm is watch:
            return
        self.abandon()
        handler = self._connection.handler
        watch.begin_outage(is_first=handler.storm is not watch)
        handler.storm = self._storm = watch
        self.dropped_at = now
        self.dropped(rooms, in_flight)

    def dropped(self, rooms: list[Room], in_flight: int) -> None:
        """Record how many messages the rooms had sent up to the drop, without those in flight to this user."""
        self._sent_before_drop = sum(sum(room.next_seq) for room in rooms) - in_flight

    def abandon(self) -> None:
        """Remove the user from the storm that dropped it, which then does not wait for its resync."""
        storm, self._storm = self._storm, None
        if storm is not None:
            storm.abandon(monotonic_ns())

    def connected(self, now: int) -> None:
        """Count a new connection for the storm in progress."""
        if self._storm is not None:
            self._storm.reconnect(now)

    def expect_delivery(self) -> None:
        """Let the next delivery end a drop; call this before the joins."""
        if self.dropped_at:
            self._connection.handler.on_delivery = self._on_delivery

    def request_pong(self) -> None:
        """Let a pong end a drop in silent rooms; call this after the joins."""
        if self.dropped_at and self._is_silent():
            self._connection.request_pong(self._on_pong)

    def _on_delivery(self, now: int, _membership: Membership, _slot: int, _seq: int) -> None:
        self._end(now)

    def _on_pong(self, now: int) -> None:
        """Count the resync in a silent room, unless a delivery has shown it already."""
        if self.dropped_at and self._is_silent():
            self._measures.resynced_by_pong += 1
            self._end(now)

    def _end(self, now: int) -> None:
        duration = now - self.dropped_at
        self._measures.requests[request_names.RESYNC].done(duration)
        self.dropped_at = 0
        handler = self._connection.handler
        handler.on_delivery = None
        storm, self._storm = self._storm, None
        if storm is not None:
            storm.resync(now, duration, list(handler.memberships.values()), self._sent_before_drop)
