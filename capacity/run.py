"""A capacity run: start server and load generator, search, run storms, and end all processes."""

from __future__ import annotations

import resource
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Final, Protocol

from capacity.config.invocation import CHECKOUT
from capacity.judge.generator_health import check_file_limit
from capacity.judge.limits import DEFAULT_LIMITS
from capacity.measure.prometheus import Prometheus
from capacity.measure.prometheus_check import check_prometheus, skew_note
from capacity.measure.server_window import ServerWindow
from capacity.measure.sources import MetricsPages, PrometheusSource
from capacity.processes.child_processes import ChildProcesses
from capacity.processes.cores import Cores, pinned, usable_cores
from capacity.processes.environment import describe
from capacity.processes.exchange import ExchangeOptions, check_exchange
from capacity.processes.generator import GeneratorOptions, LoadGenerator
from capacity.processes.greeting import check_greeting
from capacity.processes.local_server import (
    COMPETING_NOTE,
    are_competing,
    cores_beside,
    find_local_server,
    reserved_cores_note,
)
from capacity.processes.target import BundledServerOptions, TargetServer
from capacity.record.step import StepRecord, Verdict
from capacity.report.answer import trials_of
from capacity.search.search import Ending, Finished, Plan, next_move
from capacity.search.step import StepMeasurement, StepObserver, StepRunner
from capacity.search.step_judge import StepJudge
from capacity.search.step_record import step_record
from capacity.storms import result as storm_result
from capacity.storms.judge import judge_storm
from capacity.storms.runner import StormRunner
from stampede.dialects.stampede import StampedeDialect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from capacity.config.settings import RunSettings
    from capacity.config.slo import RunSlo
    from capacity.judge.judgement import Judgement
    from capacity.measure.sources import Source
    from capacity.record.report import Environment
    from capacity.record.storm import StormRecord
    from capacity.search.search import Step

_RAMP_ESTIMATE_S: Final = 1.0
_STORM_ESTIMATE_S: Final = 4.0


class RunObserver(StepObserver, Protocol):
    """Receives the progress of a run."""

    def message(self, text: str) -> None: ...

    def step(self, users: int, purpose: str, remaining_s: float) -> None: ...

    def done(self, record: StepRecord) -> None: ...


