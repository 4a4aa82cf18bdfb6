"""One step of a run, as `report.json` keeps it, and the terms of its verdict.

All figures of a step cover its measurement window. None means unknown, never zero.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence


class Verdict(StrEnum):
    """The verdict on a step or a storm."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INVALID = "invalid"


class Cause(StrEnum):
    """The cause that a reason names: server, load generator, other processes on the server's core, missing data."""

    SERVER = "server"
    GENERATOR = "generator"
    OTHERS = "others"
    MISSING = "missing"


def invalid_cause(verdict: Verdict, causes: Sequence[Cause]) -> Cause | None:
    """Return why a measurement is invalid; None if it is valid. Missing data is the default."""
    if verdict is not Verdict.INVALID:
        return None
    return next((cause for cause in (Cause.GENERATOR, Cause.OTHERS) if cause in causes), Cause.MISSING)


def core_share(total: float | None, busiest: float | None, processes: int) -> float | None:
    """Return the share of its core that the busiest server process used.

    Args:
        total: cores used by all server processes.
        busiest: cores used by the busiest process, if it was measured; otherwise the mean is returned.
        processes: number of server processes.
    """
    return busiest if busiest is not None or total is None else total / processes


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One step: its level of users, its measurements and its verdict.

    Attributes:
        reasons: one sentence each. `signals` names the figure and `causes` the cause of each, in the same order.
        started_s: seconds since the start of the search; `settle_s` and `window_s` follow.
        offered_per_s: expected deliveries per second; `delivered_per_s`: received ones.
        deliver_*: latency from the intended send time; `deliver_sent_*`: from the actual one.
        late: lost deliveries that arrived after all; `churned`: no longer owed, since sender or receiver left.
        figures: the value that each SLO was compared with, by the SLO's text; None if unknown.
        server_cpu: cores used by all server processes and the bus between them; `server_cpu_busiest`: by the busiest
            of several processes; `server_core_foreign`: use of the server's core by other processes, in cores.
        generator_cpu: cores used by each worker of the load generator.
    """

    users: int
    purpose: str
    verdict: Verdict
    reasons: list[str]
    signals: list[str]
    causes: list[Cause] = []
    notes: list[str]
    started_s: float
    settle_s: float
    window_s: float | None = None
    ready: int | None = None
    room_size: float | None = None
    offered_per_s: float | None = None
    delivered_per_s: float | None = None
    sends_intended: int | None = None
    sends: int | None = None
    sends_skipped: int | None = None
    deliver_mean_ms: float | None = None
    deliver_p50_ms: float | None = None
    deliver_p90_ms: float | None = None
    deliver_p99_ms: float | None = None
    deliver_p999_ms: float | None = None
    deliver_sent_p50_ms: float | None = None
    deliver_sent_p90_ms: float | None = None
    deliver_sent_p99_ms: float | None = None
    deliver_sent_p999_ms: float | None = None
    expected: int | None = None
    received: int | None = None
    lost: int | None = None
    duplicated: int | None = None
    reordered: int | None = None
    late: int | None = None
    churned: int | None = None
    errors: int | None = None
    resync_p95_ms: float | None = None
    figures: dict[str, float | None] = {}
    server_cpu: float | None = None
    server_cpu_busiest: float | None = None
    server_processes: int = 1
    server_core_foreign: float | None = None
    server_loop_lag_p99_ms: float | None = None
    server_rss_bytes: int | None = None
    server_memory_bytes: int | None = None
    server_fds: int | None = None
    server_fds_limit: int | None = None
    server_dropped: int | None = None
    server_kills: int | None = None
    server_sent_bytes_per_s: float | None = None
    generator_cpu: list[float] = []
    generator_loop_lag_p99_ms: float | None = None
    generator_send_lag_p99_ms: float | None = None

    @property
    def is_ahead(self) -> bool:
        """Whether more deliveries arrived in the window than were due in it."""
        return self.received is not None and self.expected is not None and self.received > self.expected

    @property
    def server_core_share(self) -> float | None:
        """Share of its core that the busiest server process used."""
        return core_share(self.server_cpu, self.server_cpu_busiest, self.server_processes)

    @property
    def invalid_cause(self) -> Cause | None:
        """Why the step is invalid; None if it is valid."""
        return invalid_cause(self.verdict, self.causes)
