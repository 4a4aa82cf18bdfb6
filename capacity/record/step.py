"""One step of a run, as `report.json` keeps it, and the terms of its verdict.

All figures of a step cover its measurement window. None means unknown, never zero.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from stampede.measure.address_pairs import AddressPair

if TYPE_CHECKING:
    from collections.abc import Sequence

LOST_WORKER: Final = "generator worker"
"""Signal of a step during which the load generator lost a worker, or got an additional one."""


class Verdict(StrEnum):
    """The verdict on a step or a storm."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INVALID = "invalid"


class Cause(StrEnum):
    """The cause that a reason names.

    It is the server, the load generator, other processes on the server's core, missing data, or the command of a drill.
    """

    SERVER = "server"
    GENERATOR = "generator"
    OTHERS = "others"
    MISSING = "missing"
    COMMAND = "command"


def invalid_cause(verdict: Verdict, causes: Sequence[Cause]) -> Cause | None:
    """Return why a measurement is invalid; None if it is valid. Missing data is the default."""
    if verdict is not Verdict.INVALID:
        return None
    return next((cause for cause in (Cause.GENERATOR, Cause.OTHERS) if cause in causes), Cause.MISSING)


def core_share(
    total: float | None,
    busiest: float | None,
    processes: int,
    *,
    busiest_thread: float | None = None,
    cores: float | None = None,
) -> float | None:
    """Return the use of the core or cores that limit the server; 1 is full.

    A process that runs one thread at a time is limited by one core, and a server with several threads or processes
    also by all cores that it may use.

    Args:
        total: cores used by all server processes.
        busiest: cores used by the busiest of several processes with metrics pages, each limited by one core.
        processes: number of server processes with metrics pages.
        busiest_thread: cores used by the busiest thread of all processes, if they are known.
        cores: cores that these processes may use.
    """
    if busiest is not None or total is None:
        return busiest
    if cores:
        return max(busiest_thread or 0.0, total / cores)
    return total / processes


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One step: its level of users, its measurements and its verdict.

    Attributes:
        reasons: one sentence each. `signals` names the figure and `causes` the cause of each, in the same order.
        started_s: seconds since the start of the search; `settle_s` and `window_s` follow.
        timed_users: users whose deliveries were timed; the ledger counts those of all users.
        offered_per_s: expected deliveries per second; `delivered_per_s`: received ones.
        deliver_*: latency from the intended send time; `deliver_sent_*`: from the actual one.
        late: lost deliveries that arrived after all; `churned`: no longer owed, since sender or receiver left.
        figures: the value that each SLO was compared with, by the SLO's text; None if unknown.
        server_cpu: cores used by all server processes and the bus between them; `server_cpu_busiest`: by the busiest
            of several processes; `server_core_foreign`: use of the server's core by other processes, in cores.
        server_busiest_thread: cores used by the busiest thread; `server_cores_allowed`: cores that the server may use
            by affinity and CPU quota.
        server_runnable: largest share of the window for which one thread of the server ran or was ready to run.
        server_observed_processes: number of processes that the operating system's figures cover.
        server_throttled_share: share of the window for which the CPU quota stopped the server.
        server_listen_overflows: connections that found a listen queue of the server's machine full, since the users
            began to join; `server_killed`: processes that the kernel killed for lack of memory since then.
        generator_cpu: cores used by each worker of the load generator.
        address_pairs: deliveries by the addresses of sender and receiver; none if all users were at one address.
        invalid_workers: names of its workers that made the step invalid.
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
    timed_users: int | None = None
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
    server_observed_processes: int | None = None
    server_busiest_thread: float | None = None
    server_runnable: float | None = None
    server_cores_allowed: float | None = None
    server_cpu_quota: float | None = None
    server_throttled_share: float | None = None
    server_switches_per_s: float | None = None
    server_group_memory_bytes: int | None = None
    server_group_memory_limit_bytes: int | None = None
    server_memory_available_bytes: int | None = None
    server_killed: int | None = None
    server_listen_overflows: int | None = None
    server_somaxconn: int | None = None
    server_tracked: int | None = None
    server_tracked_limit: int | None = None
    generator_cpu: list[float] = []
    address_pairs: list[AddressPair] = []
    generator_loop_lag_p99_ms: float | None = None
    generator_send_lag_p99_ms: float | None = None
    invalid_workers: list[str] = []

    @property
    def is_ahead(self) -> bool:
        """Whether more deliveries arrived in the window than were due in it."""
        return self.received is not None and self.expected is not None and self.received > self.expected

    @property
    def server_core_share(self) -> float | None:
        """Use of the core or cores that limit the server; 1 is full."""
        return core_share(
            self.server_cpu,
            self.server_cpu_busiest,
            self.server_processes,
            busiest_thread=self.server_busiest_thread,
            cores=self.server_cores_allowed,
        )

    @property
    def has_lost_worker(self) -> bool:
        """Whether the step is invalid because a worker of the load generator left or joined."""
        return LOST_WORKER in self.signals

    @property
    def invalid_cause(self) -> Cause | None:
        """Why the step is invalid; None if it is valid."""
        return invalid_cause(self.verdict, self.causes)
