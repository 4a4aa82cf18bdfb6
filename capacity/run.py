"""A capacity run: search for the number of users that the server holds, and run storms."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, field
from statistics import mean
from typing import TYPE_CHECKING, Final, Protocol

from capacity.config.slo import strictest_ms
from capacity.errors import RunError
from capacity.formatting import count
from capacity.judge.generator_health import check_file_limit
from capacity.judge.limits import DEFAULT_LIMITS
from capacity.measure.server_window import ServerWindow
from capacity.measure.workers import LostWorkerError
from capacity.profile.level import profile_level
from capacity.profile.profiler import Profiler
from capacity.profile.sampler import ProfileError
from capacity.record.step import StepRecord, Verdict
from capacity.search.search import Ending, Finished, Plan, next_move
from capacity.search.step import StepObserver, StepRunner
from capacity.search.step_judge import StepJudge
from capacity.search.step_measurement import StepMeasurement
from capacity.search.step_record import step_record
from capacity.search.trials import bounds_of, trials_of
from capacity.storms import result as storm_result
from capacity.storms.judge import judge_storm
from capacity.storms.runner import StormRunner
from capacity.testbed import MessageObserver, Testbed

if TYPE_CHECKING:
    from collections.abc import Callable

    from capacity.config.settings import RunSettings
    from capacity.config.slo import RunSlo
    from capacity.judge.judgement import Judgement
    from capacity.profile.summary import LevelProfile
    from capacity.record.storm import StormRecord
    from capacity.search.search import Step
    from capacity.testbed import Running

_RAMP_ESTIMATE_S: Final = 1.0
_STORM_ESTIMATE_S: Final = 4.0


class RunObserver(StepObserver, MessageObserver, Protocol):
    """Receives the progress of a run."""

    def step(self, users: int, purpose: str, remaining_s: float) -> None: ...

    def done(self, record: StepRecord) -> None: ...

    def storm_done(self, record: StormRecord) -> None: ...


@dataclass(slots=True)
class CapacityRun:
    """One run.

    Attributes:
        steps, storms: all measurements, including those of a run that this one continues; kept after an interruption.
        profiles: of the levels that passed and failed, with `--profile`.
        ending: why the search ended; None if it was interrupted.
        testbed: the server and the load generator.
        duration_s: seconds since its start.
    """

    settings: RunSettings
    observer: RunObserver
    clock: Callable[[], float] = time.monotonic
    steps: list[StepRecord] = field(default_factory=list)
    storms: list[StormRecord] = field(default_factory=list)
    profiles: dict[Verdict, LevelProfile] = field(default_factory=dict)
    ending: Ending | None = None
    testbed: Testbed = field(init=False)
    _began: float = field(init=False)
    _earlier_s: float = field(init=False)
    _waited_s: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._earlier_s = max((s.started_s + s.settle_s + (s.window_s or 0.0) for s in self.steps), default=0.0)
        self.testbed = Testbed(self.settings, self.observer)
        self._began = self.clock()

    @property
    def duration_s(self) -> float:
        return self.clock() - self._began

    @property
    def plan(self) -> Plan:
        """The parameters of the search."""
        return Plan(
            first=self.settings.users_min,
            largest=self.settings.users_max,
            grain=self.settings.load.room_size or 1,
            given=self.settings.given,
            width=self.settings.interval_width,
            confirmations=self.settings.confirmations,
            latency_ms=strictest_ms(self.settings.slos),
        )

    @property
    def step_slos(self) -> tuple[RunSlo, ...]:
        """The SLOs of a step: in a run with storms, no user reconnects before the first storm."""
        slos = self.settings.slos
        return slos if self.settings.storm is None else tuple(slo for slo in slos if not slo.is_resync)

    def execute(self) -> None:
        """Run the search to its end, and profile the server if that is requested.

        Raises:
            UsageError: the server at `--host` cannot be used.
            RunError: the server, the generator or a connection failed; `steps` keeps the measurements.
        """
        with self.testbed.running() as running:
            judge = StepJudge(self.step_slos, self.settings.window, self.testbed.prometheus, self.clock)
            runner = StepRunner(
                running.generator,
                running.target,
                self.observer,
                settle_s=self.settings.settle,
                window_s=self.settings.window,
                spans=judge.spans(),
                latency_ms=strictest_ms(self.settings.slos),
                clock=self.clock,
            )
            self.ending = self._measure(running, runner, judge)
            if self.settings.profile:
                self._profile_levels(running, runner)
            self.testbed.notes += running.generator.notes()

    def _measure(self, running: Running, runner: StepRunner, judge: StepJudge) -> Ending:
        began = self.clock()
        ending = self._search(running, runner, judge, began)
        if self.settings.storm is None or self.steps[-1].verdict is not Verdict.PASS:
            return ending
        return self._run_storms(running, runner, began)

    def _search(self, running: Running, runner: StepRunner, judge: StepJudge, began: float) -> Ending:
        while True:
            remaining_s = self._remaining_s(began)
            move = next_move(self.plan, trials_of(self.steps), remaining_s, self._step_estimate_s())
            if isinstance(move, Finished):
                return move.ending
            running.retry_sources()
            self._waited_s += runner.restore_workers()
            self.observer.step(move.users, str(move.purpose), remaining_s)
            record = self._run_step(runner, judge, move, began)
            self.steps.append(record)
            self.observer.done(record)

    def _remaining_s(self, began: float) -> float:
        """Return the time that is left for the search; waiting for lost workers does not count."""
        return self.settings.max_duration + self._waited_s - (self.clock() - began)

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
            runner.note_verdict(move.users, judgement.verdict)
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

    def _profile_levels(self, running: Running, runner: StepRunner) -> None:
        """Profile the highest level that passed and the lowest that failed; a failure does not affect the answer."""
        profiler = Profiler(
            running.target.processes,
            folder=running.folder,
            children=running.children,
            cores=self.testbed.cores.generator,
        )
        found = bounds_of(self.plan, self.steps)
        levels = {Verdict.PASS: found.low, Verdict.FAIL: found.fails_at}
        for verdict, users in levels.items():
            if not users:
                continue
            try:
                self.profiles[verdict], notes = profile_level(users, runner, profiler, self.observer)
            except (ProfileError, RunError) as error:
                self.testbed.notes.append(f"no profile of {count(users)} users: {error}")
                return
            self.testbed.notes += notes

    def _run_storms(self, running: Running, runner: StepRunner, began: float) -> Ending:
        """Search for the largest share of the users that may reconnect at once."""
        slos, users = self.settings.slos, self.settings.storm or 0
        longest_s = max(slo.threshold for slo in slos if slo.is_resync) / 1000
        storm_runner = StormRunner(running.generator, runner, users=users, threshold_s=longest_s, clock=self.clock)
        durations_s = [self.settings.settle + min(longest_s, _STORM_ESTIMATE_S)]
        while True:
            remaining_s = self._remaining_s(began)
            trials = storm_result.storm_trials(self.storms)
            move = next_move(storm_result.PLAN, trials, remaining_s, mean(durations_s[-3:]))
            if isinstance(move, Finished):
                return move.ending
            self._waited_s += runner.restore_workers()
            self.observer.message(f"storm: {move.users} % of {users} users reconnect at once ({move.purpose})")
            running.retry_sources()
            started = self.clock()
            try:
                window = storm_runner.run(move.users)
            except LostWorkerError as error:
                self.testbed.notes.append(f"a storm was repeated: {error}")
                continue
            durations_s.append(self.clock() - started)
            judgement = judge_storm(window, slos, DEFAULT_LIMITS)
            record = storm_result.storm_record(move.users, str(move.purpose), window, judgement)
            self.storms.append(record)
            self.observer.storm_done(record)
