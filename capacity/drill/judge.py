"""Judge a drill. Pure.

SLOs on `resync` apply to the outages, SLOs on `deliver` to users that had not been dropped, all others to everything
that happened from the start of the command until the end of the measurement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from capacity.judge.judgement import Judgement, Reason
from capacity.record.step import Cause, Verdict
from capacity.storms.judge import judge_storm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.config.slo import RunSlo
    from capacity.judge.limits import Limits
    from capacity.storms.judge import StormWindow


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """How the command ended.

    Attributes:
        exit_code: None if it did not end by itself.
        time_limit_s: the time limit that passed; None if it did not.
        last_line: of its output.
    """

    exit_code: int | None
    time_limit_s: float | None
    last_line: str

    @property
    def problem(self) -> str | None:
        """Why the command makes the drill invalid; None if it does not."""
        last = f": {self.last_line}" if self.last_line else ""
        if self.time_limit_s is not None:
            return f"the command did not end within {self.time_limit_s:g} s (--command-timeout){last}"
        if self.exit_code:
            return f"the command failed with exit code {self.exit_code}{last}"
        return None


def judge_drill(
    window: StormWindow, outcome: CommandOutcome, slos: Sequence[RunSlo], limits: Limits, *, recovered: bool
) -> Judgement:
    """Judge one drill.

    A command that failed makes it invalid: what the users felt was not what the command is for.

    Args:
        window: the measurements.
        outcome: how the command ended.
        slos: the SLOs.
        limits: limits of the measurement.
        recovered: whether all was as before at the end.
    """
    judgement = judge_storm(window, slos, limits)
    reasons = list(judgement.reasons)
    verdict = judgement.verdict
    if not recovered and window.storm.resynced + window.storm.gone >= window.storm.dropped:
        text = f"users or latency were not as before within {window.waited_s:.0f} s after the command"
        reasons.append(Reason(Cause.SERVER, "recovery", text))
        verdict = Verdict.FAIL if verdict is Verdict.PASS else verdict
    if outcome.problem is not None:
        reasons.insert(0, Reason(Cause.COMMAND, "command", outcome.problem))
        verdict = Verdict.INVALID
    return replace(judgement, verdict=verdict, reasons=tuple(reasons))
