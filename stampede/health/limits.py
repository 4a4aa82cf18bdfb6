"""The limits of the load generator: beyond one of them a result is invalid; pure.

A generator that is short of CPU reads deliveries late, and its own delay is then measured as the server's latency.

| limit | Locust run | step of a capacity run | reason for the difference |
|---|---|---|---|
| CPU of one process, in cores | 0.95 | 0.92 | A run needs two windows in a row over its limit. A step has one window. |
| p99 of send lag and loop lag | 100 ms | 25 % of the strictest latency SLO | A run need not have a latency SLO. |
| the same without a latency SLO | 100 ms | 100 ms | |
| smallest lag limit of a step | | 10 ms | A timer on a shared machine is often late by some milliseconds. |
"""

from __future__ import annotations

from typing import Final

RUN_CPU: Final = 0.95
"""Cores of one process in a run. Above this, the generator itself delays deliveries."""

RUN_LAG_NS: Final = 100_000_000
"""The p99 of send lag or loop lag in a run, in a window or over the whole run."""

STEP_CPU: Final = 0.92
"""Cores of one process in a step of a capacity run."""

STEP_LAG_SHARE: Final = 0.25
"""The p99 of send lag or loop lag in a step, as a share of the strictest latency SLO."""

STEP_LAG_FLOOR_MS: Final = 10.0
"""The smallest lag limit of a step, however strict its SLO."""

STEP_LAG_DEFAULT_MS: Final = RUN_LAG_NS / 1e6
"""The lag limit of a step without a latency SLO."""

MAX_OVERDUE_NS: Final = 40_000_000
"""Delay of scheduled messages above which new users wait before they connect."""

THROTTLED: Final = 0.05
"""Share of the time for which a CPU quota may stop the process."""

FULL: Final = 0.95
"""Share of a memory limit, or of the table of tracked connections, above which it counts as reached."""
