"""Build the report of a run from its measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capacity.config.settings_table import settings_table
from capacity.config.slo import strictest_ms
from capacity.judge.limits import DEFAULT_LIMITS
from capacity.model.scalability import fit_model
from capacity.model.sizing import Demand, size_for
from capacity.profile.summary import summarise
from capacity.record.report import DEFAULT_DIALECT, RunReport
from capacity.record.step import StepRecord, Verdict
from capacity.report.answer import Question, UserLoad, build_answer
from capacity.storms.result import add_storms, storm_answer
from stampede.measure.address_pairs import add_pairs
from stampede.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.config.settings import RunSettings
    from capacity.errors import CapacityError
    from capacity.record.storm import StormAnswer
    from capacity.run import CapacityRun
    from stampede.measure.address_pairs import AddressPair


def build_report(run: CapacityRun, command: str, problem: CapacityError | None) -> RunReport:
    """Return the report of a run.

    Args:
        run: the run.
        command: how to start it again.
        problem: what interrupted the run; the report is then partial.
    """
    settings = run.settings
    profile = summarise(run.profiles) if settings.profile else None
    hot_spot = profile.hot_spot if profile is not None else None
    answer = build_answer(_question(run, command), run.steps, run.ending, hot_spot)
    storms = _storm_answer(run)
    if settings.storm is not None and answer.supported_users:
        answer = add_storms(answer, storms, settings.storm)
    target = settings.target_users
    return RunReport(
        status="complete" if problem is None else "partial",
        status_reason=None if problem is None else str(problem),
        answer=answer,
        steps=run.steps,
        levels=slo_texts(settings),
        settings=settings_table(settings),
        environment=run.testbed.environment,
        missing=run.testbed.missing,
        notes=run.testbed.notes,
        workers=run.testbed.workers(run.steps),
        command=command,
        duration_s=round(run.duration_s, 1),
        limits={"cpu": DEFAULT_LIMITS.cpu, "lag_ms": DEFAULT_LIMITS.lag_ms(settings.slos)},
        model=fit_model(run.steps, strictest_ms(settings.slos)),
        sizing=size_for(Demand(target, settings.headroom), answer, run.steps) if target else None,
        storm=storms,
        dialect=answer.dialect,
        profile=profile,
        address_pairs=_address_pairs(run.steps),
    )


def _address_pairs(steps: Sequence[StepRecord]) -> list[AddressPair]:
    """Return the deliveries by address in the last step that failed; without one, in all that passed."""
    failed = [step for step in steps if step.verdict is Verdict.FAIL][-1:]
    shown = failed or [step for step in steps if step.verdict is Verdict.PASS]
    return add_pairs(pair for step in shown for pair in step.address_pairs)


def slo_texts(settings: RunSettings) -> list[str]:
    """Return the SLOs of a run as text."""
    return [slo.text for slo in settings.slos]


def _question(run: CapacityRun, command: str) -> Question:
    settings = run.settings
    subject = "One server process" if settings.workers == 1 else f"A server of {settings.workers} processes"
    load, scenario = settings.load, settings.scenario
    dialect = f"{run.testbed.dialect} " if load.dialect or run.testbed.dialect != DEFAULT_DIALECT else ""
    return Question(
        load=UserLoad(scenario, load.room_size, load.rooms, load.message_rate),
        dialect=run.testbed.dialect,
        slos=tuple(slo.text for slo in run.step_slos),
        plan=run.plan,
        subject=f"The {dialect}server at {redact(settings.host)}" if settings.host else subject,
        command=command,
        max_duration=settings.max_duration,
        has_remote_workers=settings.expect_workers is not None,
        proxy=run.testbed.proxy,
    )


def _storm_answer(run: CapacityRun) -> StormAnswer | None:
    if not run.storms:
        return None
    settings = run.settings
    return storm_answer(
        run.storms,
        users=settings.storm or 0,
        slos=slo_texts(settings),
        backoff=settings.load.backoff,
        ending=run.ending,
    )
