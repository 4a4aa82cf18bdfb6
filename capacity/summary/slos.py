"""The results of the SLOs, at the level that the answer of a report names. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from capacity.config.slo import parse_slo
from capacity.errors import UsageError
from capacity.formatting import count, figure
from capacity.record.step import Verdict
from capacity.summary.fields import SloData
from stampede.verdict.summary_fields import ThresholdOutcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from capacity.record.report import RunReport


class _Judged(NamedTuple):
    """A measurement that the SLOs were compared with: of a step, a storm or a drill."""

    users: int
    verdict: Verdict
    reasons: Sequence[str]
    figures: Mapping[str, float | None]


def slo_results(report: RunReport) -> list[SloData]:
    """Return the results of all SLOs.

    They are those of the highest level that passed, or of the lowest that failed if none passed; otherwise of the last
    one. In a run with storms they are those of the share that passed or failed.
    """
    judged = _decisive(report)
    return [_result(text, judged) for text in report.levels]


def _decisive(report: RunReport) -> _Judged | None:
    if report.drill is not None:
        drill = report.drill
        return _Judged(drill.users, drill.verdict, drill.reasons, drill.figures)
    if report.storm is not None:
        found = [(one.share, _Judged(one.users, one.verdict, one.reasons, one.figures)) for one in report.storm.storms]
        return _choose(found, report.storm.share, report.storm.failing_share)
    steps = [(step.users, _Judged(step.users, step.verdict, step.reasons, step.figures)) for step in report.steps]
    return _choose(steps, report.answer.supported_users, report.answer.first_failing_users)


def _choose(found: Sequence[tuple[int, _Judged]], low: int | None, fails_at: int | None) -> _Judged | None:
    """Return the last measurement that passed at the low end, or failed at the high end; without both, the last."""
    for level, verdict in ((low, Verdict.PASS), (fails_at, Verdict.FAIL)):
        at_level = [one for at, one in found if at == level and one.verdict is verdict]
        if at_level:
            return at_level[-1]
    return found[-1][1] if found else None


def _result(text: str, judged: _Judged | None) -> SloData:
    value = judged.figures.get(text) if judged is not None else None
    if judged is None or value is None:
        return SloData(
            expression=text,
            result=ThresholdOutcome.UNMEASURED,
            value=None,
            users=judged.users if judged else 0,
            text="unmeasured",
        )
    outcome = _outcome(text, value, judged)
    shown = f"{outcome} at {count(judged.users)} users: {_shown(text, value)}"
    return SloData(expression=text, result=outcome, value=value, users=judged.users, text=shown)


def _outcome(text: str, value: float, judged: _Judged) -> ThresholdOutcome:
    if any(reason.startswith(f"missed {text}: ") for reason in judged.reasons):
        return ThresholdOutcome.FAILED
    if judged.verdict is not Verdict.INVALID:
        return ThresholdOutcome.MET
    # An invalid measurement does not list what it missed.
    try:
        return ThresholdOutcome.MET if parse_slo(text).is_met(value) else ThresholdOutcome.FAILED
    except UsageError:
        return ThresholdOutcome.UNMEASURED


def _shown(text: str, value: float) -> str:
    try:
        return parse_slo(text).show(value)
    except UsageError:  # a PromQL expression
        return figure(value, 4)
