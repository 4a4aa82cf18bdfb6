"""Reconnect storms of a run, as `report.json` keeps them."""

from __future__ import annotations

import msgspec

from capacity.formatting import format_confirmation
from capacity.record.step import Cause, Verdict, invalid_cause


class StormRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One storm: how many users were dropped at once, and how long they took to resync.

    Attributes:
        share: percent of the users to drop.
        purpose: why the storm was made, as in a step.
        verdict, reasons, signals, causes: as in a step.
        users: users in their rooms at the moment of the drop.
        dropped: users that were dropped.
        resynced: dropped users that received messages again.
        drop_ms: from the first to the last drop.
        resync50_ms, resync95_ms, resync100_ms: from the drop until this percentage had resynced; None if they did not.
        peak_accepts_per_s: connections in the busiest second.
        unaffected_p99_ms: delivery latency from the intended send time, of users that were not dropped.
        missed: messages that dropped users missed.
        server_load: use of the core or cores that limit the server until all users had resynced; 1 is full.
        generator_cpu: cores used by each worker of the load generator until then.
        figures: the value that each SLO was compared with, by the SLO's text; None if unknown.
        generator_lag_p99_ms: loop lag or send lag, whichever is longer, of the slowest worker.
    """

    share: int
    purpose: str
    verdict: Verdict
    reasons: list[str]
    signals: list[str]
    causes: list[Cause] = []
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

    @property
    def invalid_cause(self) -> Cause | None:
        """Why the storm is invalid; None if it is valid."""
        return invalid_cause(self.verdict, self.causes)


class StormAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The largest share of the users that may reconnect at once.

    Attributes:
        users: users held during the storms.
        share: percent of them that may reconnect at once; None if no storm passed.
        failing_share: the lowest percentage that failed.
        generator_limited_share: the lowest at which the load generator was the limit.
        confirmed, passes, confirmations: of `share`, as in the answer.
        backoff: reconnect policy of the dropped users.
        levels: the SLOs.
        storms: all storms, in their order.
        ending: why the search ended, as in the answer.
        sentence: the answer in full, as the terminal shows it.
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
        """How often `share` was confirmed, as text."""
        return "confirmed" if self.confirmed else format_confirmation(self.passes, self.confirmations)
