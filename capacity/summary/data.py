"""Make the summary of a report. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from capacity.errors import ExitCode
from capacity.record.step import Verdict
from capacity.report.question import question_of
from capacity.summary.fields import (
    AnswerData,
    CapacitySummary,
    DrillSummary,
    Kind,
    StepData,
    StormSummary,
    TargetData,
)
from capacity.summary.slos import slo_results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.record.model import Sizing
    from capacity.record.report import RunReport
    from capacity.record.step import StepRecord

_Fields = TypeVar("_Fields", bound=msgspec.Struct)
_VERDICTS: Final = {ExitCode.ANSWERED: Verdict.PASS, ExitCode.LEVEL_FAILED: Verdict.FAIL}


def summary_of(report: RunReport, exit_code: int) -> CapacitySummary:
    """Return the summary of a report.

    Args:
        report: the report.
        exit_code: of the run.
    """
    verdict = _VERDICTS.get(ExitCode(exit_code), Verdict.INVALID)
    return CapacitySummary(
        kind=_kind(report),
        verdict=verdict,
        exit_code=exit_code,
        status=report.status,
        reasons=[] if verdict is Verdict.PASS else _reasons(report),
        headline=f"{report.answer.headline} {report.answer.headline_label}",
        sentence=report.answer.sentence,
        scenario=report.scenario,
        dialect=report.dialect,
        server=question_of(report).server,
        seconds=report.duration_s,
        answer=None if _kind(report) is Kind.DRILL else _copied(AnswerData, report.answer),
        slos=slo_results(report),
        steps=[_step(step) for step in report.steps],
        storm=_copied(StormSummary, report.storm) if report.storm else None,
        drill=_copied(DrillSummary, report.drill) if report.drill else None,
        target=_target(report.sizing) if report.sizing else None,
    )


def _kind(report: RunReport) -> Kind:
    # Only a drill has the setting; its record is missing if its command did not run.
    if report.drill is not None or "command_timeout" in report.settings:
        return Kind.DRILL
    return Kind.STORM if report.storm is not None or report.settings.get("storm") else Kind.CAPACITY


def _reasons(report: RunReport) -> list[str]:
    """Return why the run was interrupted, why its last measurement failed or is invalid."""
    interrupted = [report.status_reason] if report.status_reason else []
    if report.drill is not None:
        return interrupted + report.drill.reasons
    if report.storm is not None and report.storm.storms:
        return interrupted + report.storm.storms[-1].reasons
    return interrupted + _last_reasons(report.steps)


def _last_reasons(steps: Sequence[StepRecord]) -> list[str]:
    return list(steps[-1].reasons) if steps else []


def _copied(kind: type[_Fields], record: object) -> _Fields:
    """Return the fields of a record that a summary has under the same names."""
    return msgspec.convert(record, kind, from_attributes=True)


def _step(step: StepRecord) -> StepData:
    return StepData(
        users=step.users,
        purpose=step.purpose,
        verdict=step.verdict,
        reasons=step.reasons,
        p50_ms=step.deliver_p50_ms,
        p99_ms=step.deliver_p99_ms,
        offered_per_s=step.offered_per_s,
        delivered_per_s=step.delivered_per_s,
        lost=step.lost,
        server_core_share=step.server_core_share,
    )


def _target(sizing: Sizing) -> TargetData:
    return TargetData(
        users=sizing.target_users,
        processes=sizing.with_spare,
        cores=sizing.cores,
        machines=sizing.machines,
        cost_per_month=sizing.cost_per_month,
    )
