"""Run one step: request users, settle until rates are steady, measure a fixed window.

Settling lasts until all users are in their rooms and deliveries keep pace, at most `settle` seconds: a level that never
becomes steady is measured nevertheless, and fails. While a backlog shrinks, settling continues for up to `_RECOVERY_S`.
A fault of the load generator ends the ramp: it makes the level invalid in any case.

If the latest step left a backlog, a level that is not above it starts with a recovery, almost without users, until the
server has closed the other connections. The backlog of one level never appears as the latency of another level, or of
the same level in a later step.
"""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from capacity.measure.client_window import ClientWindow, MissingDataError, client_window, new_faults, quantile_ms
from capacity.measure.server_window import ServerWindow, server_window
from capacity.measure.workers import LostWorkerError
from capacity.processes.generator import RAMP_S
from capacity.record.step import Verdict
from capacity.search.arrival import RampGate, backlog_ms, portions
from capacity.search.settling import is_draining, is_steady
from capacity.search.step_measurement import Reading, StepMeasurement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from capacity.config.slo import Span
    from capacity.measure.server_sample import ServerSample
    from stampede.generator_faults import Fault
    from stampede.measure.snapshot import Snapshot

_PROBE_S: Final = 1.0
_POLL_S: Final = 0.2
_MIN_PROBE_S: Final = 0.4
_ARRIVAL_S: Final = RAMP_S + 15.0
_RECOVERY_S: Final = 15.0
_BACKLOG_S: Final = 2.0
_RECOVERY_USERS: Final = 1


class Generator(Protocol):
    """The part of the load generator that a step uses."""

    def set_users(self, users: int) -> None: ...

    def snapshot(self) -> Snapshot: ...

    def restore_workers(self) -> bool: ...

    def check(self) -> None: ...


class Server(Protocol):
    """The part of the server under test that a step uses."""

    def sample(self) -> ServerSample: ...

    def check(self) -> None: ...

    def check_listening(self) -> None: ...


class StepObserver(Protocol):
    """Receives the progress of a step, about once a second."""

    def phase(self, name: str, seconds: float) -> None: ...

    def live(self, client: ClientWindow, server: ServerWindow) -> None: ...


