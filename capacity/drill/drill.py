"""A drill: hold users, check that all is well, run the command, and measure what the users felt."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from capacity.config.slo import strictest_ms
from capacity.drill.command import Command
from capacity.drill.judge import CommandOutcome, judge_drill
from capacity.drill.result import CommandRecord, drill_record
from capacity.drill.runner import DrillRunner, TimeLimits, UncheckedServer, start_watch
from capacity.drill.timeline import latency_limit_ms
from capacity.judge.judgement import missing_window
from capacity.judge.limits import DEFAULT_LIMITS
from capacity.measure.client_window import MissingDataError
from capacity.measure.server_window import ServerWindow
from capacity.processes.cores import usable_cores
from capacity.record.step import Verdict
from capacity.search.search import Purpose
from capacity.search.step import StepObserver, StepRunner
from capacity.search.step_judge import StepJudge
from capacity.search.step_record import step_record
from capacity.storms.judge import StormWindow
from capacity.testbed import MessageObserver, Testbed

if TYPE_CHECKING:
    from collections.abc import Callable

    from capacity.config.drill_settings import DrillSettings
    from capacity.config.slo import RunSlo
    from capacity.record.drill import DrillRecord
    from capacity.record.step import StepRecord
    from capacity.testbed import Running

_MOST_BASELINES: Final = 3
"""How often users are measured before the command, while other processes or lag make the measurement invalid."""


class DrillObserver(StepObserver, MessageObserver, Protocol):
    """Receives the progress of a drill."""

    def step(self, users: int, purpose: str, remaining_s: float) -> None: ...

    def done(self, record: StepRecord) -> None: ...


@dataclass(slots=True)
class Drill:
    """One drill.

    Attributes:
        steps: the measurements before the command.
        testbed: the server and the load generator.
        record: what the command did to the users; None before that, and if it does not run.
    """

    settings: DrillSettings
    observer: DrillObserver
    clock: Callable[[], float] = time.monotonic
    steps: list[StepRecord] = field(default_factory=list)
    record: DrillRecord | None = None
    testbed: Testbed = field(init=False)
    _cores: tuple[int, ...] = field(init=False)
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._cores = usable_cores()  # before this process is pinned
        self.testbed = Testbed(self.settings.run_settings, self.observer)
        self._began = self.clock()

    @property
    def duration_s(self) -> float:
        """Seconds since the start."""
        return self.clock() - self._began

    @property
    def _slos(self) -> tuple[RunSlo, ...]:
        return self.settings.run_settings.slos

    def execute(self) -> None:
        """Run the drill to its end. `record` and `steps` keep the measurements, also after an exception.

        Raises:
            UsageError: the server at `--host` cannot be used.
            RunError: the server, the generator or a connection failed.
        """
        with self.testbed.running() as running:
            if self._hold(running):
                self._run_command(running)
            self.testbed.notes += running.generator.notes()

    def _hold(self, running: Running) -> bool:
        """Ramp to the users and measure them; return whether the figures are valid and meet the SLOs."""
        settings = self.settings.run_settings
        slos = tuple(slo for slo in self._slos if not slo.is_resync)  # nobody reconnects yet
        judge = StepJudge(slos, settings.window)
        runner = StepRunner(
            running.generator,
            running.target,
            self.observer,
            settle_s=settings.settle,
            window_s=settings.window,
            latency_ms=strictest_ms(slos),
            clock=self.clock,
        )
        users = self.settings.users
        for _ in range(_MOST_BASELINES):
            started_s = self.duration_s
            self.observer.step(users, Purpose.BASELINE, self.settings.longest_s)
            measurement = runner.measure(users)
            record = step_record(
                users=users,
                purpose=Purpose.BASELINE,
                judgement=judge.judge(measurement, users),
                started_s=started_s,
                settle_s=measurement.settle_s,
                client=measurement.client,
                server=measurement.server,
            )
            self.steps.append(record)
            self.observer.done(record)
            if record.verdict is not Verdict.INVALID:
                break
        return record.verdict is Verdict.PASS

    def _run_command(self, running: Running) -> None:
        settings = self.settings
        held = StepRunner(running.generator, UncheckedServer(), self.observer, settle_s=0.0, window_s=0.0)
        watch = start_watch(running.generator, held)
        command = Command.start(
            settings.run,
            environment=_environment(running),
            folder=running.folder,
            cores=self._cores,
            children=running.children,
        )
        limit_ms = latency_limit_ms(strictest_ms(self._slos), self.steps[-1].deliver_p99_ms)
        runner = DrillRunner(running.generator, held, self.observer, watch, command, limit_ms=limit_ms)
        try:
            runner.run(TimeLimits(settings.command_timeout, settings.recovery_timeout))
        finally:
            self.record = self._record(runner)
        if settings.run_settings.host is not None and not runner.timed_out:
            running.children.release(command.process)  # a server that it started goes on

    def _record(self, runner: DrillRunner) -> DrillRecord:
        command, storm = runner.command, runner.result
        lines = command.last_lines
        outcome = CommandOutcome(
            command.exit_code, self.settings.command_timeout if runner.timed_out else None, lines[-1] if lines else ""
        )
        client = None
        try:
            client = runner.window
        except MissingDataError as error:
            judgement = missing_window(str(error))
        else:
            window = StormWindow(storm, client, ServerWindow(), runner.waited_s)
            recovered = runner.timeline.recovered_s is not None
            judgement = judge_drill(window, outcome, self._slos, DEFAULT_LIMITS, recovered=recovered)
        if not runner.is_complete:
            judgement = missing_window("the drill did not come to its end")
        return drill_record(
            storm,
            client,
            judgement,
            CommandRecord(self.settings.run, command.exit_code, command.seconds, lines),
            runner.timeline,
            watch_s=command.began - runner.watch.began,
            before_p99_ms=self.steps[-1].deliver_p99_ms,
        )

    @property
    def verdict(self) -> Verdict:
        """The verdict on the drill; that of the users before the command if it did not run."""
        return self.record.verdict if self.record is not None else self.steps[-1].verdict

    @property
    def why_not(self) -> str:
        """Why the command did not run."""
        return "; ".join(self.steps[-1].reasons if self.steps else ()) or "the drill was interrupted"


def _environment(running: Running) -> dict[str, str]:
    """Return the variables that tell the command where the server is."""
    variables = {"STAMPEDE_HOST": running.target.url}
    if running.target.pid is not None:
        variables["STAMPEDE_SERVER_PID"] = str(running.target.pid)
    return variables
