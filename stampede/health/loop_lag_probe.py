"""A regular timer of gevent's hub, whose lateness is the loop lag of the process."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

from gevent import get_hub

from stampede.health.health import PROBE_INTERVAL_NS, probe_lags

if TYPE_CHECKING:
    from stampede.measure.log_linear_histogram import LogLinearHistogram


class LoopLagProbe:
    """Records the loop lag in a histogram until it is closed."""

    __slots__ = ("_due", "_histogram", "_timer")

    def __init__(self, histogram: LogLinearHistogram) -> None:
        self._histogram = histogram
        self._due = monotonic_ns() + PROBE_INTERVAL_NS
        self._timer = get_hub().loop.timer(PROBE_INTERVAL_NS / 1e9, PROBE_INTERVAL_NS / 1e9)
        self._timer.start(self._record)

    def _record(self) -> None:
        now = monotonic_ns()
        for lag in probe_lags(now - self._due):
            self._histogram.record(lag)
        self._due = now + PROBE_INTERVAL_NS

    def close(self) -> None:
        """Stop the timer."""
        self._timer.stop()
        self._timer.close()