class StepRunner:
    """Runs steps one after another against the same generator and server."""

    __slots__ = (
        "_backlog_ms",
        "_clock",
        "_generator",
        "_has_reported_connections",
        "_last",
        "_left_backlog",
        "_observer",
        "_overloaded_at",
        "_requested",
        "_server",
        "_settle_s",
        "_sleep",
        "_spans",
        "_window_s",
    )

    def __init__(
        self,
        generator: Generator,
        server: Server,
        observer: StepObserver,
        *,
        settle_s: float,
        window_s: float,
        spans: Sequence[Span] = (),
        latency_ms: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Create a runner.

        Args:
            generator: the load generator.
            server: the server under test.
            observer: receives the progress.
            settle_s: longest settling time.
            window_s: measurement window.
            spans: other spans to measure, for SLOs with their own window.
            latency_ms: the strictest SLO on delivery latency, if there is one.
            clock: monotonic clock in seconds.
            sleep: waits for some seconds.
        """
        self._generator = generator
        self._server = server
        self._observer = observer
        self._settle_s = settle_s
        self._window_s = window_s
        self._spans = tuple(spans)
        self._backlog_ms = backlog_ms(latency_ms)
        self._clock = clock
        self._sleep = sleep
        self._requested = 0  # users requested last
        self._last: Reading | None = None
        self._overloaded_at: int | None = None  # users of the latest step if it may have left a backlog
        self._left_backlog = True  # whether there was a backlog at the end of the latest window
        self._has_reported_connections = False

    def restore_workers(self) -> float:
        """Restart the load generator's users if it has lost a worker; return the seconds that this took.

        Raises:
            RunError: the worker did not come back, or the generator has ended.
        """
        began = self._clock()
        if self._generator.restore_workers():
            self._requested, self._last, self._overloaded_at = 0, None, None
        return self._clock() - began

    def measure(self, users: int) -> StepMeasurement:
        """Ramp to `users`, settle, and measure, unless the load generator loses a worker.

        Raises:
            RunError: the generator or the server has ended.
        """
        began = self._clock()
        try:
            return self._measure(users, began)
        except LostWorkerError as error:
            return StepMeasurement(
                self._clock() - began, None, ServerWindow(), str(error), self._clock(), lost_worker=error.worker
            )

    def _measure(self, users: int, began: float) -> StepMeasurement:
        self._recover_for(users)
        known = self._known_faults(users)
        joining = self._last or self.read()
        self._overloaded_at = None if self.hold(users) else users
        first = self.read()
        if known is None:
            known = self._faults()
        settled_at = self._clock()  # after the reading: a slow response must not shorten the window
        readings = self._read_window(settled_at, replace(first, at=settled_at))
        # SLOs with a longer window of their own make the step longer, but not the measurement window.
        last = _nearest(readings, settled_at + self._window_s)
        during = [one.sample for one in readings if first.at < one.at < last.at]
        server = server_window(first.sample, last.sample, during, joining.sample)
        settle_s = settled_at - began
        try:
            client = client_window(first.snapshot, last.snapshot)
        except MissingDataError as error:
            return StepMeasurement(settle_s, None, server, str(error), settled_at)
        self._left_backlog = self._is_backlog(_nearest(readings, last.at - _BACKLOG_S).snapshot, last.snapshot)
        # Faults during the ramp count too.
        client = replace(client, faults=new_faults(known, last.snapshot.faults))
        return StepMeasurement(settle_s, client, server, None, settled_at, self._span_windows(readings, settled_at))

    def note_verdict(self, users: int, verdict: Verdict) -> None:
        """Note whether the latest step overloaded the server.

        Slightly above a limit, a backlog grows so slowly that it seems steady. Below it, the latency of a saturated
        server may vary so much that it never seems steady. A level may fail without a backlog, for example if only its
        highest latencies miss an SLO.
        """
        if verdict is not Verdict.INVALID:
            self._overloaded_at = users if verdict is Verdict.FAIL and self._left_backlog else None

    def _is_backlog(self, before: Snapshot, after: Snapshot) -> bool:
        """Return whether deliveries or users were waiting between two snapshots, as far as is known."""
        window = _probe(before, after)
        p50 = quantile_ms(window.latency.intended, 0.5) if window is not None else None
        return p50 is None or p50 > self._backlog_ms or after.ready < after.chat_users

    def _known_faults(self, users: int) -> Sequence[Fault] | None:
        """Return the faults so far if all later ones count for a ramp to `users`; None if some may not.

        Until they leave, surplus users may meet the limit of the previous level.
        """
        return self._faults() if users >= self._requested else None

    def _faults(self) -> Sequence[Fault]:
        """Return the generator's faults up to the latest reading."""
        return self._last.snapshot.faults if self._last is not None else ()

    def approach(self, users: int) -> None:
        """Ramp to `users` as a step does, without measuring.

        Raises:
            RunError: the generator or the server has ended.
        """
        self._recover_for(users)
        self._overloaded_at = None if self.hold(users) else users

    def watch(self, seconds: float) -> None:
        """Read both sides about once a second for some seconds.

        Raises:
            RunError: the generator or the server has ended.
        """
        ends = self._clock() + seconds
        while (left := ends - self._clock()) > 0:
            self._wait(min(_PROBE_S, left))
            self.read()

    def hold(self, users: int) -> bool:
        """Ramp to `users` and settle, without measuring; return whether deliveries became steady.

        Raises:
            RunError: the generator or the server has ended.
        """
        began = self._clock()
        p99 = self._ramp(users)
        return self._settle(p99, max(self._settle_s, _RECOVERY_S - (self._clock() - began)))

    def _read_window(self, settled_at: float, first: Reading) -> list[Reading]:
        """Read both sides about once a second, and whenever a span begins or ends."""
        ends = settled_at + max([self._window_s, *(span.end for span in self._spans)])
        self._observer.phase("measuring", ends - settled_at)
        due = [settled_at + at for span in self._spans for at in (span.grace, span.end)]
        due += [settled_at + self._window_s, ends]
        readings = [first]
        while (now := self._clock()) < ends:
            following = min(moment for moment in due if moment > now)
            self._wait(min(_PROBE_S, following - now))
            readings.append(self.read())
        return readings

    def _span_windows(self, readings: Sequence[Reading], settled_at: float) -> dict[Span, ClientWindow]:
        found = {}
        for span in self._spans:
            before = _nearest(readings, settled_at + span.grace).snapshot
            after = _nearest(readings, settled_at + span.end).snapshot
            with contextlib.suppress(MissingDataError):
                found[span] = client_window(before, after)
        return found

    def _recover_for(self, users: int) -> None:
        """Let the server recover if the latest step overloaded it and had as many users or more."""
        if self._overloaded_at is not None and users <= self._overloaded_at:
            self._recover()

    def _recover(self) -> None:
        """Stop almost all users and wait until the server has closed their connections."""
        self._observer.phase("letting the server recover", RAMP_S)
        self._generator.set_users(_RECOVERY_USERS)
        self._requested = _RECOVERY_USERS
        deadline = self._clock() + _RECOVERY_S
        while self._clock() < deadline:
            reading = self.read()
            snapshot, connections = reading.snapshot, reading.sample.connections
            # A server that reported its connections before and does not answer now has not recovered.
            closed = not self._has_reported_connections if connections is None else connections <= 2 * _RECOVERY_USERS
            if snapshot.users == _RECOVERY_USERS and snapshot.connections <= _RECOVERY_USERS and closed:
                return
            self._wait(_POLL_S)

    def _ramp(self, users: int) -> float | None:
        """Ramp to `users` in portions until all are in their rooms, or a timeout passes; return the latest p99 (ms)."""
        self._observer.phase("ramping up", RAMP_S)
        deadline = self._clock() + _ARRIVAL_S
        known = self._known_faults(users)
        p99 = None
        for portion in portions(self._requested, users):
            self._generator.set_users(portion)
            absorbed, p99 = self._absorb(portion, deadline, known)
            if not absorbed and portion != users:
                self._generator.set_users(users)
                self._absorb(users, deadline, known)
                break
        self._requested = users
        return p99

    def _absorb(self, users: int, deadline: float, known: Sequence[Fault] | None) -> tuple[bool, float | None]:
        """Wait until `users` are in their rooms without a backlog; return whether they are, and the latest p99 (ms).

        A fault of the generator that is not among the `known` ones ends the wait.
        """
        ramp = RampGate(self._backlog_ms)
        p99 = None
        before = (self._last or self.read()).snapshot
        while self._clock() < deadline and not ramp.is_overloaded:
            self._wait(_POLL_S)
            after = self.read().snapshot
            if known is not None and new_faults(known, after.faults):
                break
            probe = _probe(before, after)
            if probe is None:
                before = after  # the generator's workers have just connected
                continue
            if probe.seconds < _MIN_PROBE_S:
                continue
            before = after
            p99 = quantile_ms(probe.latency.intended, 0.99)
            if probe.deliveries.expected:
                p50 = quantile_ms(probe.latency.intended, 0.5)
                ramp.add_probe(math.inf if p50 is None else p50)
            has_joined = after.users == users and after.ready == after.chat_users
            if has_joined and (ramp.is_absorbed or not probe.deliveries.expected):
                return True, p99
        return False, p99

    def _settle(self, p99_before: float | None, timeout_s: float) -> bool:
        """Wait until deliveries are steady, or fall behind without catching up; return whether they are steady."""
        self._observer.phase("settling", self._settle_s)
        began = self._clock()
        before = self.read().snapshot
        while self._clock() - began < timeout_s:
            self._wait(_PROBE_S)
            after = self.read().snapshot
            probe = _probe(before, after)
            waited = self._clock() - began
            p99 = quantile_ms(probe.latency.intended, 0.99) if probe else None
            if probe and (is_steady(probe, p99_before, p99) or not after.chat_users):
                return True
            if waited >= self._settle_s and not (probe and is_draining(probe, p99_before, p99)):
                return False
            before, p99_before = after, p99
        return False

    def read(self) -> Reading:
        """Read both sides, check that both are running, and report the time since the last reading to the observer.

        Raises:
            RunError: the generator or the server has ended.
        """
        self._server.check()
        self._generator.check()
        now = self._clock()
        snapshot, sample = self._generator.snapshot(), self._server.sample()
        self._has_reported_connections |= sample.connections is not None
        if snapshot.users and not snapshot.connections:
            self._server.check_listening()
        last, reading = self._last, Reading(now, snapshot, sample)
        self._last = reading
        if last is not None and sample.at_s - last.sample.at_s >= _POLL_S:
            window = _probe(last.snapshot, snapshot)
            if window is not None:
                self._observer.live(window, server_window(last.sample, sample))
        return reading

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._sleep(seconds)


def _probe(before: Snapshot, after: Snapshot) -> ClientWindow | None:
    try:
        return client_window(before, after)
    except MissingDataError:
        return None


def _nearest(readings: Sequence[Reading], moment: float) -> Reading:
    return min(readings, key=lambda reading: abs(reading.at - moment))
