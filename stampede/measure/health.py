"""Whether the generator itself keeps up: pure; samples, times and the machine's figures come in.

A run in which it does not is *invalid*: its latencies would be the generator's own. CPU and lag are judged twice: over
windows, where two in a row must be over a limit, so that one hiccup of a busy machine condemns nothing; and over the
whole run, so that a run of a few seconds is judged, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stampede.generator_faults import FaultKind
from stampede.measure.log_linear_histogram import LogLinearHistogram
from stampede.measure.machine import Usage
from stampede.measure.storm_results import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stampede.measure.measures import Measures

PROBE_INTERVAL_NS: Final = 10_000_000
"""Nanoseconds between two looks of the canary at the loop."""

WINDOW_SECONDS: Final = 5.0
CPU_LIMIT: Final = 0.95
"""Part of a core; above it there is no telling who is slow."""

LAG_LIMIT: Final = 100_000_000
"""Nanoseconds that the p99 of send lag or loop lag must not exceed, in a window or over the whole run."""

THROTTLED_LIMIT: Final = 0.05
"""Part of the time that a CPU quota may keep the process waiting."""

FULL: Final = 0.95
"""Part of a memory limit, or of the table of tracked connections, from which it binds."""

_IN_A_ROW: Final = 2
_FEWEST: Final = 100  # a p99 of fewer samples is their maximum
_BUSY: Final = 0.9  # part of a core from which a process has no more of it to use
_IDLE: Final = 0.1  # part of the machine's cores below which none is left
_STOLEN: Final = 0.1
_THROTTLED: Final = 0.01  # part of the time that shows in a p99


def probe_lags(late: int) -> range:
    """Return the lags to record for a canary that comes `late` ns too late: those of the looks it missed included.

    Source: G. Tene, "How NOT to Measure Latency"; HdrHistogram's correction for coordinated omission.
    """
    return range(max(late, 0), -1, -PROBE_INTERVAL_NS)


@dataclass(frozen=True, slots=True)
class Load:
    """What a process and its machine used in some seconds: cores' worth of CPU, and what was left of `cores`.

    `throttled` is the part of the time for which the CPU quota, in cores, made the process wait.
    """

    cpu: float
    cores: int = 1
    idle: float | None = None
    stolen: float = 0.0
    throttled: float = 0.0
    quota: float | None = None


def cause_of(load: Load) -> str:
    """Say why a generator falls behind, and what helps: more processes only do where a core is free for them."""
    if load.quota is not None and load.throttled >= _THROTTLED:
        return (
            f"The CPU quota of its control group ({load.quota:.2f} cores) made the process wait for "
            f"{load.throttled:.0%} of the time: raise it."
        )
    if load.stolen >= _STOLEN * load.cores:
        return f"The hypervisor withheld {load.stolen / load.cores:.0%} of the CPU: use a machine of your own."
    if load.idle is not None and load.idle <= _IDLE * load.cores:
        cores = "its only core is" if load.cores == 1 else f"all {load.cores} cores are"
        return (
            f"No CPU is left on this machine ({cores} busy, {load.cpu:.0%} of one with this process): move the server "
            "or the load generator to another machine; more --processes do not help."
        )
    if load.cpu >= _BUSY:
        return "The process fills its core, and others are free: use more --processes."
    return (
        f"The process used {load.cpu:.0%} of a core and was not short of CPU: something kept it waiting, such as user "
        "code that blocks, swapping, or a machine that was suspended."
    )


def limits_reached(before: Usage, after: Usage, seconds: float) -> Iterator[tuple[FaultKind, str]]:
    """Yield the limits of the machine and its control groups that bound between two readings, with their values."""
    if after.quota is not None and after.throttled - before.throttled > THROTTLED_LIMIT * seconds:
        yield FaultKind.CPU_QUOTA, f"{after.quota:.2f} cores"
    if after.memory_limit is not None and after.memory >= FULL * after.memory_limit:
        yield FaultKind.MEMORY_LIMIT, f"{after.memory_limit / 2**20:.0f} MiB"
    if after.killed > before.killed:
        processes = "1 process" if after.killed == before.killed + 1 else f"{after.killed - before.killed} processes"
        yield FaultKind.MEMORY_LIMIT, f"the kernel ended {processes}"
    if after.tracked_limit is not None and after.tracked >= FULL * after.tracked_limit:
        yield FaultKind.CONNTRACK, f"net.netfilter.nf_conntrack_max is {after.tracked_limit}"


@dataclass(slots=True)
class _Signal:
    """One limit: how often in a row it has been exceeded."""

    strikes: int = 0

    def check(self, *, exceeded: bool) -> bool:
        self.strikes = self.strikes + 1 if exceeded else 0
        return self.strikes >= _IN_A_ROW


@dataclass(frozen=True, slots=True)
class _Reading:
    """Everything at one moment; the histograms are copies."""

    at: float
    cpu: float
    usage: Usage
    send: LogLinearHistogram
    loop: LogLinearHistogram


class Health:
    """Watches one process over windows of `WINDOW_SECONDS`, and over its whole run.

    Attributes:
        problems: why the run is invalid, each signal once.
        causes: what is behind them, and what helps; each once.
        reached: limits of the machine that bound, with their values, once for each window.
    """

    __slots__ = ("_first", "_last", "_signals", "causes", "problems", "reached")

    def __init__(self, at: float, cpu_seconds: float, usage: Usage | None = None) -> None:
        self.problems: list[str] = []
        self.causes: list[str] = []
        self.reached: list[tuple[FaultKind, str]] = []
        self._first = self._last = _Reading(
            at, cpu_seconds, usage or Usage(), LogLinearHistogram(), LogLinearHistogram()
        )
        self._signals = {name: _Signal() for name in ("CPU", "send lag", "loop lag")}

    def look(self, at: float, cpu_seconds: float, measures: Measures, usage: Usage | None = None) -> list[str]:
        """End a window; return the problems that are new.

        Args:
            at: seconds of any steady clock.
            cpu_seconds: used by the process so far.
            measures: of the process; only read.
            usage: of the machine so far.
        """
        before, self._last = self._last, _reading(at, cpu_seconds, measures, usage)
        over = dict(_over(before, self._last))
        exceeded = [name for name, signal in self._signals.items() if signal.check(exceeded=name in over)]
        where = f"in the window {clock(before.at - self._first.at)}-{clock(at - self._first.at)}"
        self.reached = list(limits_reached(before.usage, self._last.usage, at - before.at))
        return self._add({name: f"{name}: {over[name]} {where}" for name in exceeded}, _load(before, self._last))

    def conclude(self, at: float, cpu_seconds: float, measures: Measures, usage: Usage | None = None) -> list[str]:
        """Judge the whole run at its end; return the problems that no window has shown."""
        last = _reading(at, cpu_seconds, measures, usage)
        self.reached = list(limits_reached(self._first.usage, last.usage, at - self._first.at))
        found = {name: f"{name}: {value} over the whole run" for name, value in _over(self._first, last)}
        return self._add(found, _load(self._first, last))

    def _add(self, found: dict[str, str], load: Load) -> list[str]:
        new = [text for name, text in found.items() if not any(known.startswith(name) for known in self.problems)]
        self.problems += new
        cause = cause_of(load)
        if new and cause not in self.causes:
            self.causes.append(cause)
        return new


def _reading(at: float, cpu_seconds: float, measures: Measures, usage: Usage | None) -> _Reading:
    return _Reading(at, cpu_seconds, usage or Usage(), _copy(measures.send_lag), _copy(measures.loop_lag))


def _load(before: _Reading, after: _Reading) -> Load:
    seconds = max(after.at - before.at, 0.001)
    then, now = before.usage, after.usage
    idle = None if then.idle is None or now.idle is None else (now.idle - then.idle) / seconds
    stolen, throttled = (now.stolen - then.stolen) / seconds, (now.throttled - then.throttled) / seconds
    return Load((after.cpu - before.cpu) / seconds, now.cores, idle, stolen, throttled, now.quota)


def _over(before: _Reading, after: _Reading) -> Iterator[tuple[str, str]]:
    """Yield which limits were exceeded between two readings, and by what figure."""
    cpu = (after.cpu - before.cpu) / (after.at - before.at) if after.at > before.at else 0.0
    if cpu >= CPU_LIMIT:
        yield "CPU", f"{cpu:.0%} of a core"
    for name, now, then in (("send lag", after.send, before.send), ("loop lag", after.loop, before.loop)):
        p99 = _p99(now, then)
        if p99 > LAG_LIMIT:
            yield name, f"p99 {p99 / 1e6:.0f} ms"


def _p99(now: LogLinearHistogram, before: LogLinearHistogram) -> float:
    window = now.since(before)
    if window.count < _FEWEST:
        return 0.0
    return window.quantile(0.99) or 0.0


def _copy(histogram: LogLinearHistogram) -> LogLinearHistogram:
    copy = LogLinearHistogram()
    copy.merge(histogram)
    return copy
