"""All users of one process during one test: their engine, their rooms, what they measure.

Order of an end: nothing more is sent, what is in flight is heard out, the books are closed, the users leave.
"""

from __future__ import annotations

import logging
import math
import secrets
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic_ns
from typing import TYPE_CHECKING, Final
from zlib import crc32

import gevent
from gevent.lock import BoundedSemaphore

from stampede.client.client import Identity
from stampede.generator_faults import FaultKind, Faults
from stampede.ledger.room import Room
from stampede.ledger.stamp import SIZE
from stampede.measure import measures
from stampede.measure.measures import Measures
from stampede.measure.storm import Manner, Storm
from stampede.pool.session import Session, swap
from stampede.websocket.reactor import Reactor
from stampede.workload.placement import Partition, Placement, RoomPlan
from stampede.workload.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stampede.measure.storm import StormPart
    from stampede.pool.session import Owner
    from stampede.websocket.target import Target

CONNECTING_AT_ONCE: Final = 32
"""Handshakes in progress at a time: enough to keep a server busy, few enough that none waits for its own process."""

SWEEP_SECONDS: Final = 5.0
"""A delivery that has not come after one to two of these is lost."""

SWEEP_AT_ONCE: Final = 300_000
"""Nanoseconds of sweeping after which deliveries get their turn."""

QUIET_SECONDS: Final = 3.0
"""At the end, how long nothing must have come until the rest counts as lost."""

LONGEST_DRAIN: Final = 20.0

