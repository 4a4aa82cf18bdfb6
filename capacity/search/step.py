"""Take one step: ask for users, settle until the rates are steady, measure a fixed window.

Settling waits until everybody is in a room and deliveries keep pace, at most `settle` seconds: a level that never
gets steady is measured as it is, and fails. While a backlog is being worked off, settling goes on for up to
`_RECOVERY_S`. And a level that is no higher than one before it which never got steady begins with a rest, almost
without users, until the server has let go of the others: every level is approached from below, so that one level's
backlog, or a server caught in its overload, is never another level's latency, nor its own when it is measured again.
"""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

from capacity.measure.window import (
    ClientWindow,
    MissingDataError,
    ServerWindow,
    client_window,
    new_faults,
    quantile_ms,
    server_window,
)
from capacity.processes.generator import RAMP_S
from capacity.search.arrival import Intake, portions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from capacity.config.promise import Span
    from capacity.measure.instant import ServerSample
    from stampede.generator_faults import Fault
    from stampede.measure.snapshot import Snapshot

_PROBE_S: Final = 1.0
_POLL_S: Final = 0.2
_LOOK_S: Final = 0.4
_ARRIVAL_S: Final = RAMP_S + 10.0
_RECOVERY_S: Final = 15.0
_RESTING_USERS: Final = 1
_PACE: Final = 0.1
_STABLE: Final = 0.3
_STABLE_MS: Final = 10.0
_DRAINING: Final = 1.02


class Generator(Protocol):
    """What a step needs of the load generator."""

    def set_users(self, users: int) -> None: ...

    def snapshot(self) -> Snapshot: ...

    def check(self) -> None: ...


class Server(Protocol):
    """What a step needs of the server under test."""

    def sample(self) -> ServerSample: ...

    def check(self) -> None: ...

    def check_listening(self) -> None: ...


class Watcher(Protocol):
    """Who is told how a step goes on, about once a second."""

    def phase(self, name: str, seconds: float) -> None: ...

    def live(self, client: ClientWindow, server: ServerWindow) -> None: ...


@dataclass(frozen=True, slots=True)
class Measured:
    """A step's window. `client` is None where `problem` says why there is none.

    `began` is the clock at the end of settling; `spans` holds what the clients did in other seconds that were asked
    for, as far as that is known.
    """

    settle_s: float
    client: ClientWindow | None
    server: ServerWindow
    problem: str | None
    began: float = 0.0
    spans: Mapping[Span, ClientWindow] = field(default_factory=dict)