@dataclass(slots=True)
class CapacityRun:
    """One run.

    Attributes:
        steps, storms: all measurements, including those of a run that this one continues; kept after an interruption.
        missing: what cannot be measured in this run at all; `notes`: other remarks on the run.
        duration_s: seconds since its start.
    """

    settings: RunSettings
    observer: RunObserver
    clock: Callable[[], float] = time.monotonic
    steps: list[StepRecord] = field(default_factory=list)
    storms: list[StormRecord] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    cores: Cores = field(init=False)
    processes: int = field(init=False)
    started_at: float = field(init=False)
    _began: float = field(init=False)
    _earlier_s: float = field(init=False)
    _prometheus: Prometheus | None = field(init=False)
    _scrape_interval_s: float | None = field(init=False, default=None)
    _reserved_note: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self._earlier_s = max((s.started_s + s.settle_s + (s.window_s or 0.0) for s in self.steps), default=0.0)
        self._prometheus = Prometheus(self.settings.prometheus) if self.settings.prometheus else None
        self.cores = self._assign_cores(usable_cores())
        self.processes = self.settings.processes or len(self.cores.generator)
        self.started_at = time.time()
        self._began = self.clock()

    @property
    def duration_s(self) -> float:
        return self.clock() - self._began

    @property
    def environment(self) -> Environment:
        """The machine and the software of the run."""
        return describe(self.cores, self.processes, self.started_at, CHECKOUT)

    @property
    def plan(self) -> Plan:
        """The parameters of the search."""
        return Plan(
            first=self.settings.users_min,
            largest=self.settings.users_max,
            grain=self.settings.users_per_room or 1,
            given=self.settings.given,
            width=self.settings.interval_width,
            confirmations=self.settings.confirmations,
        )

    @property
    def step_slos(self) -> tuple[RunSlo, ...]:
        """The SLOs of a step: in a run with storms, no user reconnects before the first storm."""
        slos = self.settings.slos
        return slos if self.settings.storm is None else tuple(slo for slo in slos if not slo.is_resync)

    def _assign_cores(self, usable: Sequence[int]) -> Cores:
        """Assign the cores of this machine to server and load generator, and note if there are too few."""
        if self.settings.host is None:
            return Cores.for_bundled_server(usable, self.settings.workers)
        server = find_local_server(self.settings.host)
        cores = cores_beside(usable, server)
        if server is not None:
            if are_competing(usable, cores):
                self.notes.append(COMPETING_NOTE)
            else:
                self._reserved_note = reserved_cores_note(usable, cores)
        return cores

    def execute(self) -> Ending:
        """Run the search to its end.

        Raises:
            UsageError: the server at `--host` cannot be used.
            RunError: the server, the generator or a connection failed; `steps` keeps the measurements.
        """
        # The few percent of CPU of this process must not use the server's core.
        with pinned(self.cores.generator), tempfile.TemporaryDirectory(prefix="stampede-") as name:
            children = ChildProcesses()
            try:
                with children:
                    return self._execute(Path(name), children)
            finally:
                children.end()  # a signal may have interrupted the end of the block; it comes only once

    def _execute(self, folder: Path, children: ChildProcesses) -> Ending:
        self._check_prometheus()
        if self._reserved_note:
            self.observer.message(self._reserved_note)
        target = self._start_target(folder, children)
        self.missing.extend(target.probe())
        self.observer.message("starting the load generator")
        options = GeneratorOptions(
            host=target.url,
            mix=self.settings.mix,
            arguments=[*self.settings.load_arguments(), *self.settings.header_arguments()],
            processes=self.processes,
            cores=self.cores.generator,
        )
        generator = LoadGenerator.start(options, folder=folder, checkout=CHECKOUT, children=children)
        generator.wait_ready(self.processes)
        ending = self._measure(generator, target)
        self.notes += generator.notes()
        return ending

    def _check_prometheus(self) -> None:
        """Evaluate every expression once: a mistake in one, or too few scrapes, must show before the run starts."""
        if self._prometheus is None:
            return
        settings = self.settings
        self._scrape_interval_s = check_prometheus(
            self._prometheus, settings.slos, settings.window, is_source=not settings.metrics
        )
        if (note := skew_note(self._prometheus)) is not None:
            self.notes.append(note)

    def _source(self) -> Source | None:
        """Return the source of a running server's figures; None: its own /metrics."""
        if self.settings.metrics:
            return MetricsPages(self.settings.metrics)
        if self._prometheus is None:
            return None
        return PrometheusSource(self._prometheus, self._scrape_interval_s)

    def _start_target(self, folder: Path, children: ChildProcesses) -> TargetServer:
        if self.settings.host is not None:
            self._check_server(self.settings.host, folder, children)
            return TargetServer.running(self.settings.host, self._source())
        self.observer.message("starting the server")
        options = BundledServerOptions(
            work_per_message=self.settings.work_per_message,
            message_rate=self.settings.message_rate,
            workers=self.settings.workers,
            cores=self.cores,
        )
        return TargetServer.bundled(options, folder=folder, checkout=CHECKOUT, children=children)

    def _check_server(self, host: str, folder: Path, children: ChildProcesses) -> None:
        """Check that the server implements the dialect.

        Raises:
            UsageError: it does not.
        """
        dialect = self.settings.used_dialect
        if isinstance(dialect, StampedeDialect):
            check_greeting(host, self.settings.request_headers)
            return
        self.observer.message(f"checking the server by an exchange of two users, dialect {dialect.name}")
        room = dialect.name_room(0)
        exchange = ExchangeOptions(host, self.settings.dialect or "", room, self.settings.check_arguments())
        self.notes += check_exchange(exchange, folder=folder, checkout=CHECKOUT, children=children)

    def _measure(self, generator: LoadGenerator, target: TargetServer) -> Ending:
        judge = StepJudge(self.step_slos, self.settings.window, self._prometheus, self.clock)
        runner = StepRunner(
            generator,
            target,
            self.observer,
            settle_s=self.settings.settle,
            window_s=self.settings.window,
            spans=judge.spans(),
            low_ms=DEFAULT_LIMITS.lag_ms(self.settings.slos),
            clock=self.clock,
        )
        began = self.clock()
        ending = self._search(runner, judge, began)
        if self.settings.storm is None or self.steps[-1].verdict is not Verdict.PASS:
            return ending
        return self._run_storms(generator, runner, began)

    def _search(self, runner: StepRunner, judge: StepJudge, began: float) -> Ending:
        while True:
            remaining_s = self.settings.max_duration - (self.clock() - began)
            move = next_move(self.plan, trials_of(self.steps), remaining_s, self._step_estimate_s())
            if isinstance(move, Finished):
                return move.ending
            self.observer.step(move.users, str(move.purpose), remaining_s)
            record = self._run_step(runner, judge, move, began)
            self.steps.append(record)
            self.observer.done(record)

    def _step_estimate_s(self) -> float:
        """Return the expected duration of a step: that of the latest three, or an estimate from the settings."""
        latest = [step.settle_s + self.settings.window for step in self.steps[-3:]]
        return mean(latest) if latest else _RAMP_ESTIMATE_S + self.settings.settle + self.settings.window

    def _run_step(self, runner: StepRunner, judge: StepJudge, move: Step, began: float) -> StepRecord:
        started_s = self.clock() - began
        judgement = self._check_file_limit(move.users)
        measurement = StepMeasurement(0.0, None, ServerWindow(), None)
        if judgement is None:
            measurement = runner.measure(move.users)
            judgement = judge.judge(measurement, move.users)
        return step_record(
            users=move.users,
            purpose=move.purpose,
            judgement=judgement,
            started_s=self._earlier_s + started_s,
            settle_s=measurement.settle_s,
            client=measurement.client,
            server=measurement.server,
        )

    def _check_file_limit(self, users: int) -> Judgement | None:
        """Return the judgement on a level for which this machine lets the bundled server open too few files."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if self.settings.host is not None or limit == resource.RLIM_INFINITY:
            return None
        return check_file_limit(users, self.settings.workers, limit)

    def _run_storms(self, generator: LoadGenerator, runner: StepRunner, began: float) -> Ending:
        """Search for the largest share of the users that may reconnect at once."""
        slos, users = self.settings.slos, self.settings.storm or 0
        longest_s = max(slo.threshold for slo in slos if slo.is_resync) / 1000
        storm_runner = StormRunner(generator, runner, users=users, threshold_s=longest_s, clock=self.clock)
        durations_s = [self.settings.settle + min(longest_s, _STORM_ESTIMATE_S)]
        while True:
            remaining_s = self.settings.max_duration - (self.clock() - began)
            trials = storm_result.storm_trials(self.storms)
            move = next_move(storm_result.PLAN, trials, remaining_s, mean(durations_s[-3:]))
            if isinstance(move, Finished):
                return move.ending
            self.observer.message(f"storm: {move.users} % of {users} users reconnect at once ({move.purpose})")
            started = self.clock()
            window = storm_runner.run(move.users)
            durations_s.append(self.clock() - started)
            judgement = judge_storm(window, slos, DEFAULT_LIMITS)
            record = storm_result.storm_record(move.users, str(move.purpose), window, judgement)
            self.storms.append(record)
            self.observer.message(storm_result.storm_line(record))
