"""The user and the pool, as a session uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    import gevent
    from gevent.event import AsyncResult
    from gevent.lock import BoundedSemaphore

    from stampede.client.context import ClientContext
    from stampede.client.credentials import Credentials
    from stampede.dialects.base import Conversation
    from stampede.generator_faults import FaultKind
    from stampede.ledger.room import Room
    from stampede.measure.measures import Measures
    from stampede.websocket.reactor import Reactor
    from stampede.websocket.target import Target
    from stampede.workload.backoff import Backoff
    from stampede.workload.scheduler import Scheduler

RoomSetups: TypeAlias = dict[str, "AsyncResult[dict[str, str]]"]
"""What the setup of each room over HTTP has saved. The users of a room are in one process, and share it."""


class User(Protocol):
    """The user that a session belongs to."""

    @property
    def user_class(self) -> type:
        """The class whose places the user takes."""

    @property
    def post(self) -> Callable[[str, str], bool] | None:
        """Sends a text to a room in place of the connection, if the server takes messages over HTTP; else None."""

    def reconnect_backoff(self) -> Backoff:
        """Return the policy of the next reconnect."""

    def credentials(self, rooms: Sequence[str]) -> Credentials | None:
        """Log in before a connection attempt; return what to connect with, or None for the token of its account.

        Raises:
            ClientError: the login failed.
        """

    def prepare_join(self, room: str, conversation: Conversation) -> bool:
        """Prepare the join of a room, for example by an HTTP request; return whether the server has confirmed it.

        Raises:
            ClientError: the room cannot be joined.
        """


class Pool(Protocol):
    """The part of the pool that a session uses."""

    backoff_rng: Random
    is_closed: bool
    reconnects: bool
    client_context: ClientContext
    connect_slots: BoundedSemaphore
    measures: Measures
    reactor: Reactor
    scheduler: Scheduler
    target: Target

    def room(self, name: str) -> Room:
        """Return the ledger of a room."""

    def count_fault(self, kind: FaultKind, value: str) -> None:
        """Count a fault of the load generator."""

    def spawn(self, run: Callable[[], None]) -> gevent.Greenlet[..., None]:
        """Run a function in a greenlet; an exception is an internal fault of the load generator."""
