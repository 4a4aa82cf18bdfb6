"""What a run leaves behind: the structs of `report.json`, and the one table of what a step knows.

Every figure of a step is of its measuring window; None is 'not known', never zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from capacity.formatting import show_confirmation

if TYPE_CHECKING:
    from pathlib import Path

REPORT_VERSION = 1


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One step: what was asked, what was seen, what it came to.

    Attributes:
        started_s: since the search began; `settle_s` and `window_s` follow it.
        offered_per_s: deliveries expected per second; `delivered_per_s`: those that came.
        deliver_*: from the intended send (the stricter clock); `deliver_sent_*`: from the actual one.
        signals: names of the figures that the reasons rest on, in the same order.
        figures: what each service level was compared with, by its text; None where nothing told it.
        server_cpu: cores used by the server, its processes and what is between them added up; `server_cpu_busiest`:
            by the busiest of several processes; `server_core_foreign`: cores' worth of its core used by others.
        generator_cpu: cores used by each process of the load generator.
    """

    users: int
    purpose: str
    verdict: str
    reasons: list[str]
    signals: list[str]
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
        """Whether more came within the window than was due in it."""
        return self.received is not None and self.expected is not None and self.received > self.expected

    @property
    def server_load(self) -> float | None:
        """Share of its core that the server's process used, of several the busiest one."""
        if self.server_cpu_busiest is not None or self.server_cpu is None:
            return self.server_cpu_busiest
        return self.server_cpu / self.server_processes


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. Measured and projected figures never share a field.

    Attributes:
        supported_users: highest level that met every service level; None when none did.
        first_failing_users: lowest level that failed; None when none did.
        generator_limited_at: lowest level at which the load generator, not the server, was the limit.
        limited_by: the signal that gave out first, with its evidence beside it.
        confirmed: whether `supported_users` passed again as often as the search asks (`confirmations`); it passed
            `passes` times in all.
        projected_users: users at which a line through the server's CPU fills its core, with its 95 % interval.
        confirm_with: command that would measure further, where an option of it helps; `confirm_needs`: what that
            option gives the search.
        disturbance: what else used the server's core during the run, or None where nothing much did.
        ending: why the search ended.
    """

    supported_users: int | None
    first_failing_users: int | None
    generator_limited_at: int | None
    limited_by: str | None
    evidence: list[str]
    confirmed: bool
    projected_users: int | None
    projected_low: int | None
    projected_high: int | None
    projection_warning: str | None
    confirm_with: str | None
    disturbance: str | None
    ending: str
    sentence: str
    headline: str
    headline_label: str
    confirm_needs: str | None = None
    passes: int = 0
    confirmations: int = 0

    @property
    def confirmation(self) -> str:
        """How often `supported_users` was confirmed, in words."""
        return "confirmed" if self.confirmed else show_confirmation(self.passes, self.confirmations)


class Interval(msgspec.Struct, frozen=True):
    """A fitted coefficient with its 95 % interval."""

    value: float
    low: float
    high: float


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """The Universal Scalability Law over deliveries in flight, fitted to the steps that kept pace.

    Attributes:
        rate: deliveries per second of one delivery in flight; `sigma`: contention; `kappa`: coherency.
        residual: standard error of the residuals, deliveries per second.
        points: (in flight, deliveries per second) of each step used; `efficiency`: of each, 1 being linear.
        peak: in flight at the highest throughput, None where there is no peak in range; `ceiling`: lambda / sigma.
        curve: (in flight, fitted, low, high): the law with its 95 % band over the measured range.
        lines: the model in words.
    """

    rate: Interval
    sigma: Interval
    kappa: Interval
    residual: float
    points: list[tuple[float, float]]
    efficiency: list[float]
    peak: float | None
    ceiling: float | None
    curve: list[tuple[float, float, float, float]]
    lines: list[str]


class Sizing(msgspec.Struct, frozen=True, kw_only=True):
    """What a number of users needs, from what one process was measured to hold.

    Attributes:
        headroom: share of a process that is to stay free.
        users_per_process: measured; `usable_per_process`: less the headroom.
        processes: that carry the target; `with_spare`: one more, so that one may fail (N+1).
        memory_bytes, sent_bytes_per_s: of all of them, None where nothing told it.
        headline: the result in one line.
        arithmetic: every step from measurement to result, in words; `caveats`: what it assumes.
    """

    target_users: int
    headroom: float
    users_per_process: int
    usable_per_process: int
    processes: int
    with_spare: int
    cpu_cores: float | None
    cpu_us_per_user: float | None
    cpu_us_per_delivery: float | None
    memory_bytes: int | None
    bytes_per_user: float | None
    sent_bytes_per_s: float | None
    headline: str
    arithmetic: list[str]
    caveats: list[str]


class ProcessPoint(msgspec.Struct, frozen=True, kw_only=True):
    """What a number of server processes held, by a search of its own.

    Attributes:
        workers: how many there were; the rest as in the answer of that search.
        deliveries_per_s: at the highest level that held, each time it did.
        server_cores: which they ran on; `shared`: with the load generator.
        cut_short: before its search had come to its end.
        folder: where the report of that search lies, below this one's.
    """

    workers: int
    supported_users: int | None
    first_failing_users: int | None
    confirmed: bool
    limited_by: str | None
    deliveries_per_s: list[float]
    server_cores: list[int] | None
    shared: bool
    cut_short: bool = False
    folder: str


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """What more server processes bring.

    Attributes:
        points: by number of processes; `efficiency`: deliveries of each per process, as a share of the first one's.
        sigma, kappa: of the Universal Scalability Law over processes, None with too few numbers of them.
        lines: all of it in words.
    """

    points: list[ProcessPoint]
    efficiency: list[float]
    sigma: float | None
    kappa: float | None
    lines: list[str]


class StormRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One storm: how many were dropped at once, and what it took until they heard again.

    Attributes:
        share: percent of the users that was to be dropped; `users`: in their rooms then.
        drop_ms: from the first to the last drop; `resync50_ms`...: from the drop, None where they were not back.
        peak_accepts_per_s: connections in the busiest second.
        unaffected_p99_ms: of deliveries to those who were not dropped, from the intended send.
        missed: messages that the dropped did not get.
        server_load, generator_cpu: shares of a core until all were back; `generator_lag_p99_ms`: the longer of its own
            lags, in its slowest process.
    """

    share: int
    purpose: str
    verdict: str
    reasons: list[str]
    signals: list[str]
    users: int
    dropped: int
    resynced: int
    drop_ms: float
    resync50_ms: float | None
    resync95_ms: float | None
    resync100_ms: float | None
    peak_accepts_per_s: int
    unaffected_p99_ms: float | None
    missed: int
    server_load: float | None
    generator_cpu: list[float]
    figures: dict[str, float | None]
    generator_lag_p99_ms: float | None = None


class StormAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The largest share of the users that may reconnect at once.

    Attributes:
        users: held meanwhile; `share`: percent of them, `failing_share` the lowest that failed.
        generator_limited_share: the lowest at which the load generator was the limit.
        backoff: how those dropped wait before they try.
        confirmed, passes, confirmations: of `share`, as in the answer.
    """

    users: int
    share: int | None
    failing_share: int | None
    generator_limited_share: int | None
    confirmed: bool
    backoff: str
    levels: list[str]
    storms: list[StormRecord]
    ending: str
    sentence: str
    passes: int = 0
    confirmations: int = 0

    @property
    def confirmation(self) -> str:
        """How often `share` was confirmed, in words."""
        return "confirmed" if self.confirmed else show_confirmation(self.passes, self.confirmations)


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Where and with what the run was made."""

    started_at: str
    host: str
    system: str
    cpu_model: str | None
    cores: int
    memory_bytes: int
    python: str
    libraries: dict[str, str]
    revision: str | None
    server_cores: list[int] | None
    generator_cores: list[int] | None
    generator_processes: int
    file_limit: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of `report.json`.

    Attributes:
        status: `complete` or `partial`; `status_reason` says why it is partial.
        missing: what could not be measured at all, e.g. the server's own figures without `/metrics`.
        notes: what else is to be known of the run, e.g. that both sides shared the cores.
        command: how to repeat the run; secrets in it are hidden.
        limits: where trust in the load generator ended: `cpu` in cores, `lag_ms`.
    """

    version: int = REPORT_VERSION
    status: str
    status_reason: str | None
    answer: Answer
    steps: list[StepRecord]
    levels: list[str]
    settings: dict[str, str | int | float | bool | None]
    environment: Environment
    missing: list[str]
    command: str
    duration_s: float
    limits: dict[str, float] = {}
    model: Model | None = None
    sizing: Sizing | None = None
    scaling: Scaling | None = None
    storm: StormAnswer | None = None
    notes: list[str] = []


def read_report(path: Path) -> Report:
    """Read a `report.json` back.

    Raises:
        OSError: it cannot be read.
        msgspec.MsgspecError: it is none.
    """
    return msgspec.json.decode(path.read_bytes(), type=Report)
