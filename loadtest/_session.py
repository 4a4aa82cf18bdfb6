"""One place of the herd: a person with a name, a room and habits, over however many connections that takes.

A Locust user only lends it a greenlet. When Locust stops a user it picks any; the herd then ends the session at the
last place of that kind and gives its greenlet the session of the stopped one, so that rooms empty one after the other
in place of thinning out all at once.
"""

from __future__ import annotations

from enum import Enum
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, Protocol

from loadtest import _measures
from loadtest._chat import ChatClient
from loadtest._target import ClientError, LostError
from loadtest._timeline import Act

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gevent.event import Event

    from loadtest._herd import Herd
    from loadtest._ledger import Room
    from loadtest._pacer import Ticket
    from loadtest._timeline import Due

CONNECT_TIMEOUT: Final = 10.0
JOIN_TIMEOUT: Final = 10.0
LEAVE_GRACE: Final = 2.0
CLOSE_TIMEOUT: Final = 2.0


class Owner(Protocol):
    """Who lends a session its greenlet."""

    wake: Event
    session: Session | None


class Storm(Enum):
    """How a connection is dropped: cut off, or with a goodbye."""

    ABRUPT = "abrupt"
    POLITE = "polite"


def swap(one: Session, other: Session) -> None:
    """Exchange the greenlets of two sessions."""
    one.owner, other.owner = other.owner, one.owner
    one.owner.session, other.owner.session = one, other
    one.resting, other.resting = other.resting, one.resting


class Session:
    """A person of the herd; made by `Herd.arrive`.

    Attributes:
        place: number of the place in this process.
        client: the connection now, or the last one.
        owner: the Locust user that lends the greenlet.
        resting: whether that greenlet only waits for `owner.wake`.
        storm: how a storm asks it to be dropped, if it does.
        dropped_at: when a storm cut the connection, on the monotonic clock, until it is resynced; else 0.
    """

    __slots__ = ("_herd", "_room", "_tickets", "client", "dropped_at", "owner", "place", "resting", "storm")

    def __init__(self, herd: Herd, place: int, owner: Owner, room: Room) -> None:
        self._herd = herd
        self._room = room
        self._tickets: list[Ticket] = []
        self.place = place
        self.owner = owner
        self.resting = False
        self.storm: Storm | None = None
        self.dropped_at = 0
        self.client = ChatClient(herd.measures, herd.identity, self._on_lost)

    def _on_lost(self) -> None:
        self.owner.wake.set()

    def follow(self, timeline: Iterator[Due]) -> None:
        """Act when the timeline says so, from now on and over all connections."""
        self._tickets.append(self._herd.pacer.add(self, timeline, monotonic_ns()))

    def act(self, act: Act, intended: int) -> None:
        """Do what is due; called by the pacer."""
        if act is Act.SAY:
            self.client.say(intended, self._herd.padding)
        elif act is Act.TYPE:
            self.client.type(intended)
        else:
            self.client.ping()

    def connect(self) -> None:
        """Connect and join; one of few at a time in the process, so that a ramp does not stall it.

        Raises:
            ClientError: it failed, and has been counted.
        """
        herd = self._herd
        requests = herd.measures.requests
        with herd.gate:
            began = monotonic_ns()
            try:
                self.client.connect(herd.reactor, herd.target, CONNECT_TIMEOUT)
            except ClientError as error:
                requests[_measures.CONNECT].failed(error.label)
                raise
            connected = monotonic_ns()
            requests[_measures.CONNECT].done(connected - began)
            if self.dropped_at:
                self.client.on_delivery = self._resynced
            try:
                self.client.join(herd.user_name(self), herd.room_name(self._room), self._room, JOIN_TIMEOUT)
            except LostError:
                raise
            except ClientError as error:
                requests[_measures.JOIN].failed(error.label)
                self.client.vanish()
                raise
            requests[_measures.JOIN].done(monotonic_ns() - connected)

    def _resynced(self, now: int) -> None:
        self._herd.measures.requests[_measures.RESYNC].done(now - self.dropped_at)
        self.dropped_at = 0
        self.client.on_delivery = None

    def ask_to_drop(self, storm: Storm) -> None:
        """Let whoever lends the greenlet drop the connection and come back."""
        self.storm = storm
        self.owner.wake.set()

    def drop_if_asked(self) -> None:
        """Drop the connection if a storm asks for it."""
        storm, self.storm = self.storm, None
        if storm is None:
            return
        self._herd.measures.drops += 1
        self.dropped_at = monotonic_ns()
        if storm is Storm.POLITE:
            self.client.leave(0, CLOSE_TIMEOUT)
        else:
            self.client.vanish()

    def end(self) -> None:
        """Stop acting, hear out what is in flight, say goodbye."""
        for ticket in self._tickets:
            ticket.cancel()
        self.client.leave(LEAVE_GRACE, CLOSE_TIMEOUT)
