"""One place of the pool: a person with a name, a room and habits, over however many connections that takes.

A Locust user only lends it a greenlet. When Locust stops a user it picks any; the pool then ends the session at the
last place of that kind and gives its greenlet the session of the stopped one, so that rooms empty one after the other
in place of thinning out all at once.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Final, Protocol

from stampede.client.client import ChatClient
from stampede.measure import measures
from stampede.measure.machine import limit_of
from stampede.measure.storm import Manner
from stampede.websocket.target import ClientError, LostError
from stampede.workload.schedule import Action

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gevent.event import Event

    from stampede.ledger.room import Room
    from stampede.measure.storm import Storm
    from stampede.pool.user_pool import UserPool
    from stampede.workload.schedule import ScheduledAction
    from stampede.workload.scheduler import ScheduleHandle

CONNECT_TIMEOUT: Final = 10.0
JOIN_TIMEOUT: Final = 10.0
LEAVE_GRACE: Final = 2.0
CLOSE_TIMEOUT: Final = 2.0


class Owner(Protocol):
    """Who lends a session its greenlet."""

    wake: Event
    session: Session | None


def swap(one: Session, other: Session) -> None:
    """Exchange the greenlets of two sessions."""
    one.owner, other.owner = other.owner, one.owner
    one.owner.session, other.owner.session = one, other
    one.resting, other.resting = other.resting, one.resting


class Session:
    """A person of the pool; made by `UserPool.arrive`.

    Attributes:
        place: number of the place in this process.
        client: the connection now, or the last one.
        owner: the Locust user that lends the greenlet.
        resting: whether that greenlet only waits for `owner.wake`.
        asked: how it is asked to drop its connection, if it is.
        dropped_at: when the connection was dropped on purpose, on the monotonic clock, until it is resynced; else 0.
    """

    __slots__ = (
        *("_before", "_pool", "_room", "_storm", "_schedules", "asked", "client", "dropped_at", "owner", "place"),
        "resting",
    )

    def __init__(self, pool: UserPool, place: int, owner: Owner, room: Room) -> None:
        self._pool = pool
        self._room = room
        self._schedules: list[ScheduleHandle] = []
        self.place = place
        self.owner = owner
        self.resting = False
        self.asked: tuple[Manner, Storm | None] | None = None
        self._storm: Storm | None = None
        self._before = 0
        self.dropped_at = 0
        self.client = ChatClient(pool.measures, pool.identity, self._on_lost, pool.padding)

    def _on_lost(self) -> None:
        self.owner.wake.set()

    def follow(self, schedule: Iterator[ScheduledAction], *, speaks: bool = True) -> None:
        """Act when the schedule says so, from now on and over all connections; `speaks`: it sends chat messages."""
        if speaks:
            self._room.senders.add(self.place)
        self._schedules.append(self._pool.scheduler.add(self, schedule, monotonic_ns()))

    def perform(self, action: Action, intended: int) -> None:
        """Do what is due; called by the scheduler."""
        if action is Action.SAY:
            self.client.say(intended)
        elif action is Action.TYPE:
            self.client.type(intended)
        else:
            self.client.ping(intended)

    def connect(self, intended: int | None = None) -> None:
        """Connect and join; one of few at a time in the process, so that a ramp does not stall it.

        Args:
            intended: when the user wanted to connect, in monotonic nanoseconds; now if it is not given. The wait for
                others to be let in counts, since a slow server makes it longer.

        Raises:
            ClientError: it failed, and has been counted.
        """
        pool = self._pool
        requests = pool.measures.requests
        wanted = monotonic_ns() if intended is None else intended
        with pool.gate:
            try:
                self.client.connect(pool.reactor, pool.target, CONNECT_TIMEOUT, pool.token(self))
            except ClientError as error:
                requests[measures.CONNECT].failed(error.label)
                if error.fault is not None:
                    pool.count_fault(error.fault, limit_of(error.fault))
                raise
            connected = monotonic_ns()
            requests[measures.CONNECT].done(connected - wanted)
            if self._storm is not None:
                self._storm.reconnect(connected)
            if self.dropped_at:
                self.client.on_delivery = self._resynced
            try:
                self.client.join(pool.user_name(self), pool.room_name(self._room), self._room, JOIN_TIMEOUT)
            except LostError:
                raise
            except ClientError as error:
                requests[measures.JOIN].failed(error.label)
                self.client.vanish()
                raise
            requests[measures.JOIN].done(monotonic_ns() - connected)
            if self.dropped_at and self._is_in_silence:
                self.client.ask_pong(self._answered)

    @property
    def _is_in_silence(self) -> bool:
        """Whether nobody else speaks in the room, so that there is no delivery to wait for."""
        return not self._room.senders - {self.place}

    def _answered(self, now: int) -> None:
        """Take a pong for the first delivery, unless one has come or may come."""
        if self.dropped_at and self._is_in_silence:
            self._pool.measures.resynced_by_pong += 1
            self._resynced(now)

    def _resynced(self, now: int) -> None:
        took = now - self.dropped_at
        self._pool.measures.requests[measures.RESYNC].done(took)
        self.dropped_at = 0
        self.client.on_delivery = None
        storm, self._storm = self._storm, None
        if storm is not None and self.client.membership is not None:
            storm.resync(now, took, self.client.membership, self._before)

    def ask_to_drop(self, manner: Manner, storm: Storm | None = None) -> None:
        """Let whoever lends the greenlet drop the connection and come back."""
        self.asked = (manner, storm)
        self.owner.wake.set()

    def drop_if_asked(self) -> None:
        """Drop the connection if it was asked for."""
        asked, self.asked = self.asked, None
        if asked is not None and self.client.is_ready:
            self.drop(*asked)

    def drop(self, manner: Manner, storm: Storm | None) -> None:
        """Drop the connection now; an abrupt end takes no time, a polite one waits for the server's answer.

        The owner's greenlet comes back, by the policy of `--backoff`.
        """
        self.forget_storm()
        self.client.away = True
        self.dropped_at = monotonic_ns()
        if storm is not None:
            self._storm = storm
            storm.drop(self.dropped_at)
        polite = manner is Manner.POLITE
        on_its_way = self.client.leave(0, CLOSE_TIMEOUT) if polite else self.client.vanish()
        self._before = sum(self._room.next_seq) - on_its_way
        self.owner.wake.set()

    def forget_storm(self) -> None:
        """Be no longer awaited by the storm that dropped it."""
        storm, self._storm = self._storm, None
        if storm is not None:
            storm.lose(monotonic_ns())

    def end(self) -> None:
        """Stop acting, hear out what is in flight, say goodbye."""
        for handle in self._schedules:
            handle.cancel()
        self._room.senders.discard(self.place)
        self.forget_storm()
        self.client.give_up()
        self.client.leave(LEAVE_GRACE, CLOSE_TIMEOUT)
