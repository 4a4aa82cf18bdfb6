"""The agent of the process with the verdict: aggregates worker reports, commands storms, concludes each test."""

from __future__ import annotations

import time
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import gevent
from locust import runners
from locust.runners import MasterRunner

from stampede.generator_faults import Fault, FaultKind, merge_faults
from stampede.health.health import limits_reached
from stampede.health.machine import usage
from stampede.locust.agents.run_facts import PeakUsers, notes_on, scenario_of
from stampede.locust.agents.storm_commands import StormCommands
from stampede.locust.agents.worker_states import lost_workers
from stampede.locust.exceptions import faults_of
from stampede.locust.hooks import is_chat_class
from stampede.locust.output.summary_files import SummaryWriter
from stampede.locust.settings import run_dialect
from stampede.measure.report import UNASSIGNED, Totals
from stampede.measure.row_limit import RowLimit
from stampede.measure.snapshot import snapshot
from stampede.measure.storm_results import results
from stampede.measure.time_series import TimeSeries
from stampede.verdict.summary import Circumstances, RunResult
from stampede.verdict.thresholds import Threshold

if TYPE_CHECKING:
    from collections.abc import Iterable

    from locust.env import Environment
    from locust.runners import LocalRunner

    from stampede.dialects.base import Dialect
    from stampede.locust.agents.worker import WorkerAgent
    from stampede.locust.settings import LoadTestSettings
    from stampede.measure.report import WorkerReport
    from stampede.measure.snapshot import Snapshot
    from stampede.measure.storm import StormPart
    from stampede.measure.storm_results import StormResult

_ALIVE_SECONDS = 3.0
"""A worker that has reported within this time is alive, even if Locust has missed its heartbeats."""