class Stepper:
    """Takes steps one after another against the same generator and server."""

    __slots__ = (
        "_calm_ms",
        "_clock",
        "_generator",
        "_last",
        "_present",
        "_server",
        "_settle_s",
        "_sleep",
        "_spans",
        "_tells_connections",
        "_unsteady_at",
        "_watcher",
        "_window_s",
    )

    def __init__(
        self,
        generator: Generator,
        server: Server,
        watcher: Watcher,
        *,
        settle_s: float,
        window_s: float,
        spans: Sequence[Span] = (),
        calm_ms: float = 50.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._generator = generator
        self._server = server
        self._watcher = watcher
        self._settle_s = settle_s
        self._window_s = window_s
        self._spans = tuple(spans)
        self._calm_ms = calm_ms
        self._present = 0  # users asked for last
        self._clock = clock
        self._sleep = sleep
        self._last: tuple[Snapshot, ServerSample] | None = None
        self._unsteady_at: int | None = None  # users of the latest step, if it never got steady
        self._tells_connections = False

    def take(self, users: int) -> Measured:
        """Bring `users` on, settle, and measure.

        Raises:
            RunError: the generator or the server is gone.
        """
        began = self._clock()
        if self._unsteady_at is not None and users <= self._unsteady_at:
            self._rest()
        known = self._faults() if users >= self._present else None
        self._unsteady_at = None if self.hold(users) else users
        first = self.read()
        if known is None:  # those who left may have met the limit of the level before until they did
            known = self._faults()
        settled = self._clock()  # after the reading: while the server is slow to answer, no window goes by
        readings = self._measure(settled, first)
        before, server_before = first
        # The measuring window proper; only levels with a longer one of their own make the step longer.
        (_, after, server_after) = _nearest(readings, settled + self._window_s)
        server = server_window(server_before, server_after)
        try:
            client = client_window(before, after)
        except MissingDataError as error:
            return Measured(settled - began, None, server, str(error), settled)
        # What kept the generator from bringing users on counts, too.
        client = replace(client, faults=new_faults(known, after.faults))
        return Measured(settled - began, client, server, None, settled, self._windows(readings, settled))

    def _faults(self) -> Sequence[Fault]:
        """Return the generator's own faults up to the latest reading."""
        return self._last[0].faults if self._last is not None else ()

    def hold(self, users: int) -> bool:
        """Bring `users` on and let them settle, without measuring; tell whether they got steady.

        Raises:
            RunError: the generator or the server is gone.
        """
        coming = self._clock()
        p99 = self._arrive(users)
        return self._settle(p99, max(self._settle_s, _RECOVERY_S - (self._clock() - coming)))

    def _measure(
        self, settled: float, first: tuple[Snapshot, ServerSample]
    ) -> list[tuple[float, Snapshot, ServerSample]]:
        """Read both sides about once a second, and at every moment at which a span begins or ends."""
        ends = settled + max([self._window_s, *(span.end for span in self._spans)])
        self._watcher.phase("measuring", ends - settled)
        due = [settled + at for span in self._spans for at in (span.grace, span.end)] + [settled + self._window_s, ends]
        readings = [(settled, *first)]
        while (now := self._clock()) < ends:
            following = min(moment for moment in due if moment > now)
            self._wait(min(_PROBE_S, following - now))
            readings.append((self._clock(), *self.read()))
        return readings

    def _windows(
        self, readings: Sequence[tuple[float, Snapshot, ServerSample]], settled: float
    ) -> dict[Span, ClientWindow]:
        found = {}
        for span in self._spans:
            before = _nearest(readings, settled + span.grace)[1]
            after = _nearest(readings, settled + span.end)[1]
            with contextlib.suppress(MissingDataError):
                found[span] = client_window(before, after)
        return found

    def _rest(self) -> None:
        """Send almost everybody home and wait until the server has noticed."""
        self._watcher.phase("letting the server recover", RAMP_S)
        self._generator.set_users(_RESTING_USERS)
        self._present = _RESTING_USERS
        deadline = self._clock() + _RECOVERY_S
        while self._clock() < deadline:
            snapshot, sample = self.read()
            connections = sample.connections
            # Once it has told its connections, a server that does not answer has not recovered.
            noticed = not self._tells_connections if connections is None else connections <= 2 * _RESTING_USERS
            if snapshot.users == _RESTING_USERS and snapshot.connections <= _RESTING_USERS and noticed:
                return
            self._wait(_POLL_S)

    def _arrive(self, users: int) -> float | None:
        """Bring users on in portions until all are in their rooms, which may never be; return the latest p99."""
        self._watcher.phase("bringing users on", RAMP_S)
        deadline = self._clock() + _ARRIVAL_S
        p99 = None
        for portion in portions(self._present, users):
            self._generator.set_users(portion)
            taken, p99 = self._take_in(portion, deadline)
            if not taken and portion != users:
                self._generator.set_users(users)
                self._take_in(users, deadline)
                break
        self._present = users
        return p99

    def _take_in(self, users: int, deadline: float) -> tuple[bool, float | None]:
        """Wait until these users are in their rooms and their coming is worked off; tell whether it is, and p99."""
        intake = Intake(self._calm_ms)
        p99 = None
        before = self._last[0] if self._last else self.read()[0]
        while self._clock() < deadline and not intake.is_hopeless:
            self._wait(_POLL_S)
            after, _ = self.read()
            probe = _probe(before, after)
            if probe is None:
                before = after  # the generator has only just got its processes
                continue
            if probe.seconds < _LOOK_S:
                continue
            before = after
            p99 = quantile_ms(probe.latency.intended, 0.99)
            if probe.deliveries.expected:
                p50 = quantile_ms(probe.latency.intended, 0.5)
                intake.look(math.inf if p50 is None else p50)
            if after.users == users and after.ready == users and (intake.is_taken or not probe.deliveries.expected):
                return True, p99
        return False, p99

    def _settle(self, p99_before: float | None, patience_s: float) -> bool:
        """Wait until deliveries keep pace at a stable latency, or are behind without catching up; tell which."""
        self._watcher.phase("settling", self._settle_s)
        began = self._clock()
        before, _ = self.read()
        while self._clock() - began < patience_s:
            self._wait(_PROBE_S)
            after, _ = self.read()
            probe = _probe(before, after)
            waited = self._clock() - began
            p99 = quantile_ms(probe.latency.intended, 0.99) if probe else None
            if probe and _is_steady(probe, p99_before, p99):
                return True
            if waited >= self._settle_s and not (probe and _is_draining(probe, p99_before, p99)):
                return False
            before, p99_before = after, p99
        return False

    def read(self) -> tuple[Snapshot, ServerSample]:
        """Read both sides, check that both live, and show what happened since the last reading.

        Raises:
            RunError: the generator or the server is gone.
        """
        self._server.check()
        self._generator.check()
        now = self._generator.snapshot(), self._server.sample()
        self._tells_connections |= now[1].connections is not None
        if now[0].users and not now[0].connections:
            self._server.check_listening()
        if self._last is not None and now[1].at_s - self._last[1].at_s >= _POLL_S:
            try:
                window = client_window(self._last[0], now[0])
            except MissingDataError:
                pass
            else:
                self._watcher.live(window, server_window(self._last[1], now[1]))
        self._last = now
        return now

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._sleep(seconds)


def _probe(before: Snapshot, after: Snapshot) -> ClientWindow | None:
    try:
        return client_window(before, after)
    except MissingDataError:
        return None


def _nearest(
    readings: Sequence[tuple[float, Snapshot, ServerSample]], moment: float
) -> tuple[float, Snapshot, ServerSample]:
    return min(readings, key=lambda reading: abs(reading[0] - moment))


def _is_steady(probe: ClientWindow, p99_before: float | None, p99: float | None) -> bool:
    """Tell whether deliveries keep pace and p99 stands where it stood a probe ago."""
    share = probe.keeping_up
    if share is None or p99 is None or p99_before is None:
        return False
    return abs(share - 1) <= _PACE and abs(p99 - p99_before) <= max(_STABLE * p99_before, _STABLE_MS)


def _is_draining(probe: ClientWindow, p99_before: float | None, p99: float | None) -> bool:
    """Tell whether a backlog is being worked off: more comes than is due, or latency falls."""
    share = probe.keeping_up
    if share is not None and share > _DRAINING:
        return True
    return p99 is not None and p99_before is not None and p99 < p99_before * (1 - _PACE) and p99 > _STABLE_MS
