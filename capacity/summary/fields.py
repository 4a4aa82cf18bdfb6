"""The fields of a summary. None means unknown, never zero."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from capacity.record.step import Verdict
from stampede.verdict.summary_fields import ThresholdOutcome


class Kind(StrEnum):
    """What was run."""

    CAPACITY = "capacity"
    STORM = "storm"
    DRILL = "drill"


class SloData(msgspec.Struct, frozen=True, kw_only=True):
    """One SLO, at the level that the answer names.

    Attributes:
        expression: the SLO, such as `deliver_p99<250ms`.
        value: in milliseconds, as a share from 0 to 1, or as its PromQL expression gives it.
        users: users of that level, or users that were held during the storm or the drill.
        text: the result with its figure.
    """

    expression: str
    result: ThresholdOutcome
    value: float | None
    users: int
    text: str


class AnswerData(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a search or of given levels; see `Answer`."""

    supported_users: int | None
    first_failing_users: int | None
    generator_limited_at: int | None
    confirmed: bool
    passes: int
    confirmations: int
    projected_users: int | None
    projected_low: int | None
    projected_high: int | None
    bottleneck: str | None
    bottleneck_observable: bool
    promise: list[str]
    certainty: str
    stop: str
    stop_kind: str
    next_steps: list[str]


class StepData(msgspec.Struct, frozen=True, kw_only=True):
    """One step; see `StepRecord`."""

    users: int
    purpose: str
    verdict: Verdict
    reasons: list[str]
    p50_ms: float | None
    p99_ms: float | None
    offered_per_s: float | None
    delivered_per_s: float | None
    lost: int | None
    server_core_share: float | None


class StormSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a run with storms: shares of `users` in percent; see `StormAnswer`."""

    users: int
    share: int | None
    failing_share: int | None
    confirmed: bool


class DrillSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a command did to the users; see `DrillRecord`."""

    users: int
    dropped: int
    resynced: int
    resync_p95_seconds: float | None
    resync_all_seconds: float | None
    messages_missed: int
    unaffected_p99_ms: float | None
    command_exit_code: int | None


class TargetData(msgspec.Struct, frozen=True, kw_only=True):
    """What `--target-users` need: processes with one spare, cores, machines, and their cost."""

    users: int
    processes: int
    cores: int | None
    machines: int | None
    cost_per_month: float | None


class CapacitySummary(msgspec.Struct, frozen=True, kw_only=True):
    """The summary of a capacity run or a drill.

    Attributes:
        kind: `capacity`, `storm` or `drill`.
        verdict: `pass` with exit code 0, `fail` with 99, otherwise `invalid`.
        exit_code: of the process, unless a file could not be written.
        status: `complete`, or `partial` if the run was interrupted.
        reasons: why the verdict is not `pass`.
        headline, sentence: the answer.
        scenario: the user classes and their weights; `dialect`: name of the server's protocol.
        server: URL of the server, or the bundled one in words.
        seconds: duration.
        answer: None for a drill.
        slos: in their order.
        storm, drill, target: None if the run has none.
    """

    kind: Kind
    verdict: Verdict
    exit_code: int
    status: str
    reasons: list[str]
    headline: str
    sentence: str
    scenario: str
    dialect: str
    server: str
    seconds: float
    answer: AnswerData | None
    slos: list[SloData]
    steps: list[StepData]
    storm: StormSummary | None
    drill: DrillSummary | None
    target: TargetData | None

    def to_json(self) -> bytes:
        """Return the summary as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"
