"""Build the report of a run from its measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from capacity.config.settings_table import settings_table
from capacity.config.slo import strictest_ms
from capacity.judge.limits import DEFAULT_LIMITS
from capacity.model.scalability import fit_model
from capacity.model.sizing import Demand, size_for
from capacity.profile.summary import summarise
from capacity.record.report import DEFAULT_DIALECT, IN_PROGRESS, RunReport
from capacity.record.step import StepRecord, Verdict
from capacity.report.answer import Question, UserLoad, build_answer
from capacity.report.next_steps import Situation
from capacity.report.storm_words import add_storm_words
from capacity.search.search import Ending
from capacity.storms.result import add_storms, storm_answer
from stampede.measure.address_pairs import add_pairs
from stampede.redaction import redact
from stampede.workload.backoff import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from capacity.config.settings import RunSettings
    from capacity.config.slo import RunSlo
    from capacity.errors import Problem
    from capacity.profile.summary import LevelProfile
    from capacity.record.report import Environment
    from capacity.record.storm import StormAnswer, StormRecord
    from capacity.record.worker import WorkerRecord
    from capacity.run import CapacityRun
    from capacity.search.search import Plan
    from stampede.measure.address_pairs import AddressPair


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run has measured up to a moment, as data that another process can read.

    Attributes:
        ending: why the search ended; None if it has not, or was interrupted.
        missing, notes, workers, dialect, proxy: see `Testbed`; the others: see `CapacityRun`.
    """

    settings: RunSettings
    plan: Plan
    step_slos: tuple[RunSlo, ...]
    steps: list[StepRecord]
    storms: list[StormRecord]
    profiles: Mapping[Verdict, LevelProfile]
    ending: Ending | None
    duration_s: float
    environment: Environment
    missing: list[str]
    notes: list[str]
    workers: list[WorkerRecord]
    dialect: str
    proxy: str | None

    @classmethod
    def of(cls, run: CapacityRun) -> Self:
        """Return what a run has measured so far."""
        testbed = run.testbed
        return cls(
            settings=run.settings,
            plan=run.plan,
            step_slos=run.step_slos,
            steps=list(run.steps),
            storms=list(run.storms),
            profiles=dict(run.profiles),
            ending=run.ending,
            duration_s=run.duration_s,
            environment=testbed.environment,
            missing=list(testbed.missing),
            notes=list(testbed.notes),
            workers=testbed.workers(run.steps),
            dialect=testbed.dialect,
            proxy=testbed.proxy,
        )


def build_report(run: CapacityRun, command: str, problem: Problem | None) -> RunReport:
    """Return the report of a run that has ended.

    Args:
        run: the run.
        command: how to start it again.
        problem: what interrupted the run; the report is then partial.
    """
    status = "complete" if problem is None else "partial"
    return _report(Measured.of(run), command, run.ending, status, None if problem is None else str(problem))


def report_so_far(measured: Measured, command: str) -> RunReport:
    """Return the report of a run in progress."""
    return _report(measured, command, Ending.IN_PROGRESS, IN_PROGRESS, None)


def _report(measured: Measured, command: str, ending: Ending | None, status: str, reason: str | None) -> RunReport:
    settings, steps = measured.settings, measured.steps
    profile = summarise(measured.profiles) if settings.profile else None
    hot_spot = profile.hot_spot if profile is not None else None
    answer = build_answer(_question(measured, command), steps, ending, hot_spot)
    storms = _storm_answer(measured, ending)
    if settings.storm is not None and answer.supported_users and (storms or status != IN_PROGRESS):
        answer = add_storm_words(add_storms(answer, storms, settings.storm), storms, _situation(measured))
    target = settings.target_users
    return RunReport(
        status=status,
        status_reason=reason,
        answer=answer,
        steps=steps,
        levels=slo_texts(settings),
        settings=settings_table(settings),
        environment=measured.environment,
        missing=measured.missing,
        notes=measured.notes,
        workers=measured.workers,
        command=command,
        duration_s=round(measured.duration_s, 1),
        limits={"cpu": DEFAULT_LIMITS.cpu, "lag_ms": DEFAULT_LIMITS.lag_ms(settings.slos)},
        model=fit_model(steps, strictest_ms(settings.slos)),
        sizing=size_for(_demand(measured, target), answer, steps) if target else None,
        storm=storms,
        dialect=answer.dialect,
        profile=profile,
        address_pairs=_address_pairs(steps),
    )


def _demand(measured: Measured, users: int) -> Demand:
    """Return the users to serve; the cores of this machine say nothing about those of a server at `--host`."""
    settings = measured.settings
    machine_cores = None if settings.host else measured.environment.cores
    return Demand(users, settings.headroom, machine_cores, settings.price_per_core)


def _address_pairs(steps: Sequence[StepRecord]) -> list[AddressPair]:
    """Return the deliveries by address in the last step that failed; without one, in all that passed."""
    failed = [step for step in steps if step.verdict is Verdict.FAIL][-1:]
    shown = failed or [step for step in steps if step.verdict is Verdict.PASS]
    return add_pairs(pair for step in shown for pair in step.address_pairs)


def slo_texts(settings: RunSettings) -> list[str]:
    """Return the SLOs of a run as text."""
    return [slo.text for slo in settings.slos]


def _question(measured: Measured, command: str) -> Question:
    settings = measured.settings
    subject = "One server process" if settings.workers == 1 else f"A server of {settings.workers} processes"
    load, scenario = settings.load, settings.scenario
    dialect = f"{measured.dialect} " if load.dialect or measured.dialect != DEFAULT_DIALECT else ""
    return Question(
        load=UserLoad(scenario, load.room_size, load.rooms, load.message_rate),
        dialect=measured.dialect,
        slos=tuple(slo.text for slo in measured.step_slos),
        plan=measured.plan,
        subject=f"The {dialect}server at {redact(settings.host)}" if settings.host else subject,
        command=command,
        max_duration=settings.max_duration,
        has_remote_workers=settings.expect_workers is not None,
        proxy=measured.proxy,
        situation=_situation(measured),
    )


def _situation(measured: Measured) -> Situation:
    """Return what the advice on the next steps depends on."""
    settings, environment = measured.settings, measured.environment
    used = environment.generator_processes + len(environment.server_cores or ())
    return Situation(
        is_bundled=settings.host is None,
        is_profiled=bool(measured.profiles),
        has_remote_workers=settings.expect_workers is not None,
        has_core=used < environment.cores,
        is_jittered=settings.load.backoff == Policy.FULL_JITTER.value,
    )


def _storm_answer(measured: Measured, ending: Ending | None) -> StormAnswer | None:
    if not measured.storms:
        return None
    settings = measured.settings
    return storm_answer(
        measured.storms,
        users=settings.storm or 0,
        slos=slo_texts(settings),
        backoff=settings.load.backoff,
        ending=ending,
    )
