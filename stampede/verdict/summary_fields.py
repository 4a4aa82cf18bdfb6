"""The fields of a run's summary as data; pure.

None means unknown. Durations are in milliseconds.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from stampede.verdict.slo import parse_slo


class Verdict(StrEnum):
    """Whether the results of a run are usable."""

    VALID = "valid"
    INVALID = "invalid"


class ThresholdOutcome(StrEnum):
    """The result of a threshold."""

    MET = "met"
    FAILED = "failed"
    UNMEASURED = "unmeasured"


class ThresholdData(msgspec.Struct, frozen=True, kw_only=True):
    """One threshold.

    Attributes:
        expression: the threshold, such as `deliver_p99<250ms`.
        result: `met`, `failed`, or `unmeasured` if no window could be judged.
        windows: judged windows; `failed_windows` of them missed the threshold.
        worst: the highest value of a window, in milliseconds or as a share from 0 to 1.
    """

    expression: str
    result: ThresholdOutcome
    windows: int
    failed_windows: int
    worst: float | None

    @property
    def text(self) -> str:
        """The result with its figures."""
        if self.worst is None:
            return "unmeasured: no window had a sample"
        worst = f"worst {parse_slo(self.expression).show(self.worst)}"
        if self.result is ThresholdOutcome.MET:
            return f"met in {self.windows} of {self.windows} windows: {worst}"
        return f"failed in {self.failed_windows} of {self.windows} windows: {worst}"


class LedgerData(msgspec.Struct, frozen=True, kw_only=True):
    """The deliveries; `divergent` are sampled members with another order of messages, None if none were compared."""

    expected: int | None
    received: int | None
    lost: int | None
    duplicated: int | None
    reordered: int | None
    in_flight: int | None
    divergent: int | None


class QuantilesMs(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles of a duration, and its maximum; each None without samples."""

    p50: float | None
    p90: float | None
    p99: float | None
    p99_9: float | None = msgspec.field(name="p99.9")
    max: float | None


class LatencyData(msgspec.Struct, frozen=True, kw_only=True):
    """Delivery latency from the intended and from the actual send."""

    intended: QuantilesMs
    sent: QuantilesMs


class GeneratorData(msgspec.Struct, frozen=True, kw_only=True):
    """The health of the load generator.

    Attributes:
        send_lag_ms: from the moment a message was due until the generator was ready to send it.
        loop_lag_ms: lateness of a regular timer.
        cpu: share of one core of the busiest process, over the whole run.
        memory_mib: of the largest process.
        workers: processes that reported, without those that died.
    """

    send_lag_ms: QuantilesMs
    loop_lag_ms: QuantilesMs
    cpu: float | None
    memory_mib: float | None
    workers: int


class RequestData(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one name; the percentiles are those of the successful ones."""

    count: int
    failures: int
    p50: float | None
    p99: float | None


class ResyncMs(msgspec.Struct, frozen=True, kw_only=True):
    """The time until a share of the dropped users had resynced; None if they have not."""

    p50: float | None
    p95: float | None
    max: float | None


class StormData(msgspec.Struct, frozen=True, kw_only=True):
    """One storm on command.

    Attributes:
        number: of the storm in its run.
        at_seconds: since the test began.
        users: users in their rooms when the storm began; `dropped` of them were dropped, within `drop_ms`.
        resynced: dropped users that have received a delivery again; `gone` ones were stopped before.
        resync_ms: time until half, 95 % and all of the dropped users had resynced.
        peak_accepts_per_second: reconnects in the busiest second.
        unaffected_p99_ms: delivery latency of the other users while the storm lasted.
        missed: messages that the dropped users did not get.
    """

    number: int
    at_seconds: float
    users: int
    dropped: int
    drop_ms: float
    resynced: int
    gone: int
    resync_ms: ResyncMs
    peak_accepts_per_second: int
    unaffected_p99_ms: float | None
    missed: int


class SummaryData(msgspec.Struct, frozen=True, kw_only=True):
    """The summary of a run.

    Attributes:
        verdict: `valid`, or `invalid` if the results are not usable; None while the run lasts.
        reasons: why the run is invalid.
        exit_code: of the process if this is its last run; None while the run lasts.
        users: the most users that ran at once.
        seconds: length of the run.
        dialect: name of the dialect; None without chat users.
        scenario: the user classes and their weights, such as `ChattingUser=10,TypingUser=5`.
        timed_users: the most users at once whose deliveries were timed.
        thresholds: in the order in which they were given.
        ledger: the deliveries, without those of processes that died.
        latency_ms: delivery latency of the timed users.
        generator: the health of the load generator.
        requests: requests by name, as thresholds name them; only names that were used.
        storms: storms on command.
    """

    verdict: Verdict | None
    reasons: list[str]
    exit_code: int | None
    users: int | None
    seconds: float | None
    dialect: str | None
    scenario: str | None
    timed_users: int | None
    thresholds: list[ThresholdData]
    ledger: LedgerData
    latency_ms: LatencyData
    generator: GeneratorData
    requests: dict[str, RequestData]
    storms: list[StormData]

    def to_json(self) -> bytes:
        """Return the summary as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"