STORMS_KEPT: Final = 16
"""Storms of which a process still reports; the coordinator keeps what it has heard of earlier ones."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """What the pool needs to know.

    Attributes:
        plan: how users are spread over rooms.
        share: which part of the pool this process is.
        message_bytes: length of a chat text.
        seed: of all schedules; each place of each process derives its own stream.
        tokens: that users prove with who they are, dealt in turn; none if empty.
    """

    plan: RoomPlan
    partition: Partition
    message_bytes: int
    seed: int
    tokens: tuple[str, ...] = ()


class UserPool:
    """The users of one process; made when a test starts.

    Args:
        settings: what it needs to know.
        target: the server.
        order: the kinds of users that this process will get, in the order in which places are laid out.

    Attributes:
        measures: all that is counted and timed.
        gate: to be held while connecting.
        faults: of this machine and of the load test itself.
    """

    def __init__(self, settings: PoolSettings, target: Target, order: Iterator[str]) -> None:
        self.settings = settings
        self.target = target
        self.measures = Measures()
        self.identity = Identity(_host_id(), secrets.randbits(32))
        self.gate = BoundedSemaphore(CONNECTING_AT_ONCE)
        self.padding = b"." * (settings.message_bytes - SIZE)
        self.faults = Faults()
        self.backoff_rng = self.rng("backoff")
        self.reactor = Reactor(self.rng("masks"), self._on_fault)
        self.scheduler = Scheduler(self._on_fault)
        self._rooms: dict[int, Room] = {}
        self._placement = Placement(order)
        self._sessions: dict[int, Session] = {}
        self._sweeper = gevent.spawn(self._sweep)
        self._droppers: dict[str, gevent.Greenlet[..., None]] = {}
        self._storms: list[Storm] = []
        self._began = monotonic_ns()
        self.draining = False
        self._closed = False

    def rng(self, *stream: object) -> Random:
        """Return the source of randomness of one purpose in this process, always the same for one seed."""
        return Random(f"{self.settings.seed}/{self.settings.partition.position}/{'/'.join(map(str, stream))}")

    # --- users ---

    def arrive(self, owner: Owner) -> Session:
        """Give a new user the lowest free place."""
        place = self._placement.allocate(type(owner).__name__)
        number = self.settings.plan.room_of(place, self.settings.partition)
        room = self._rooms.get(number)
        if room is None:
            room = self._rooms[number] = Room(number, self.measures.deliveries)
        session = self._sessions[place] = Session(self, place, owner, room)
        return session

    def depart(self, session: Session) -> None:
        """End the session of a user that stops; blocks until it has left."""
        if session.resting and not self.draining:
            last = max(self.sessions(type(session.owner), resting=True), key=lambda s: s.place)
            swap(session, last)
            session = last
        del self._sessions[session.place]
        session.end()
        self._placement.release(session.place, type(session.owner).__name__)

    def sessions(self, kind: type, *, resting: bool) -> list[Session]:
        """Return the sessions of one kind of user, on request only those whose greenlet waits."""
        return [s for s in self._sessions.values() if type(s.owner) is kind and (s.resting or not resting)]

    def start_storms(self, kind: type, share: float, period: float, manner: Manner) -> None:
        """Drop a share of one kind of user at the same moment, every `period` seconds from the test's start; once."""
        self._start(measures.STORM_USER, lambda: self._keep_storming(kind, share, period, manner))

    def start_churn(self, per_minute: float, manner: Manner) -> None:
        """Let single users drop and come back, this share of all of them each minute; once."""
        if per_minute:
            self._start(measures.CHURN, lambda: self._keep_churning(per_minute / 60, manner))

    def _start(self, cause: str, run: Callable[[], None]) -> None:
        if cause not in self._droppers and not self.draining:
            self._droppers[cause] = gevent.spawn(run)

    def _keep_storming(self, kind: type, share: float, period: float, manner: Manner) -> None:
        rng = self.rng("storms")
        while True:
            gevent.sleep(period - (monotonic_ns() - self._began) / 1e9 % period)
            cohort = sorted(self.sessions(kind, resting=True), key=lambda session: session.place)
            for session in rng.sample(cohort, math.ceil(share * len(cohort))):
                self.measures.drops[measures.STORM_USER] += 1
                session.ask_to_drop(manner)

    def _keep_churning(self, share: float, manner: Manner) -> None:
        rng = self.rng("churn")
        while True:
            # A Poisson process: its rate follows the number of users, at the latest after a second without any.
            rate = share * self.ready
            gap = rng.expovariate(rate) if rate else 1.0
            gevent.sleep(min(gap, 1.0))
            ready = [session for session in self._sessions.values() if session.resting and session.client.is_ready]
            if gap <= 1.0 and ready:
                self.measures.drops[measures.CHURN] += 1
                rng.choice(ready).ask_to_drop(manner)

    def storm(self, number: int, share: float, manner: Manner) -> None:
        """Drop a share of all users at this moment, and watch them come back.

        An abrupt end is made here and now, one after the other without a pause; polite ones need a greenlet each.
        """
        if self.draining:
            return
        ready = sorted((s for s in self._sessions.values() if s.client.is_ready), key=lambda session: session.place)
        now = monotonic_ns()
        storm = Storm(number, now, (now - self._began) / 1e9, len(ready), self.measures)
        self._storms = [*self._storms[-STORMS_KEPT + 1 :], storm]
        struck = set(self.rng("storm", number).sample(ready, round(share * len(ready))))
        for session in ready:
            session.client.record = self.measures.delivered if session in struck else storm.feel
        self.measures.drops[measures.STORM] += len(struck)
        for session in ready:
            if session in struck and manner is Manner.POLITE:
                session.ask_to_drop(manner, storm)
            elif session in struck:
                session.drop(manner, storm)

    def storm_parts(self, *, final: bool = False) -> list[StormPart]:
        """Return what has been counted of the latest storms; those that are over are felt by nobody any more."""
        for storm in self._storms:
            if storm.over_at and not storm.calm:
                storm.calm = True
                for session in self._sessions.values():
                    if session.client.record == storm.feel:
                        session.client.record = self.measures.delivered
        return [storm.part(monotonic_ns(), final=final) for storm in self._storms]

    def user_name(self, session: Session) -> str:
        """Return a name that no other user of the run has."""
        return f"pool-{self._number(session):06d}"

    def token(self, session: Session) -> str | None:
        """Return the token of a user, if there are any; users beyond their number share them."""
        tokens = self.settings.tokens
        return tokens[self._number(session) % len(tokens)] if tokens else None

    def _number(self, session: Session) -> int:
        return self.settings.partition.number(session.place)

    def room_name(self, room: Room) -> str:
        """Return the name of a room on the server."""
        return f"room-{room.number}"

    @property
    def ready(self) -> int:
        """Number of users in their room."""
        return sum(room.joined_count for room in self._rooms.values())

    @property
    def room_sizes(self) -> list[int]:
        """Members of every room that has one."""
        return [room.joined_count for room in self._rooms.values() if room.joined_count]

    # --- the end ---

    def drain(self) -> None:
        """Send nothing more and hear out what is in flight, then close the books; once."""
        if self.draining:
            return
        self._quieten()
        tally = self.measures.deliveries
        began = last_change = monotonic_ns()
        received = tally.received
        while tally.in_flight > 0 or any(session.client.holds_back for session in self._sessions.values()):
            now = monotonic_ns()
            gevent.sleep(0.02)
            gevent.sleep(0)  # after a stall of this process the loop ends the first sleep before it reads what has come
            if tally.received != received:
                received, last_change = tally.received, monotonic_ns()
            if now - last_change > QUIET_SECONDS * 1e9 or now - began > LONGEST_DRAIN * 1e9:
                break
        self._sweeper.kill()
        for session in self._sessions.values():
            session.client.give_up("skipped: held back until the end")
        for room in self._rooms.values():
            room.close_accounts()

    def close(self) -> None:
        """Leave nothing behind: no timer, no greenlet, no socket."""
        self._quieten()
        self._sweeper.kill()
        if not self._closed:
            self._closed = True
            self.reactor.close()

    def _quieten(self) -> None:
        """Start nothing new."""
        if not self.draining:
            self.draining = True
            self.scheduler.close()
            gevent.killall(list(self._droppers.values()))

    # --- upkeep ---

    def _sweep(self) -> None:
        while True:
            gevent.sleep(SWEEP_SECONDS)
            began = monotonic_ns()
            for room in list(self._rooms.values()):
                for _ in room.sweep_in_steps():
                    if monotonic_ns() - began > SWEEP_AT_ONCE:
                        gevent.sleep(0)
                        began = monotonic_ns()

    def _on_fault(self, error: Exception) -> None:
        """Keep what must never happen visible without letting it hurt the others."""
        label = f"{type(error).__name__}: {error}"
        if self.faults.add(FaultKind.INTERNAL, label):
            _log.error("internal error, counted from now on: %s", label, exc_info=error)

    def count_fault(self, kind: FaultKind, value: str) -> None:
        """Count a limit of this machine that was reached, and log the first of its kind."""
        if self.faults.add(kind, value):
            _log.warning("This machine is at a limit, the run is invalid: %s (%s)", kind, value)


def _host_id() -> int:
    """Return a number that all processes of this running machine share: one monotonic clock each boot."""
    try:
        return crc32(Path("/proc/sys/kernel/random/boot_id").read_bytes())
    except OSError:
        return crc32(secrets.token_bytes(16))