class MasterAgent:
    """Aggregates worker reports and decides the verdict.

    Args:
        environment: of Locust.
        runner: of Locust; local or master.
        agent: of this process, if it runs users itself.

    Attributes:
        run: number of the current or last test; reports of other tests are ignored.
        commands: storms and watches of that test.
        series: deliveries and resyncs of that test over time, since the last reset.
        resets: how often Locust's statistics have been reset, in all tests.
        settings: of the current or last test.
        dialect: of the chat users of that test; None without any.
    """

    def __init__(self, environment: Environment, runner: LocalRunner | MasterRunner, agent: WorkerAgent | None) -> None:
        self._environment = environment
        self._runner = runner
        self._agent = agent
        self._reports: dict[str, WorkerReport] = {}
        self._reported_at: dict[str, float] = {}
        self._row_limit = RowLimit()
        self._storm_parts: dict[tuple[str, int], StormPart] = {}
        self._expected: set[str] = set()
        self._before_reset: dict[str, WorkerReport] = {}
        self._storms_before_reset = 0
        self._reset_at: float | None = None
        self._exceptions_before_reset: tuple[dict[int, Any], list[Fault]] = ({}, [])  # of user code
        self._usage = usage()
        self._began = time.monotonic()
        self._ended: float | None = None
        self._thresholds: list[Threshold] = []
        self._watch_task: gevent.Greenlet[..., None] | None = None
        self._concluded = False
        self._writer = SummaryWriter(environment)
        self._final_result: RunResult | None = None
        self._peak_users = PeakUsers()
        self.run = 0
        self.commands = StormCommands(runner, agent)
        self.series = TimeSeries()
        self.resets = 0
        self.settings: LoadTestSettings | None = None
        self.dialect: Dialect | None = None

    @property
    def state(self) -> str:
        """Locust's state of the run."""
        return str(self._runner.state)

    # --- a test ---

    def start(self, settings: LoadTestSettings) -> None:
        """Start a test: discard the reports of the last one.

        Raises:
            OptionError: the user classes cannot use the dialect.
        """
        if self.run:
            self.conclude()
        self.dialect = run_dialect(settings, self._runner.user_classes) if self.has_chat_users else None
        self.run += 1
        self._reports.clear()
        self._reported_at.clear()
        self._row_limit = RowLimit(settings.threshold_requests)
        self._storm_parts.clear()
        self._expected.clear()
        self.commands = StormCommands(self._runner, self._agent)
        self.series = TimeSeries()
        self._before_reset.clear()
        self._storms_before_reset = 0
        self._reset_at = None
        self._exceptions_before_reset = ({}, [])
        self._usage = usage()
        self._began = time.monotonic()
        self._ended = None
        self.settings = settings
        self._thresholds = [Threshold(level, settings.threshold_window) for level in settings.thresholds]
        self._concluded = False
        self._writer.begin()
        self._final_result = None
        self._peak_users = PeakUsers()
        self._watch_task = gevent.spawn(self._watch_run)

    def reset(self) -> None:
        """Count from 0 again, together with Locust's statistics. The reasons why the run is invalid are kept."""
        if self._agent is not None:
            self._agent.update_stats()
        self._environment.stats.reset_all()  # includes what `update_stats` has just added
        self._exceptions_before_reset = (self._runner.exceptions, self.user_faults())
        self._before_reset = {report.id: report for report in self._latest_reports()}
        self._storm_parts.clear()
        self._storms_before_reset = self.commands.latest
        self._reset_at = self.seconds
        self.series.restart(self._reset_at)
        self.resets += 1
        self._thresholds = [
            Threshold(threshold.slo, threshold.seconds, self._reset_at) for threshold in self._thresholds
        ]

    def end(self) -> None:
        """End the test: fix its length and stop judging thresholds."""
        if self._ended is None:
            self._sample()
            self._ended = time.monotonic()
        if self._watch_task is not None:
            self._watch_task.kill()
            self._watch_task = None

    def _watch_run(self) -> None:
        while True:
            gevent.sleep(1.0 - self.seconds % 1.0)  # without drift, so that each interval of the charts has a sample
            self._sample()
            if not self._thresholds:
                continue
            figures = self.everything().figures
            for threshold in self._thresholds:
                threshold.update(time.monotonic() - self._began, figures)

    def _sample(self) -> None:
        """Sample this process, if it runs users itself; workers are sampled in each of their reports."""
        report = self._agent.report() if self._agent is not None else None
        if report is not None:
            self._peak_users.add(report, {report.id})
            self.series.add(report.id, self.seconds, report.figures)

    @property
    def has_ended(self) -> bool:
        """Whether the current or last test has ended; False before the first."""
        return self._ended is not None

    @property
    def seconds(self) -> float:
        """Length of the test so far, in seconds."""
        return (self._ended or time.monotonic()) - self._began

    # --- reports ---

    def receive_report(self, report: WorkerReport) -> None:
        """Store a report, unless it belongs to an earlier test."""
        if report.run in (self.run, UNASSIGNED):
            report.figures.requests = self._row_limit.apply(report.figures.requests)
            self._reports[report.id] = report
            self._reported_at[report.id] = time.monotonic()
            self._peak_users.add(report, self._living())
            self.series.add(report.id, self.seconds, report.figures)
            self._store_storms(report.id, report.storms)

    def _store_storms(self, id_: str, parts: Iterable[StormPart]) -> None:
        """Store the parts of the storms since the last reset."""
        self._storm_parts |= {(id_, part.id): part for part in parts if part.id > self._storms_before_reset}

    def expect(self, ids: Iterable[str]) -> None:
        """Add the workers that have an assignment in this test: each must report."""
        self._expected |= set(ids)

    def all_final(self, ids: set[str]) -> bool:
        """Return whether all of these processes have sent their final report or died."""
        dead = self._dead()
        return all(id_ in dead or (id_ in self._reports and self._reports[id_].final) for id_ in ids)

    def _living(self) -> set[str]:
        """Return the workers that Locust does not miss."""
        clients = self._runner.clients.all if isinstance(self._runner, MasterRunner) else []
        return {client.id for client in clients if client.state != runners.STATE_MISSING}

    def _dead(self) -> set[str]:
        """Return the workers that disappeared without a final report."""
        living, now = self._living(), time.monotonic()
        return {
            id_
            for id_, report in self._reports.items()
            if not report.final and id_ not in living and now - self._reported_at[id_] > _ALIVE_SECONDS
        }

    def everything(self) -> Totals:
        """Return the sum of all reports, including those of dead workers; its counts decrease only at a reset."""
        return Totals(self._since_reset(report) for report in self._latest_reports())

    def _latest_reports(self) -> list[WorkerReport]:
        """Return the latest report of each process, counted from the start of the test."""
        if self._agent is not None:
            report = self._agent.report()
            return [report] if report else []
        return list(self._reports.values())

    def _since_reset(self, report: WorkerReport) -> WorkerReport:
        """Return a report with the figures counted since the last reset."""
        before = self._before_reset.get(report.id)
        return report if before is None else report.since(before)

    def totals(self) -> Totals:
        """Return the sum of the reports of living processes; the reports of dead ones are kept apart."""
        dead = self._dead()
        if not dead:
            return self.everything()
        return Totals(
            (self._since_reset(report) for id_, report in self._reports.items() if id_ not in dead),
            dead=[self._since_reset(self._reports[id_]) for id_ in dead],
        )

    def storms(self) -> list[StormResult]:
        """Return the results of the storms since the last reset, from the latest reports."""
        if self._agent is not None:
            self._store_storms("", self._agent.storm_parts())
        return results(self._storm_parts.values())

    def ages(self) -> dict[str, float]:
        """Return the age of each worker's latest report in seconds, by worker id."""
        now = time.monotonic()
        return {id_: now - came for id_, came in self._reported_at.items()}

    def snapshot(self) -> Snapshot:
        """Return the answer to `GET /stampede/snapshot`."""
        totals = self.totals()
        return snapshot(
            totals,
            state=self.state,
            now=monotonic_ns(),
            ages=self.ages(),
            states=lost_workers(self._runner, self.ages()),
            storms=self.storms(),
            faults=self.user_faults(),
            dialect=self.dialect.name if self.dialect else None,
        )

    def _missing_workers(self) -> list[Fault]:
        """Return a fault for each worker that had an assignment and never reported."""
        missing = sorted(self._expected - set(self._reports))
        return [Fault(FaultKind.ASSIGNMENT, f"{id_} never reported", 1) for id_ in missing]

    def _memory_faults(self, totals: Totals) -> list[Fault]:
        """Return the faults of a memory limit that may have killed a worker on this machine."""
        if not totals.dead:
            return []
        reached = limits_reached(self._usage, usage(), max(self.seconds, 0.001))
        return [Fault(kind, detail, 1) for kind, detail in reached if kind is FaultKind.MEMORY_LIMIT]

    def user_faults(self) -> list[Fault]:
        """Return one fault per distinct exception of user code, including those before a reset."""
        raised = self._runner.exceptions
        known, before = self._exceptions_before_reset
        now = faults_of(raised)
        return merge_faults(now if known is raised else [*before, *now])

    # --- the verdict ---

    @property
    def has_chat_users(self) -> bool:
        """Whether any user of the test is a `ChatUser`; a locustfile may also have users of other clients only."""
        return any(map(is_chat_class, self._runner.user_classes))

    @property
    def failed_thresholds(self) -> int:
        """Number of thresholds that failed in at least one window."""
        return sum(threshold.missed > 0 for threshold in self._thresholds)

    def conclude(self) -> None:
        """Print and write the summary of the test and set the exit code, once for each test."""
        if self._concluded:
            return
        self._concluded = True
        self.end()
        everything = self.everything()
        for threshold in self._thresholds:
            threshold.conclude(self.seconds, everything.figures)
        result = self._final_result = self._result(has_ended=True)
        if everything.reports or result.thresholds or result.faults:
            self._writer.finish(self.settings, self.run, result)

    def result(self) -> RunResult | None:
        """Return the result of the last test, or that of the current one so far; None before the first."""
        return self._final_result or (self._result(has_ended=False) if self.run else None)

    def _result(self, *, has_ended: bool) -> RunResult:
        totals, user_classes = self.totals(), self._runner.user_classes
        self._sample()
        return RunResult(
            totals,
            self.storms(),
            self._thresholds,
            notes=list(notes_on(self.settings, user_classes, self.seconds if has_ended else None, self._reset_at)),
            faults=[*self.user_faults(), *self._missing_workers(), *self._memory_faults(totals)],
            has_chat_users=self.has_chat_users,
            circumstances=Circumstances(
                has_ended=has_ended,
                users=self._peak_users.users,
                timed_users=self._peak_users.timed,
                seconds=self.seconds,
                dialect=self.dialect.name if self.dialect else None,
                scenario=scenario_of(user_classes),
                locust_exit_code=self._writer.locust_exit_code(),
            ),
        )
