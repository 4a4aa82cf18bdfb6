"""All virtual users of one process during one test: their connections, rooms, schedules and measurements.

A test ends in this order: stop sending, drain in-flight deliveries and requests, finalise the ledger, close the
connections.
"""

from __future__ import annotations

import logging
import secrets
from collections import deque
from dataclasses import dataclass, field
from random import Random
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

import gevent
from gevent.lock import BoundedSemaphore

from stampede.client.context import DEFAULT_JOIN_GRACE, ClientContext
from stampede.client.credentials import for_dialect
from stampede.dialects.stampede import StampedeDialect
from stampede.generator_faults import FaultKind, Faults
from stampede.health.limits import MAX_OVERDUE_NS
from stampede.ledger.room import Room
from stampede.ledger.stamp import SIZE
from stampede.measure import drop_causes
from stampede.measure.measures import Measures
from stampede.pool.batch_reader import BatchReader, BatchSettings
from stampede.pool.droppers import Droppers
from stampede.pool.garbage import GarbageFreezer
from stampede.pool.order_sampler import OrderSampler
from stampede.pool.session import Session
from stampede.pool.storms import Storms
from stampede.websocket.reactor import Reactor
from stampede.workload.accounts import account_of
from stampede.workload.address_deal import AddressDeal
from stampede.workload.placement import Partition, Placement, RoomPlan
from stampede.workload.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from stampede.client.occupancy import Occupancy
    from stampede.dialects.base import Dialect
    from stampede.measure.storm import Manner
    from stampede.pool.interfaces import RoomSetups, User
    from stampede.websocket.target import Target

CONCURRENT_CONNECTS: Final = 128
"""Connection attempts in progress at a time.

An attempt lasts some event loop iterations of the server, each 80 ms long if it serves 12 000 users: with 32 attempts
at a time, 5 000 more took 11 s to arrive, and 8 s with 128.
"""

_MAX_WAIT_NS: Final = 500_000_000

SWEEP_SECONDS: Final = 5.0
"""Interval of the ledger's sweeps, without that of batches: a delivery is lost after one to two intervals of both."""

SWEEP_SLICE_NS: Final = 300_000
"""Nanoseconds of sweeping after which other greenlets run."""

QUIET_SECONDS: Final = 3.0
"""The drain ends when nothing has arrived for so long; deliveries in flight are then lost, requests cut off."""

MAX_DRAIN_SECONDS: Final = 20.0

_FIRST_OWN_ROOM: Final = 1 << 31
"""Number of the first room that a scenario names; numbers of planned rooms are smaller."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Settings of a pool.

    Attributes:
        plan: how users are spread over rooms.
        partition: the part of all users that this process runs.
        message_bytes: length of a chat message's text.
        seed: of all schedules; each place of each process derives its own stream.
        accounts: what the users log in with, assigned to them in turn; empty for a server without accounts.
        reconnect: whether users replace a lost or dropped connection.
        kept_names: names of requests that are kept also beyond the limit of names.
        join_grace: seconds after which a user counts as joined, if the server does not confirm joins.
        batches: which users are timed; the others are read in batches.
    """

    plan: RoomPlan
    partition: Partition
    message_bytes: int
    seed: int
    accounts: tuple[Mapping[str, str], ...] = ()
    reconnect: bool = True
    kept_names: tuple[str, ...] = ()
    join_grace: float = DEFAULT_JOIN_GRACE
    batches: BatchSettings = field(default_factory=BatchSettings)


