"""Run the command while the users are held, and measure until all is as before."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from capacity.drill.timeline import Timeline
from capacity.errors import RunError
from capacity.measure.client_window import MissingDataError, client_window, quantile_ms
from capacity.measure.server_sample import ServerSample
from capacity.storms.runner import find_storm

if TYPE_CHECKING:
    from collections.abc import Callable

    from capacity.drill.command import Command
    from capacity.measure.client_window import ClientWindow
    from capacity.search.step import StepObserver
    from capacity.search.step_measurement import Reading
    from stampede.measure.storm_results import StormResult

_POLL_S: Final = 0.1
_READING_S: Final = 1.0
_REPORT_TIMEOUT_S: Final = 10.0
_SHORTEST_LEDGER_S: Final = 2.0
_LONGEST_LEDGER_S: Final = 10.0
"""Two sweeps of the ledger: after them, a delivery that has not arrived is lost."""


class WatchGenerator(Protocol):
    """The part of the load generator that a drill uses."""

    def start_watch(self) -> int: ...

    def end_watch(self) -> None: ...


class HeldUsers(Protocol):
    """Reads the figures of the users that are held."""

    def read(self) -> Reading: ...


class UncheckedServer:
    """A server that the command may end or replace at any moment, so that it is neither checked nor sampled."""

    def sample(self) -> ServerSample:
        """Return no figures."""
        return ServerSample(at_s=time.monotonic())

    def check(self) -> None:
        """Do nothing."""

    def check_listening(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A watch that has started in all processes of the load generator.

    Attributes:
        number: its number as a storm.
        began: when it started, on the clock.
        first: a reading after that.
    """

    number: int
    began: float
    first: Reading


def start_watch(
    generator: WatchGenerator,
    held: HeldUsers,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Watch:
    """Start a watch, and wait until all processes of the load generator report it.

    Raises:
        RunError: they do not, or the generator has ended.
    """
    began = clock()
    number = generator.start_watch()
    while clock() - began < _REPORT_TIMEOUT_S:
        sleep(_POLL_S)
        reading = held.read()
        storm = find_storm(reading.snapshot, number)
        if storm is not None and storm.watch is not None and storm.watch.processes >= len(reading.snapshot.workers):
            return Watch(number, began, reading)
    raise RunError("the load generator did not report the requested watch")


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """The time limits of a drill in seconds: of the command, and of the recovery after it."""

    command: float
    recovery: float


class DrillRunner:
    """Measures while a command runs, and until all is as before.

    Attributes:
        watch: the watch in progress; `command`: the command, which has started.
        timeline: users and latency over time.
        timed_out: whether the command was ended at its time limit.
        waited_s: seconds from the end of the command until all was as before, or the time limit.
        is_complete: whether the measurement has come to its end.
    """

    def __init__(
        self,
        generator: WatchGenerator,
        held: HeldUsers,
        observer: StepObserver,
        watch: Watch,
        command: Command,
        *,
        limit_ms: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Create a runner.

        Args:
            generator: the load generator.
            held: reads the figures.
            observer: receives the progress.
            watch: the watch in progress.
            command: the command.
            limit_ms: latency that counts as before; None if no message was delivered before.
            clock: monotonic clock in seconds.
            sleep: waits for some seconds.
        """
        self._generator = generator
        self._held = held
        self._observer = observer
        self._clock = clock
        self._sleep = sleep
        self._last = watch.first
        self._timed = watch.first  # the latest reading of the time line
        self.watch = watch
        self.command = command
        self.timeline = Timeline(watch.first.snapshot.ready, limit_ms)
        self.timed_out = False
        self.waited_s = 0.0
        self.is_complete = False

    def run(self, limits: TimeLimits) -> None:
        """Measure until all is as before, or a time limit has passed.

        Raises:
            RunError: the generator has ended.
        """
        command = self.command
        self._observer.phase("running the command", limits.command)
        while not command.poll():
            if self._clock() - command.began > limits.command:
                command.end()
                self.timed_out = True
            self._measure()
        self._observer.phase("waiting until all is as before", limits.recovery)
        ran_s = command.seconds or 0.0
        while not self.timeline.is_calm_since(ran_s) and self.waited_s < limits.recovery:
            self._measure()
            self.waited_s = self._clock() - command.began - ran_s
        self._generator.end_watch()
        self._await_ledger()
        self.is_complete = True

    def _measure(self) -> None:
        """Wait a moment, and add a reading to the time line about once a second."""
        self._sleep(_POLL_S)
        if self._clock() - self._timed.at < _READING_S:
            return
        before, self._last = self._timed, self._held.read()
        self._timed = self._last
        storm = self.result
        self.timeline.add(
            self._last.at - self.command.began,
            self._last.snapshot.ready,
            _p99_ms(before, self._last),
            has_outage=storm.resynced + storm.gone < storm.dropped,
        )

    def _await_ledger(self) -> None:
        """Wait until each delivery that is owed has arrived or is known to be lost."""
        self._observer.phase("waiting for late deliveries", _LONGEST_LEDGER_S)
        began = self._clock()
        while (waited := self._clock() - began) < _LONGEST_LEDGER_S:
            self._sleep(_POLL_S)
            self._last = self._held.read()
            if waited > _SHORTEST_LEDGER_S and not self._last.snapshot.deliveries.in_flight:
                return

    @property
    def result(self) -> StormResult:
        """The users that were dropped, as last reported.

        Raises:
            RunError: the generator does not report them any more.
        """
        storm = find_storm(self._last.snapshot, self.watch.number)
        if storm is None:
            raise RunError("the load generator does not report the watch any more")
        return storm

    @property
    def window(self) -> ClientWindow:
        """The clients since the command started.

        Raises:
            MissingDataError: the processes of the generator changed, or there was no reading.
        """
        return client_window(self.watch.first.snapshot, self._last.snapshot)


def _p99_ms(before: Reading, after: Reading) -> float | None:
    try:
        window = client_window(before.snapshot, after.snapshot)
    except MissingDataError:
        return None
    return quantile_ms(window.latency.intended, 0.99)
