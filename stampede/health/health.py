"""Decide whether the load generator keeps up; pure, times and figures are arguments.

A run in which the generator does not keep up is *invalid*: its latencies include the generator's own delay. CPU and lag
are judged in windows. Two windows in a row must exceed a limit, so that one short stall of a busy machine does not
count. They are also judged over the whole run, which covers runs of a few seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stampede.generator_faults import FaultKind
from stampede.health import limits
from stampede.health.machine import Usage
from stampede.measure.formatting import format_clock
from stampede.measure.log_linear_histogram import LogLinearHistogram

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stampede.measure.measures import Measures

PROBE_INTERVAL_NS: Final = 10_000_000
"""Interval of the timer whose lateness is the loop lag."""

WINDOW_SECONDS: Final = 5.0

_IN_A_ROW: Final = 2
_MIN_SAMPLES: Final = 100  # the p99 of fewer samples is their maximum
_BUSY: Final = 0.9  # cores from which a process is bound by its single core
_IDLE: Final = 0.1  # share of the machine's cores below which no CPU is left
_STOLEN: Final = 0.1  # share of the CPU withheld by the hypervisor that explains a lag
_THROTTLED: Final = 0.01  # share of the time that a p99 shows


def probe_lags(late: int) -> range:
    """Return the lags to record for a timer that fires `late` ns too late, including those of the expiries it missed.

    Source: G. Tene, "How NOT to Measure Latency"; HdrHistogram's correction for coordinated omission.
    """
    return range(max(late, 0), -1, -PROBE_INTERVAL_NS)


@dataclass(frozen=True, slots=True)
class CpuUse:
    """Mean CPU use over some seconds, in cores unless stated otherwise.

    Attributes:
        cpu: CPU used by the process.
        cores: number of cores that the process may run on; `idle` of them were idle, `stolen` withheld.
        throttled: share of the time for which the CPU quota stopped the process.
        quota: the CPU quota of its control group.
    """

    cpu: float
    cores: int = 1
    idle: float | None = None
    stolen: float = 0.0
    throttled: float = 0.0
    quota: float | None = None


def cause_of(use: CpuUse) -> str:
    """Return why the generator falls behind, and the remedy. More processes help only if a core is free."""
    if use.quota is not None and use.throttled >= _THROTTLED:
        return (
            f"The CPU quota of the control group ({use.quota:.2f} cores) stopped the process for "
            f"{use.throttled:.0%} of the time: raise the quota."
        )
    if use.stolen >= _STOLEN * use.cores:
        return f"The hypervisor withheld {use.stolen / use.cores:.0%} of the CPU: use a dedicated machine."
    if use.idle is not None and use.idle <= _IDLE * use.cores:
        cores = "its only core is" if use.cores == 1 else f"all {use.cores} cores are"
        return (
            f"No CPU is left on this machine ({cores} busy, {use.cpu:.0%} of one with this process): move the server "
            "or the load generator to another machine; more --processes do not help."
        )
    if use.cpu >= _BUSY:
        return "The process uses its whole core, and other cores are free: use more --processes."
    return (
        f"The process used {use.cpu:.0%} of a core, so it was not short of CPU. Possible causes: blocking user code, "
        "swapping, a suspended machine."
    )


def limits_reached(before: Usage, after: Usage, seconds: float) -> Iterator[tuple[FaultKind, str]]:
    """Yield the limits of the machine and its control groups that were reached between two readings."""
    if after.quota is not None and after.throttled - before.throttled > limits.THROTTLED * seconds:
        yield FaultKind.CPU_QUOTA, f"{after.quota:.2f} cores"
    if after.memory_limit is not None and after.memory >= limits.FULL * after.memory_limit:
        yield FaultKind.MEMORY_LIMIT, f"{after.memory_limit / 2**20:.0f} MiB"
    if after.killed > before.killed:
        processes = "1 process" if after.killed == before.killed + 1 else f"{after.killed - before.killed} processes"
        yield FaultKind.MEMORY_LIMIT, f"the kernel killed {processes}"
    if after.tracked_limit is not None and after.tracked >= limits.FULL * after.tracked_limit:
        yield FaultKind.CONNTRACK, f"net.netfilter.nf_conntrack_max is {after.tracked_limit}"


@dataclass(slots=True)
class _Signal:
    """Consecutive windows in which one limit was exceeded."""

    windows: int = 0

    def check(self, *, exceeded: bool) -> bool:
        self.windows = self.windows + 1 if exceeded else 0
        return self.windows >= _IN_A_ROW


@dataclass(frozen=True, slots=True)
class _Reading:
    """All figures at one moment; the histograms are copies."""

    at: float
    cpu: float
    usage: Usage
    send: LogLinearHistogram
    loop: LogLinearHistogram


class Health:
    """The health of one process, in windows of `WINDOW_SECONDS` and over its whole run.

    Attributes:
        causes: the causes of the problems and their remedies; each once.
        reached: limits of the machine that were reached in the last window, with their values.
    """

    __slots__ = ("_first", "_last", "_problems", "_signals", "causes", "reached")

    def __init__(self, at: float, cpu_seconds: float, usage: Usage | None = None) -> None:
        self._problems: dict[str, str] = {}  # by signal
        self.causes: list[str] = []
        self.reached: list[tuple[FaultKind, str]] = []
        self._first = self._last = _Reading(
            at, cpu_seconds, usage or Usage(), LogLinearHistogram(), LogLinearHistogram()
        )
        self._signals = {name: _Signal() for name in ("CPU", "send lag", "loop lag")}

    @property
    def problems(self) -> list[str]:
        """Why the run is invalid; each signal once."""
        return list(self._problems.values())

    def end_window(self, at: float, cpu_seconds: float, measures: Measures, usage: Usage | None = None) -> list[str]:
        """Judge the window that ends now; return the new problems.

        Args:
            at: seconds on a monotonic clock.
            cpu_seconds: CPU time of the process so far.
            measures: of the process; they are only read.
            usage: of the machine so far.
        """
        before, self._last = self._last, _reading(at, cpu_seconds, measures, usage)
        over = dict(_over(before, self._last))
        exceeded = [name for name, signal in self._signals.items() if signal.check(exceeded=name in over)]
        where = f"in the window {format_clock(before.at - self._first.at)}-{format_clock(at - self._first.at)}"
        self.reached = list(limits_reached(before.usage, self._last.usage, at - before.at))
        return self._add({name: f"{name}: {over[name]} {where}" for name in exceeded}, _cpu_use(before, self._last))

    def conclude(self, at: float, cpu_seconds: float, measures: Measures, usage: Usage | None = None) -> list[str]:
        """Judge the whole run at its end; return the problems that no window had."""
        last = _reading(at, cpu_seconds, measures, usage)
        self.reached = list(limits_reached(self._first.usage, last.usage, at - self._first.at))
        found = {name: f"{name}: {value} over the whole run" for name, value in _over(self._first, last)}
        return self._add(found, _cpu_use(self._first, last))

    def _add(self, found: dict[str, str], use: CpuUse) -> list[str]:
        new = {name: text for name, text in found.items() if name not in self._problems}
        self._problems |= new
        cause = cause_of(use)
        if new and cause not in self.causes:
            self.causes.append(cause)
        return list(new.values())


def _reading(at: float, cpu_seconds: float, measures: Measures, usage: Usage | None) -> _Reading:
    return _Reading(at, cpu_seconds, usage or Usage(), measures.send_lag.copy(), measures.loop_lag.copy())


def _cpu_use(before: _Reading, after: _Reading) -> CpuUse:
    seconds = max(after.at - before.at, 0.001)
    then, now = before.usage, after.usage
    idle = None if then.idle is None or now.idle is None else (now.idle - then.idle) / seconds
    stolen, throttled = (now.stolen - then.stolen) / seconds, (now.throttled - then.throttled) / seconds
    return CpuUse((after.cpu - before.cpu) / seconds, now.cores, idle, stolen, throttled, now.quota)


def _over(before: _Reading, after: _Reading) -> Iterator[tuple[str, str]]:
    """Yield the limits that were exceeded between two readings, with the measured values."""
    cpu = (after.cpu - before.cpu) / (after.at - before.at) if after.at > before.at else 0.0
    if cpu >= limits.RUN_CPU:
        yield "CPU", f"{cpu:.0%} of a core"
    for name, now, then in (("send lag", after.send, before.send), ("loop lag", after.loop, before.loop)):
        p99 = _p99(now, then)
        if p99 > limits.RUN_LAG_NS:
            yield name, f"p99 {p99 / 1e6:.0f} ms"


def _p99(now: LogLinearHistogram, before: LogLinearHistogram) -> float:
    window = now - before
    if window.count < _MIN_SAMPLES:
        return 0.0
    return window.quantile(0.99) or 0.0
