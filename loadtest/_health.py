"""Whether the generator itself keeps up: pure; samples and times come in.

A run in which it does not is *invalid*: its latencies would be the generator's own. The limits are windowed, and two
windows in a row must be over them, so that one hiccup of a busy machine condemns nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metrics.loglinear import LogLinear

if TYPE_CHECKING:
    from loadtest._measures import Measures

CANARY: Final = 10_000_000
"""Nanoseconds between two looks of the canary at the loop."""

WINDOW_SECONDS: Final = 5.0
CPU_LIMIT: Final = 0.95
"""Part of a core; above it there is no telling who is slow."""

LAG_LIMIT: Final = 100_000_000
"""Nanoseconds that the p99 of a window's send lag or loop lag must not exceed."""

_IN_A_ROW: Final = 2
_FEWEST: Final = 100  # a p99 of fewer samples is their maximum


def canary_lags(late: int) -> range:
    """Return the lags to record for a canary that comes `late` ns too late: those of the looks it missed included.

    Source: G. Tene, "How NOT to Measure Latency"; HdrHistogram's correction for coordinated omission.
    """
    return range(max(late, 0), -1, -CANARY) if late >= CANARY else range(max(late, 0), max(late, 0) + 1)


@dataclass(slots=True)
class _Signal:
    """One limit: how often in a row it has been exceeded."""

    strikes: int = 0

    def check(self, *, exceeded: bool) -> bool:
        self.strikes = self.strikes + 1 if exceeded else 0
        return self.strikes >= _IN_A_ROW


class Health:
    """Watches one process over windows of `WINDOW_SECONDS`.

    Attributes:
        problems: why the run is invalid, each once.
    """

    __slots__ = (
        "_at",
        "_cpu",
        "_cpu_signal",
        "_loop",
        "_loop_signal",
        "_send",
        "_send_signal",
        "_too_late",
        "problems",
    )

    def __init__(self, at: float, cpu_seconds: float) -> None:
        self.problems: list[str] = []
        self._at = at
        self._cpu = cpu_seconds
        self._send = LogLinear()
        self._loop = LogLinear()
        self._cpu_signal, self._send_signal, self._loop_signal = _Signal(), _Signal(), _Signal()
        self._too_late = 0

    def look(self, at: float, cpu_seconds: float, measures: Measures) -> list[str]:
        """End a window; return the problems that are new.

        Args:
            at: seconds of any steady clock.
            cpu_seconds: used by the process so far.
            measures: of the process; only read.
        """
        seconds = at - self._at
        cpu = (cpu_seconds - self._cpu) / seconds if seconds > 0 else 0.0
        send, loop = _p99(measures.send_lag, self._send), _p99(measures.loop_lag, self._loop)
        found = []
        if self._cpu_signal.check(exceeded=cpu >= CPU_LIMIT):
            found.append(("CPU", f"CPU: {cpu:.0%} of a core"))
        if self._send_signal.check(exceeded=send > LAG_LIMIT):
            found.append(("send lag", f"send lag: p99 {send / 1e6:.0f} ms"))
        if self._loop_signal.check(exceeded=loop > LAG_LIMIT):
            found.append(("loop lag", f"loop lag: p99 {loop / 1e6:.0f} ms"))
        self._at, self._cpu = at, cpu_seconds
        self._send, self._loop = _copy(measures.send_lag), _copy(measures.loop_lag)
        new = [text for name, text in found if not any(known.startswith(name) for known in self.problems)]
        self.problems += new
        return new


def _p99(now: LogLinear, before: LogLinear) -> float:
    window = now.since(before)
    if window.count < _FEWEST:
        return 0.0
    return window.quantile(0.99) or 0.0


def _copy(histogram: LogLinear) -> LogLinear:
    copy = LogLinear()
    copy.merge(histogram)
    return copy
