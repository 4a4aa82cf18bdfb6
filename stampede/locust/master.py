"""The process that answers for all: collects the reports, commands storms, ends the run in order, judges it."""

from __future__ import annotations

import sys
import time
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import gevent
from locust import runners
from locust.runners import MasterRunner

from stampede.generator_faults import Fault, FaultKind, merge_faults
from stampede.measure.health import limits_reached
from stampede.measure.machine import usage
from stampede.measure.report import UNASSIGNED, Totals
from stampede.measure.snapshot import snapshot
from stampede.measure.storm_results import results
from stampede.measure.summary import RunResult, summary
from stampede.measure.thresholds import Threshold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from locust.env import Environment
    from locust.runners import LocalRunner

    from stampede.locust.settings import LoadTestSettings
    from stampede.locust.worker import WorkerAgent
    from stampede.measure.report import WorkerReport
    from stampede.measure.snapshot import Snapshot
    from stampede.measure.storm import Manner, StormPart
    from stampede.measure.storm_results import StormResult

_FRESH_SECONDS = 3.0
"""A worker that has reported within this time is alive, whatever Locust thinks of its heartbeat."""


class MasterAgent:
    """Knows what all processes report about the current or last test.

    Args:
        environment: Locust's.
        runner: local or master.
        agent: of this process, if it runs users itself.

    Attributes:
        run: number of the test; reports of another one are late and ignored.
        resets: how often Locust's statistics were reset, in all tests.
        settings: what the options meant when it began.
    """

    def __init__(self, environment: Environment, runner: LocalRunner | MasterRunner, agent: WorkerAgent | None) -> None:
        self._environment = environment
        self._runner = runner
        self._agent = agent
        self._reports: dict[str, WorkerReport] = {}
        self._came: dict[str, float] = {}
        self._parts: dict[tuple[str, int], StormPart] = {}
        self._expected: set[str] = set()
        self._storms = 0
        self._storm_requests: dict[str, int] = {}
        self._before: dict[str, WorkerReport] = {}
        self._storms_before = 0
        self._reset_at: float | None = None
        self._raised: tuple[dict[int, Any], list[Fault]] = ({}, [])  # exceptions that were raised before the last reset
        self._usage = usage()
        self._began = time.monotonic()
        self._ended: float | None = None
        self._thresholds: list[Threshold] = []
        self._watch: gevent.Greenlet[..., None] | None = None
        self.run = 0
        self.resets = 0
        self.settings: LoadTestSettings | None = None

    @property
    def state(self) -> str:
        """Locust's state of the run."""
        return str(self._runner.state)

    # --- a test ---

    def start(self, settings: LoadTestSettings) -> None:
        """Forget the last test, and watch over the new one."""
        self.end()
        self.run += 1
        self._reports.clear()
        self._came.clear()
        self._parts.clear()
        self._expected.clear()
        self._storms = 0
        self._storm_requests.clear()
        self._before.clear()
        self._storms_before = 0
        self._reset_at = None
        self._raised = ({}, [])
        self._usage = usage()
        self._began = time.monotonic()
        self._ended = None
        self.settings = settings
        self._thresholds = [Threshold(level, settings.threshold_window) for level in settings.thresholds]
        if self._thresholds:
            self._watch = gevent.spawn(self._keep_watch)

    def reset(self) -> None:
        """Count from 0 again, as Locust's statistics do now; what makes the run invalid is kept."""
        if self._agent is not None:
            self._agent.update_table()
        self._environment.stats.reset_all()  # of what the table has been told just now, too
        self._raised = (self._runner.exceptions, self.user_faults())
        self._before = {report.id: report for report in self._latest()}
        self._parts.clear()
        self._storms_before = self._storms
        self._reset_at = self.seconds
        self.resets += 1
        self._thresholds = [
            Threshold(threshold.slo, threshold.seconds, self._reset_at) for threshold in self._thresholds
        ]

    def end(self) -> None:
        """Watch no longer: the test is over."""
        if self._ended is None:
            self._ended = time.monotonic()
        if self._watch is not None:
            self._watch.kill()
            self._watch = None

    def _keep_watch(self) -> None:
        while True:
            gevent.sleep(1.0)
            figures = self.everything().figures
            for threshold in self._thresholds:
                threshold.update(time.monotonic() - self._began, figures)

    @property
    def seconds(self) -> float:
        """How long the test took, or has taken so far."""
        return (self._ended or time.monotonic()) - self._began

    def storm(self, share: float, manner: Manner, request_id: str = "") -> int:
        """Drop a share of all users of all processes at the same moment; return the number of the storm.

        A request that has an id commands one storm, however often it comes.
        """
        if request_id in self._storm_requests:
            return self._storm_requests[request_id]
        self._storms += 1
        if request_id:
            self._storm_requests[request_id] = self._storms
        if self._agent is not None:
            self._agent.storm(self._storms, share, manner)
        else:
            self._runner.send_message(STORM, {"id": self._storms, "share": share, "manner": manner.value})
        return self._storms

    # --- reports ---

    def receive_report(self, report: WorkerReport) -> None:
        """Take a report, unless it is a late one of an earlier test."""
        if report.run in (self.run, UNASSIGNED):
            self._reports[report.id] = report
            self._came[report.id] = time.monotonic()
            self._keep(report.id, report.storms)

    def _keep(self, id_: str, parts: Iterable[StormPart]) -> None:
        """Keep the parts of the storms that struck since the last reset."""
        self._parts |= {(id_, part.id): part for part in parts if part.id > self._storms_before}

    def expect(self, ids: Iterable[str]) -> None:
        """Note which workers have been given a part in this test: each has to report."""
        self._expected |= set(ids)

    def all_final(self, ids: set[str]) -> bool:
        """Return whether these processes have sent their last word, as far as they are alive."""
        dead = self._dead()
        return all(id_ in dead or (id_ in self._reports and self._reports[id_].final) for id_ in ids)

    def _dead(self) -> set[str]:
        """Return the workers that went away without a last word."""
        if not isinstance(self._runner, MasterRunner):
            return set()
        alive = {client.id for client in self._runner.clients.all if client.state != runners.STATE_MISSING}
        now = time.monotonic()
        return {
            id_
            for id_, report in self._reports.items()
            if not report.final and id_ not in alive and now - self._came[id_] > _FRESH_SECONDS
        }

    def everything(self) -> Totals:
        """Return all reports, added up, those of the dead included: these counts go down at a reset only."""
        return Totals(self._counted(report) for report in self._latest())

    def _latest(self) -> list[WorkerReport]:
        """Return the latest report of each process, from the beginning of the test."""
        if self._agent is not None:
            report = self._agent.report()
            return [report] if report else []
        return list(self._reports.values())

    def _counted(self, report: WorkerReport) -> WorkerReport:
        """Return what a report counts since the last reset."""
        before = self._before.get(report.id)
        return report if before is None else report.since(before)

    def totals(self) -> Totals:
        """Return the reports of the living added up, those of the dead apart."""
        dead = self._dead()
        if not dead:
            return self.everything()
        return Totals(
            (self._counted(report) for id_, report in self._reports.items() if id_ not in dead),
            dead=[self._counted(self._reports[id_]) for id_ in dead],
        )

    def storms(self) -> list[StormResult]:
        """Return the storms of this test so far, as of the latest reports."""
        if self._agent is not None:
            self._keep("", self._agent.storm_parts())
        return results(self._parts.values())

    def ages(self) -> dict[str, float]:
        """Return how many seconds ago each process reported."""
        now = time.monotonic()
        return {id_: now - came for id_, came in self._came.items()}

    def snapshot(self) -> Snapshot:
        """Return the answer to `GET /stampede/snapshot`."""
        totals = self.totals()
        return snapshot(
            totals,
            state=self.state,
            now=monotonic_ns(),
            ages=self.ages(),
            storms=self.storms(),
            faults=self.user_faults(),
        )

    def _silent(self) -> list[Fault]:
        """Return the workers that were given a part in the test and never reported."""
        missing = sorted(self._expected - set(self._reports))
        return [Fault(FaultKind.ASSIGNMENT, f"{id_} never reported", 1) for id_ in missing]

    def _killed(self, totals: Totals) -> list[Fault]:
        """Return what the kernel did to processes that died here, if it was the kernel."""
        if not totals.dead:
            return []
        reached = limits_reached(self._usage, usage(), max(self.seconds, 0.001))
        return [Fault(kind, detail, 1) for kind, detail in reached if kind is FaultKind.MEMORY_LIMIT]

    def user_faults(self) -> list[Fault]:
        """Return the exceptions that users raised, the same one counted once, those before a reset included."""
        raised = self._runner.exceptions
        known, before = self._raised
        now = [
            Fault(FaultKind.USER_CODE, f"{row['msg']}, {place(row['traceback'])}", row["count"])
            for row in raised.values()
        ]
        return merge_faults(now if known is raised else [*before, *now])

    # --- the verdict ---

    @property
    def failed_thresholds(self) -> int:
        """How many thresholds some window has missed."""
        return sum(threshold.missed > 0 for threshold in self._thresholds)

    def conclude(self) -> None:
        """Print the summary and set the exit code."""
        self.end()
        everything, totals = self.everything(), self.totals()
        for threshold in self._thresholds:
            threshold.conclude(self.seconds, everything.figures)
        faults = [*self.user_faults(), *self._silent(), *self._killed(totals)]
        if not everything.reports and not self._thresholds and not faults:
            return
        result = RunResult(
            totals,
            self.storms(),
            self._thresholds,
            notes=list(self._notes()),
            faults=faults,
        )
        options = self._environment.parsed_options
        # With --json, stdout belongs to Locust's JSON.
        print("\n".join(summary(result)), file=sys.stderr if options and options.json else sys.stdout, flush=True)
        if result.exit_code is not None:
            self._environment.process_exit_code = result.exit_code

    def _notes(self) -> Iterator[str]:
        if self._reset_at is not None:
            yield f"statistics were reset {self._reset_at:.0f} s after the start: all figures count from there"
        settings = self.settings
        if settings is not None and self.seconds < settings.storm_period:
            names = [kind.__name__ for kind in self._runner.user_classes if getattr(kind, "drops_periodically", False)]
            for name in names:
                yield (
                    f"no storm struck: {name}s drop every {settings.storm_period:g} s (--storm-period), "
                    f"the test took {self.seconds:.0f} s"
                )


STORM = "stampede_storm"
"""Type of the message by which a master lets its workers storm."""


def place(traceback: str) -> str:
    """Return where an exception was raised, from its traceback as Locust keeps it."""
    frames = [line.strip() for line in traceback.splitlines() if line.lstrip().startswith('File "')]
    return frames[-1].replace('"', "") if frames else "at an unknown place"


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    """Let other greenlets run until `condition()` or until the time is over; return whether it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        gevent.sleep(0.02)
    return True
