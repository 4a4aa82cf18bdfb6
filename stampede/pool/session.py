"""A virtual user's state, kept across reconnects.

A session runs in the greenlet of a Locust user, its *owner*. Locust stops arbitrary users of a class. The pool then
ends the session at the highest place of that class instead, and gives the stopped session to the remaining owner. So
rooms become empty one after the other instead of all thinning out together.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Final, Protocol

from stampede.client.client import ChatClient
from stampede.health.machine import limit_of
from stampede.measure import request_names
from stampede.measure.storm import Manner
from stampede.websocket.errors import ClientError, LostError
from stampede.workload.schedule import Action

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gevent.event import Event
    from gevent.lock import BoundedSemaphore

    from stampede.client.context import ClientContext
    from stampede.generator_faults import FaultKind
    from stampede.ledger.room import Room
    from stampede.measure.measures import Measures
    from stampede.measure.storm import Storm
    from stampede.websocket.reactor import Reactor
    from stampede.websocket.target import Target
    from stampede.workload.schedule import ScheduledAction
    from stampede.workload.scheduler import ScheduleHandle, Scheduler

CONNECT_TIMEOUT: Final = 10.0
JOIN_TIMEOUT: Final = 10.0
LEAVE_GRACE: Final = 2.0
CLOSE_TIMEOUT: Final = 2.0


class Owner(Protocol):
    """The Locust user whose greenlet runs a session.

    Attributes:
        wake: set when the session needs the greenlet, for example to reconnect.
        session: the session that the greenlet runs.
    """

    wake: Event
    session: Session | None


class Pool(Protocol):
    """The part of the pool that a session uses."""

    client_context: ClientContext
    connect_slots: BoundedSemaphore
    measures: Measures
    reactor: Reactor
    scheduler: Scheduler
    target: Target

    def token(self, session: Session) -> str | None:
        """Return the token that a user connects with."""

    def user_name(self, session: Session) -> str:
        """Return the name that a user sets."""

    def room_name(self, room: Room) -> str:
        """Return the name of a room on the server."""

    def count_fault(self, kind: FaultKind, value: str) -> None:
        """Count a fault of the load generator."""


def swap_owners(one: Session, other: Session) -> None:
    """Exchange the greenlets of two sessions."""
    one.owner, other.owner = other.owner, one.owner
    one.owner.session, other.owner.session = one, other
    one.is_idle, other.is_idle = other.is_idle, one.is_idle


class Session:
    """A virtual user; created by `UserPool.add_user`.

    Attributes:
        place: number of the user in this process.
        client: its chat client.
        owner: the Locust user whose greenlet runs the session.
        is_idle: whether that greenlet only waits for `owner.wake`.
        drop_request: how to drop the connection, and for which storm, if that has been requested.
        dropped_at: when the connection was dropped on purpose (monotonic nanoseconds), until the resync; else 0.
    """

    __slots__ = (
        "_pool",
        "_room",
        "_schedules",
        "_sent_before_drop",
        "_storm",
        "client",
        "drop_request",
        "dropped_at",
        "is_idle",
        "owner",
        "place",
    )

    def __init__(self, pool: Pool, place: int, owner: Owner, room: Room) -> None:
        self._pool = pool
        self._room = room
        self._schedules: list[ScheduleHandle] = []
        self._storm: Storm | None = None
        self._sent_before_drop = 0
        self.place = place
        self.owner = owner
        self.is_idle = False
        self.drop_request: tuple[Manner, Storm | None] | None = None
        self.dropped_at = 0
        self.client = ChatClient(pool.client_context, self._on_lost)

    def _on_lost(self) -> None:
        self.owner.wake.set()

    # --- schedule ---

    def follow(self, schedule: Iterator[ScheduledAction], *, sends_messages: bool = True) -> None:
        """Perform the actions of a schedule that starts now and continues over all connections.

        Args:
            schedule: the actions.
            sends_messages: whether chat messages are among them.
        """
        if sends_messages:
            self._room.senders.add(self.place)
        self._schedules.append(self._pool.scheduler.add(self, schedule, monotonic_ns()))

    def perform(self, action: Action, intended: int) -> None:
        """Perform an action that was due at `intended`; called by the scheduler."""
        if action is Action.SAY:
            self.client.say(intended)
        elif action is Action.TYPE:
            self.client.type(intended)
        else:
            self.client.ping(intended)

    # --- connection ---

    def connect(self, intended: int | None = None) -> None:
        """Connect and join the room; a limited number of users of a process do so at a time.

        Args:
            intended: when the user wanted to connect, in monotonic nanoseconds; now if omitted. The time spent waiting
                for other users to connect counts, since a slow server makes it longer.

        Raises:
            ClientError: the attempt failed and has been counted.
        """
        pool = self._pool
        requests = pool.measures.requests
        wanted = monotonic_ns() if intended is None else intended
        with pool.connect_slots:
            try:
                self.client.connect(pool.reactor, pool.target, CONNECT_TIMEOUT, pool.token(self))
            except ClientError as error:
                requests[request_names.CONNECT].failed(error.label)
                if error.fault is not None:
                    pool.count_fault(error.fault, limit_of(error.fault))
                raise
            connected = monotonic_ns()
            requests[request_names.CONNECT].done(connected - wanted)
            if self._storm is not None:
                self._storm.reconnect(connected)
            if self.dropped_at:
                self.client.on_delivery = self._on_resync
            try:
                self.client.join(pool.user_name(self), pool.room_name(self._room), self._room, JOIN_TIMEOUT)
            except LostError:
                raise
            except ClientError as error:
                requests[request_names.JOIN].failed(error.label)
                self.client.drop()
                raise
            requests[request_names.JOIN].done(monotonic_ns() - connected)
            if self.dropped_at and self._room_is_silent:
                self.client.request_pong(self._on_pong)

    @property
    def _room_is_silent(self) -> bool:
        """Whether no other user sends messages to the room, so that no delivery can show the resync."""
        return not self._room.senders - {self.place}

    def _on_pong(self, now: int) -> None:
        """Count the resync in a silent room, unless a delivery has shown it already."""
        if self.dropped_at and self._room_is_silent:
            self._pool.measures.resynced_by_pong += 1
            self._on_resync(now)

    def _on_resync(self, now: int) -> None:
        duration = now - self.dropped_at
        self._pool.measures.requests[request_names.RESYNC].done(duration)
        self.dropped_at = 0
        self.client.on_delivery = None
        storm, self._storm = self._storm, None
        if storm is not None and self.client.membership is not None:
            storm.resync(now, duration, self.client.membership, self._sent_before_drop)

    # --- drops ---

    def request_drop(self, manner: Manner, storm: Storm | None = None) -> None:
        """Let the owner's greenlet drop the connection and reconnect."""
        self.drop_request = (manner, storm)
        self.owner.wake.set()

    def drop_if_requested(self) -> None:
        """Drop the connection if that has been requested; called by the owner's greenlet."""
        request, self.drop_request = self.drop_request, None
        if request is not None and self.client.is_ready:
            self.drop(*request)

    def drop(self, manner: Manner, storm: Storm | None) -> None:
        """Drop the connection now; the owner's greenlet reconnects by the policy of `--backoff`.

        An abrupt drop does not block. A polite one waits for the server's close frame.
        """
        self.leave_storm()
        self.client.is_offline = True
        self.dropped_at = monotonic_ns()
        if storm is not None:
            self._storm = storm
            storm.drop(self.dropped_at)
        in_flight = self.client.leave(0, CLOSE_TIMEOUT) if manner is Manner.POLITE else self.client.drop()
        self._sent_before_drop = sum(self._room.next_seq) - in_flight
        self.owner.wake.set()

    def leave_storm(self) -> None:
        """Tell the storm that dropped this user not to wait for its resync."""
        storm, self._storm = self._storm, None
        if storm is not None:
            storm.abandon(monotonic_ns())

    # --- end ---

    def end(self) -> None:
        """Stop all schedules, wait shortly for deliveries in flight, and close the connection."""
        for handle in self._schedules:
            handle.cancel()
        self._room.senders.discard(self.place)
        self.leave_storm()
        self.client.discard_queued()
        self.client.leave(LEAVE_GRACE, CLOSE_TIMEOUT)
