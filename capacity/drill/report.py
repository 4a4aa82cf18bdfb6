"""Build the report of a drill from its measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capacity.config.drill_settings import REFUSED
from capacity.config.settings_table import settings_table
from capacity.drill.result import DrillQuestion, answer_so_far, drill_answer
from capacity.judge.limits import DEFAULT_LIMITS
from capacity.record.report import IN_PROGRESS, RunReport
from capacity.report.answer import UserLoad

if TYPE_CHECKING:
    from capacity.config.drill_settings import DrillSettings
    from capacity.config.settings_table import Shown
    from capacity.drill.drill import Drill
    from capacity.errors import Problem
    from capacity.record.answer import Answer


def drill_report(drill: Drill, command: str, problem: Problem | None) -> RunReport:
    """Return the report of a drill.

    Args:
        drill: the drill.
        command: how to start it again.
        problem: what interrupted the drill; the report is then partial.
    """
    answer = drill_answer(_question(drill), drill.record, drill.why_not, complete=problem is None)
    status = "complete" if problem is None else "partial"
    return _report(drill, command, answer, status, None if problem is None else str(problem))


def drill_so_far(drill: Drill, command: str) -> RunReport:
    """Return the report of a drill in progress: the users were measured, the command has not ended."""
    return _report(drill, command, answer_so_far(_question(drill), drill.steps), IN_PROGRESS, None)


def _report(drill: Drill, command: str, answer: Answer, status: str, reason: str | None) -> RunReport:
    settings = drill.settings.run_settings
    return RunReport(
        status=status,
        status_reason=reason,
        answer=answer,
        steps=list(drill.steps),
        levels=[slo.text for slo in settings.slos],
        settings=_settings_table(drill.settings),
        environment=drill.testbed.environment,
        missing=list(drill.testbed.missing),
        notes=list(drill.testbed.notes),
        workers=drill.testbed.workers(drill.steps),
        command=command,
        duration_s=round(drill.duration_s, 1),
        limits={"cpu": DEFAULT_LIMITS.cpu, "lag_ms": DEFAULT_LIMITS.lag_ms(settings.slos)},
        drill=drill.record,
        dialect=answer.dialect,
    )


def _question(drill: Drill) -> DrillQuestion:
    settings = drill.settings.run_settings
    load = UserLoad(settings.scenario, settings.load.room_size, settings.load.rooms, settings.load.message_rate)
    return DrillQuestion(
        users=drill.settings.users,
        noun=settings.scenario.noun,
        details=load.details(),
        scenario=settings.scenario.name,
        dialect=drill.testbed.dialect,
    )


def _settings_table(settings: DrillSettings) -> dict[str, Shown]:
    """Return the settings as the report shows them, without those of a search."""
    shown: dict[str, Shown] = {
        name: value for name, value in settings_table(settings.run_settings).items() if name not in REFUSED
    }
    own: dict[str, Shown] = {
        "users": settings.users,
        "command_timeout": f"{settings.command_timeout:g} s",
        "recovery_timeout": f"{settings.recovery_timeout:g} s",
    }
    return own | shown