class UserPool:
    """The users of one process; created when a test starts.

    Args:
        settings: of the pool.
        target: the server.
        order: names of the user classes that this process will run, in Locust's order.
        dialect: the wire protocol of the server; by default that of the bundled one.
        on_error: called with an exception of a scenario's callback.
        echoes: whether the server sends a chat message to its sender, too; None if the dialect says so.

    Attributes:
        measures: the counters and histograms of the process.
        client_context: the context of all chat clients.
        address_deal: deals the users over the addresses of the server.
        batch_reader: decides whose deliveries are timed, and reads the connections of the others.
        connect_slots: semaphore to hold while connecting.
        faults: faults of this machine and of the load generator.
        droppers: the periodic drops and the churn.
        draining: whether the end of the test has begun.
        is_closed: whether `close` has been called; then no user connects.
        reconnects: whether users replace a lost or dropped connection.
        room_setups: what the setup of each room over HTTP has saved.
        storms: the storms on command, and the watch.
        echoes: whether the server sends a chat message to its sender, too.
    """

    def __init__(
        self,
        settings: PoolSettings,
        target: Target,
        order: Iterator[str],
        dialect: Dialect | None = None,
        on_error: Callable[[Exception], None] | None = None,
        *,
        echoes: bool | None = None,
    ) -> None:
        dialect = dialect or StampedeDialect()
        self.settings = settings
        self.target = for_dialect(target, dialect)
        self.measures = Measures(settings.kept_names)
        self.client_context = ClientContext(
            self.measures,
            dialect,
            secrets.randbits(32),
            "." * (settings.message_bytes - SIZE),
            on_error or self._on_fault,
            join_grace=settings.join_grace,
        )
        self.address_deal = AddressDeal(target.addresses.first)
        self.connect_slots = BoundedSemaphore(CONCURRENT_CONNECTS)
        self.faults = Faults()
        self.reconnects = settings.reconnect
        self.echoes = bool(dialect.echoes if echoes is None else echoes)
        self.backoff_rng = self.rng("backoff")
        self.reactor = Reactor(self.rng("masks"), self._on_fault)
        self.scheduler = Scheduler(self._on_fault)
        self.room_setups: RoomSetups = {}
        self._rooms: dict[str, Room] = {}
        self._placement = Placement(order)
        self._sessions: dict[int, Session] = {}
        self._order_sampler = OrderSampler(self.measures.order)
        self.batch_reader = BatchReader(
            settings.batches,
            self._sessions,
            settings.partition,
            self.reactor,
            Random(f"{settings.seed}/timed").random(),
        )
        self._freezer = GarbageFreezer(self.reactor)
        self._sweeper = gevent.spawn(self._sweep)
        began = monotonic_ns()
        self.droppers = Droppers(self._ready_sessions, self.rng, self.measures.drops, began)
        self.storms = Storms(self.client_context, began)
        self.draining = False
        self.is_closed = False

    def rng(self, *stream: object) -> Random:
        """Return the random generator of one purpose in this process; the same seed gives the same numbers."""
        return Random(f"{self.settings.seed}/{self.settings.partition.position}/{'/'.join(map(str, stream))}")

    # --- users ---

    def add_user(self, user: User, room_name: str | None = None) -> Session:
        """Return a session for a new user, at the lowest free place of its class.

        Args:
            user: what the session belongs to.
            room_name: name of the room; None for the one that the plan assigns.
        """
        place = self._placement.allocate(user.user_class.__name__)
        if room_name is None:
            numbers = self.settings.plan.rooms_of_user(place, self.settings.partition)
            dialect = self.client_context.dialect
            rooms = [self._room(dialect.name_room(number), number) for number in numbers]
        else:
            rooms = [self.room(room_name)]
        account = account_of(self.settings.partition.number(place), self.settings.accounts)
        session = self._sessions[place] = Session(self, place, user, account, rooms)
        self.batch_reader.add(session)
        return session

    def remove_user(self, session: Session) -> None:
        """End the session of a user that Locust stops; blocks until its connection is closed."""
        if self._sessions.pop(session.place, None) is not None:
            self.batch_reader.remove()
            session.end()
            self._placement.release(session.place, session.user.user_class.__name__)

    def wait_until_on_time(self) -> int:
        """Wait while scheduled actions are late, 0.5 s at most; return the nanoseconds that this took.

        A new user costs this process as much CPU as about fifteen messages. If all connected at once, messages of the
        others would be late, and a server near its limit would get them in bursts.
        """
        began = monotonic_ns()
        while self.scheduler.overdue_ns > MAX_OVERDUE_NS and monotonic_ns() - began < _MAX_WAIT_NS:
            gevent.sleep(0.01)
        return monotonic_ns() - began

    def _ready_sessions(self, user_class: type = object) -> list[Session]:
        """Return the sessions of a user class that are in their room, by place."""
        ready = (
            s for s in self._sessions.values() if s.connection.is_ready and issubclass(s.user.user_class, user_class)
        )
        return sorted(ready, key=lambda session: session.place)

    # --- rooms ---

    def room(self, name: str) -> Room:
        """Return the ledger of a room that a scenario names. Its members in other processes are not part of it."""
        return self._room(name, _FIRST_OWN_ROOM + len(self._rooms))

    def _room(self, name: str, number: int) -> Room:
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = Room(number, name, self.measures.address_pairs, echoes=self.echoes)
        return room

    @property
    def occupancy(self) -> Occupancy:
        """The users in their rooms."""
        return self.client_context.occupancy

    # --- storms on command ---

    def storm(self, number: int, share: float, manner: Manner) -> None:
        """Drop a share of all users now and measure their resync.

        Abrupt drops are made in one go, without a switch to another greenlet. Polite drops need a greenlet each.
        """
        if self.draining:
            return
        ready = self._ready_sessions()
        chosen = set(self.rng("storm", number).sample(ready, round(share * len(ready))))
        storm = self.storms.begin(number, len(ready))
        self.measures.drops[drop_causes.STORM] += len(chosen)
        for session in ready:
            if session in chosen:
                session.connection.handler.storm = storm
                session.drop(manner, storm)

    def start_watch(self, number: int) -> None:
        """Measure from now on the users whose connection the server closes or that fails, until `end_watch`."""
        self.storms.start_watch(number, self.occupancy.ready)

    def end_watch(self) -> None:
        """Count no further user as dropped by the server."""
        self.storms.end_watch()

    # --- end of the test ---

    def drain(self, quiet: float = QUIET_SECONDS) -> None:
        """Stop sending, wait for deliveries and requests in flight, and finalise the ledger.

        Later calls have no effect.

        Args:
            quiet: seconds without a delivery after which deliveries in flight are lost and requests are cut off; 0 for
                no wait.
        """
        context = self.client_context
        if context.is_draining:
            return
        self.stop_schedules()
        self.batch_reader.close()
        context.is_draining = True
        began = last_change = monotonic_ns()
        progress = self._progress()
        while self._has_in_flight():
            now = monotonic_ns()
            gevent.sleep(0.02)
            gevent.sleep(0)  # after a stall of this process, the first sleep ends before the sockets have been read
            if progress != (progress := self._progress()):
                last_change = monotonic_ns()
            if now - last_change > quiet * 1e9 or now - began > MAX_DRAIN_SECONDS * 1e9:
                break
        self._sweeper.kill()
        for session in self._sessions.values():
            session.discard_queued("skipped: still queued at the end")
            if quiet:
                session.connection.sender.give_up_acknowledgements()
        for room in self._rooms.values():
            room.close_accounts()
        deque(self._order_sampler.compare(), maxlen=0)
        self.measures.cut_off += context.in_progress

    def _has_in_flight(self) -> bool:
        """Return whether a delivery, a reply or an acknowledgement may still arrive, or a message be sent."""
        if self.measures.deliveries.in_flight > 0 or self.client_context.in_progress:
            return True
        return any(
            session.connection.has_queued or session.connection.sender.unacknowledged
            for session in self._sessions.values()
        )

    def _progress(self) -> tuple[int, int, int]:
        """Return numbers that change while the server still answers."""
        unacknowledged = sum(session.connection.sender.unacknowledged for session in self._sessions.values())
        return self.measures.deliveries.received, self.client_context.in_progress, unacknowledged

    def close(self) -> None:
        """Close all timers, greenlets and sockets."""
        self.stop_schedules()
        self.client_context.is_draining = True
        self._sweeper.kill()
        self.batch_reader.close()
        self._freezer.close()
        if not self.is_closed:
            self.is_closed = True
            self.reactor.close()

    def stop_schedules(self) -> None:
        """Perform no further scheduled action and drop no further user. Tasks may go on."""
        if not self.draining:
            self.draining = True
            self.scheduler.close()
            self.droppers.close()

    # --- upkeep ---

    def _sweep(self) -> None:
        while True:
            gevent.sleep(SWEEP_SECONDS + self.settings.batches.interval)
            began = monotonic_ns()
            for _ in self._upkeep():
                if monotonic_ns() - began > SWEEP_SLICE_NS:
                    gevent.sleep(0)
                    began = monotonic_ns()

    def _upkeep(self) -> Iterator[None]:
        """Sweep the rooms, and start the next sample of their order; yields after each member."""
        rooms = list(self._rooms.values())
        for room in rooms:
            yield from room.sweep()
        handlers = [session.connection.handler for session in self._sessions.values()]
        yield from self._order_sampler.next_sample(rooms, handlers)

    def spawn(self, run: Callable[[], None]) -> gevent.Greenlet[..., None]:
        """Run a function in a greenlet; an exception is an internal fault of the load generator."""

        def run_safely() -> None:
            try:
                run()
            except Exception as error:  # noqa: BLE001 # a fault in one session must not stop the others
                self._on_fault(error)

        return gevent.spawn(run_safely)

    def _on_fault(self, error: Exception) -> None:
        """Count an internal error and log the first of its kind; other users are not affected."""
        label = f"{type(error).__name__}: {error}"
        if self.faults.add(FaultKind.INTERNAL, label):
            _log.error("Internal error of the load generator, counted from now on: %s", label, exc_info=error)

    def count_fault(self, kind: FaultKind, value: str) -> None:
        """Count a limit of this machine that was reached, and log the first of its kind."""
        if self.faults.add(kind, value):
            _log.warning("This machine is at a limit, the run is invalid: %s (%s)", kind, value)
