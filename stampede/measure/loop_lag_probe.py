"""A regular timer of the hub, whose lateness is the lateness of everything in this process."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

from gevent import get_hub

from stampede.measure.health import CANARY, canary_lags

if TYPE_CHECKING:
    from stampede.measure.log_linear_histogram import LogLinear


class Canary:
    """Records loop lag until it is closed."""

    __slots__ = ("_due", "_histogram", "_timer")

    def __init__(self, histogram: LogLinear) -> None:
        self._histogram = histogram
        self._due = monotonic_ns() + CANARY
        self._timer = get_hub().loop.timer(CANARY / 1e9, CANARY / 1e9)
        self._timer.start(self._look)

    def _look(self) -> None:
        now = monotonic_ns()
        for lag in canary_lags(now - self._due):
            self._histogram.record(lag)
        self._due = now + CANARY

    def close(self) -> None:
        """Stop."""
        self._timer.stop()
        self._timer.close()
