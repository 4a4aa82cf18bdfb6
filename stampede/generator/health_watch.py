"""Watches whether the load generator of a test keeps up."""

from __future__ import annotations

from time import monotonic, thread_time
from typing import TYPE_CHECKING, Final

import gevent

from stampede.generator_faults import FaultKind
from stampede.health.health import WINDOW_SECONDS, Health
from stampede.health.loop_lag_probe import LoopLagProbe
from stampede.health.machine import usage

if TYPE_CHECKING:
    from stampede.pool.user_pool import UserPool

MIN_SECONDS: Final = 1.0
"""Shorter runs are not judged: CPU use is then that of the joins, and the lag has too few samples."""

_RAISED_BY_JOIN: Final = (FaultKind.CERTIFICATE, FaultKind.NAMES)


class HealthWatch:
    """The health of the current thread, in which the users of a pool run.

    The CPU time is that of this thread alone: a test that computes does not use up the load generator's limit. A test
    that keeps this thread from running shows as lag.
    """

    __slots__ = ("_began", "_health", "_pool", "_probe", "_windows")

    def __init__(self, pool: UserPool) -> None:
        self._pool = pool
        self._began = monotonic()
        self._health = Health(self._began, thread_time(), usage())
        self._probe = LoopLagProbe(pool.measures.loop_lag)
        self._windows = gevent.spawn(self._end_windows)

    def _end_windows(self) -> None:
        while True:
            gevent.sleep(WINDOW_SECONDS)
            self._health.end_window(monotonic(), thread_time(), self._pool.measures, usage())
            self._count_faults()

    def _count_faults(self) -> None:
        for kind, value in self._health.reached:
            self._pool.count_fault(kind, value)

    def judge(self) -> None:
        """Judge the whole run up to now."""
        if monotonic() - self._began >= MIN_SECONDS:
            self._health.conclude(monotonic(), thread_time(), self._pool.measures, usage())
            self._count_faults()

    def close(self) -> None:
        """End the watch."""
        self._windows.kill()
        self._probe.close()

    @property
    def problems(self) -> list[str]:
        """Why the results are not usable, each problem once. Faults that a failed join raises are not included."""
        faults = [fault.text for fault in self._pool.faults if fault.kind not in _RAISED_BY_JOIN]
        return [*self._health.problems, *faults]
