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

LATENCY_INCLUDES_DELAY: Final = "the latency includes the delay"
"""End of the note of a step that passed although the load generator lagged or was at its CPU limit."""

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
        users: requested users.
        purpose: why the step was measured: `ramp`, `repeat`, `bisect`, `recheck`, `confirm`, `given` or `baseline`.
        verdict: the verdict.
        reasons: why the verdict is not `pass`, one sentence each.
        signals: name of the figure of each reason, in the same order.
        causes: cause of each reason, in the same order.
        notes: other remarks on the step.
        started_s: seconds since the start of the search.
        settle_s: seconds that the users had to settle before the window.
        window_s: length of the measurement window in seconds.
        ready: users in their rooms at the end of the window.
        timed_users: users whose deliveries were timed; the ledger counts those of all users.
        room_size: mean number of users in a room at the end of the window.
        offered_per_s: expected deliveries per second.
        delivered_per_s: received deliveries per second.
        sends_intended: messages that were due in the window.
        sends: messages that were sent.
        sends_skipped: messages that were due and could not be sent.
        deliver_mean_ms: mean latency of deliveries from the intended send time.
        deliver_p50_ms, deliver_p90_ms, deliver_p99_ms, deliver_p999_ms: its percentiles; `p999` is the 99.9th.
        deliver_sent_p50_ms, deliver_sent_p90_ms, deliver_sent_p99_ms, deliver_sent_p999_ms: percentiles of the latency
            from the actual send time.
        expected: deliveries that the ledger expects.
        received: deliveries that arrived, without duplicates.
        lost: deliveries that did not arrive in time.
        duplicated: deliveries that arrived more than once.
        reordered: deliveries that arrived after a later message of the same sender.
        late: lost deliveries that arrived after all.
        churned: deliveries that are no longer owed, since sender or receiver left.
        errors: failed requests, such as connects and joins.
        resync_p95_ms: 95th percentile of the time from a drop until the user received messages again.
        figures: the value that each SLO was compared with, by the SLO's text; None if unknown.
        server_cpu: cores used by all server processes and the bus between them.
        server_cpu_busiest: cores used by the busiest of several processes with metrics pages.
        server_processes: number of processes with metrics pages.
        server_core_foreign: use of the server's core by other processes, in cores.
        server_loop_lag_p99_ms: 99th percentile of the server's event loop lag.
        server_rss_bytes: resident memory of all server processes.
        server_memory_bytes: memory of the server's machine, if it is this one.
        server_fds: open file descriptors of the process that is nearest to its limit.
        server_fds_limit: limit of that process.
        server_dropped: messages that the server dropped for slow consumers.
        server_kills: connections that the server closed as slow, or by heartbeat timeout.
        server_sent_bytes_per_s: bytes that the server sent per second.
        server_observed_processes: number of processes that the operating system's figures cover.
        server_busiest_thread: cores used by the busiest thread.
        server_runnable: largest share of the window for which one thread of the server ran or was ready to run.
        server_cores_allowed: cores that the server may use by affinity and CPU quota.
        server_cpu_quota: CPU quota of its control group in cores; None without one.
        server_throttled_share: share of the window for which the CPU quota stopped the server.
        server_switches_per_s: context switches of all threads per second.
        server_group_memory_bytes: memory of its control group.
        server_group_memory_limit_bytes: limit of that memory; None without one.
        server_memory_available_bytes: available memory of its machine.
        server_killed: processes that the kernel killed for lack of memory, since the users began to join.
        server_listen_overflows: connections that found a listen queue of the server's machine full, since the users
            began to join.
        server_somaxconn: longest listen queue that the server's machine allows.
        server_tracked: entries of the machine's connection tracking table.
        server_tracked_limit: largest number of such entries.
        generator_cpu: cores used by each worker of the load generator.
        address_pairs: deliveries by the addresses of sender and receiver; none if all users were at one address.
        generator_loop_lag_p99_ms: 99th percentile of the event loop lag of the slowest worker.
        generator_send_lag_p99_ms: 99th percentile of the send lag of the slowest worker.
        invalid_workers: names of the workers that made the step invalid.
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
