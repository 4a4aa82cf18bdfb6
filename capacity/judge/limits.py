"""Limits beyond which a measurement is not trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from capacity.config.slo import strictest_ms
from stampede.health.limits import STEP_CPU, STEP_LAG_DEFAULT_MS, STEP_LAG_FLOOR_MS, STEP_LAG_SHARE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.config.slo import RunSlo


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a measurement.

    Attributes:
        cpu: cores used by one worker of the load generator; a worker can use one core.
        lag_share: loop lag or send lag (p99) of a worker, as a share of the strictest latency SLO. A longer lag cannot
            be distinguished from latency.
        lag_floor_ms, lag_default_ms: minimum of that limit, and the limit if no SLO bounds latency.
        stale_s: age of a worker's last report.
        offered: share of the intended messages that must have been sent.
        ready: share of the users that must be in their rooms.
        keeping_up: share of the expected deliveries that must have arrived in the window.
        disturbed: use of the server's core by other processes, in cores, above which a note reports it.
        disturbing: the same use above which a failed step is repeated. If also more than `core_full` of the core was
            used, and the server used less than `own`, the step is invalid, unless no thread of the server needed a core
            for `core_full` of the window, and all waited too briefly to explain the failure.
        lag_factor: delivery latency (p99) that the lag (p99) can explain, as a multiple: a delivery waits for the rest
            of one loop iteration and for its place in the next. Simulated: 1.2 to 2.15.
    """

    cpu: float = STEP_CPU
    lag_share: float = STEP_LAG_SHARE
    lag_floor_ms: float = STEP_LAG_FLOOR_MS
    lag_default_ms: float = STEP_LAG_DEFAULT_MS
    stale_s: float = 3.0
    offered: float = 0.98
    ready: float = 0.99
    keeping_up: float = 0.9
    disturbed: float = 0.1
    disturbing: float = 0.2
    core_full: float = 0.9
    own: float = 0.8
    lag_factor: float = 2.2

    def lag_ms(self, slos: Sequence[RunSlo]) -> float:
        """Return the longest tolerable lag of the load generator in milliseconds."""
        strictest = strictest_ms(slos)
        return self.lag_default_ms if strictest is None else max(self.lag_floor_ms, strictest * self.lag_share)


DEFAULT_LIMITS: Final = Limits()
