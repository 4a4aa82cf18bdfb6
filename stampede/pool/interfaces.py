"""The user and the pool, as a session uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from stampede.client.user_steps import UserSteps

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    import gevent
    from gevent.event import AsyncResult
    from gevent.lock import BoundedSemaphore

    from stampede.client.context import ClientContext
    from stampede.generator_faults import FaultKind
    from stampede.ledger.room import Room
    from stampede.measure.measures import Measures
    from stampede.pool.storms import Storms
    from stampede.websocket.reactor import Reactor
    from stampede.websocket.target import Target
    from stampede.workload.address_deal import AddressDeal
    from stampede.workload.backoff import Backoff
    from stampede.workload.scheduler import Scheduler

RoomSetups: TypeAlias = dict[str, "AsyncResult[dict[str, str]]"]
"""What the setup of each room over HTTP has saved. The users of a room are in one process, and share it."""


class User(UserSteps, Protocol):
    """The user that a session belongs to."""

    @property
    def user_class(self) -> type:
        """The class whose places the user takes."""

    def reconnect_backoff(self) -> Backoff:
        """Return the policy of the next reconnect."""


class Pool(Protocol):
    """The part of the pool that a session uses."""

    address_deal: AddressDeal
    backoff_rng: Random
    is_closed: bool
    reconnects: bool
    client_context: ClientContext
    connect_slots: BoundedSemaphore
    measures: Measures
    reactor: Reactor
    scheduler: Scheduler
    storms: Storms
    target: Target

    def wait_until_on_time(self) -> int:
        """Wait while scheduled actions are late; return the nanoseconds that this took."""

    def room(self, name: str) -> Room:
        """Return the ledger of a room."""

    def count_fault(self, kind: FaultKind, value: str) -> None:
        """Count a fault of the load generator."""

    def spawn(self, run: Callable[[], None]) -> gevent.Greenlet[..., None]:
        """Run a function in a greenlet; an exception is an internal fault of the load generator."""
