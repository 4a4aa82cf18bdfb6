"""The capacity run: start both sides, search, answer, end everything. The composition of the room's parts."""

from __future__ import annotations

import resource
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Protocol

from capacity.config.promise import Span
from capacity.config.settings_table import settings_table
from capacity.config.slo import strictest_latency_ms
from capacity.judge.verdict import DEFAULT_LIMITS, Outcome, beyond_files, judge, missing
from capacity.measure.prometheus import Prometheus, PrometheusError
from capacity.measure.scrapes import check_prometheus, skew_note
from capacity.measure.sources import Pages, Scraped
from capacity.measure.window import ServerWindow
from capacity.model.scalability import fit_model
from capacity.model.sizing import Demand, size_for
from capacity.processes.environment import describe
from capacity.processes.generator import LoadGenerator
from capacity.processes.local_server import COMPETES, competes, cores_beside, find_local_server, left_words
from capacity.processes.process import Cores, pinned, usable_cores
from capacity.processes.process_group import Children
from capacity.processes.target import Target
from capacity.record import Report, StepRecord
from capacity.report.answer import Load, Question, answer_of, trials_of
from capacity.search.search import Ending, Finished, Plan, next_move
from capacity.search.step import Measured, Stepper, Watcher
from capacity.search.step_record import step_record
from capacity.storms import storm
from capacity.storms.runner import Stormer
from stampede.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from capacity.config.promise import Promise
    from capacity.config.settings import Settings
    from capacity.errors import CapacityError
    from capacity.judge.verdict import Verdict
    from capacity.measure.sources import Source
    from capacity.record import Answer, Environment, StormAnswer, StormRecord
    from capacity.search.search import Step

CHECKOUT = Path(__file__).resolve().parent.parent
_ARRIVAL_ALLOWANCE_S = 1.0
_STORM_GUESS_S = 4.0


class Audience(Watcher, Protocol):
    """Who is told how the run goes on."""

    def message(self, text: str) -> None: ...

    def step(self, users: int, purpose: str, remaining_s: float) -> None: ...

    def done(self, record: StepRecord) -> None: ...


@dataclass(slots=True)
class CapacityRun:
    """One run, from the start of its processes to its report.

    Attributes:
        steps, storms: what was measured so far, by an earlier run too; kept when the run is cut short.
        missing: what cannot be measured in this run at all; `notes`: what else is to be known of it.
    """

    settings: Settings
    command: str
    audience: Audience
    clock: Callable[[], float] = time.monotonic
    steps: list[StepRecord] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    storms: list[StormRecord] = field(default_factory=list)
    cores: Cores = field(init=False)
    processes: int = field(init=False)
    started_at: float = field(init=False)
    _began: float = field(init=False)
    _earlier_s: float = field(init=False)
    _prometheus: Prometheus | None = field(init=False)
    _interval_s: float | None = field(init=False, default=None)
    _left: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self._earlier_s = max((s.started_s + s.settle_s + (s.window_s or 0.0) for s in self.steps), default=0.0)
        self._prometheus = Prometheus(self.settings.prometheus) if self.settings.prometheus else None
        self.cores = self._shared_out(usable_cores())
        self.processes = self.settings.processes or len(self.cores.generator)
        self.started_at = time.time()
        self._began = self.clock()

    def _shared_out(self, usable: Sequence[int]) -> Cores:
        """Deal the cores of this machine to both sides, as far as both are on it; note when there are too few."""
        if self.settings.host is None:
            return Cores.share(usable, own_server=True, workers=self.settings.workers)
        server = find_local_server(self.settings.host)
        cores = cores_beside(usable, server)
        if server is not None:
            if competes(usable, cores):
                self.notes.append(COMPETES)
            else:
                self._left = left_words(usable, cores)
        return cores

    def execute(self) -> Ending:
        """Run the search to its end.

        Raises:
            UsageError: the server at `--host` cannot be used.
            RunError: the server, the generator or the way between them gave way; `steps` holds what was measured.
        """
        # Our own few percent must not fall on the server's core.
        with pinned(self.cores.generator), tempfile.TemporaryDirectory(prefix="stampede-") as name:
            children = Children()
            try:
                with children:
                    return self._execute(Path(name), children)
            finally:
                children.end()  # a stop may have come just as their end began; it comes once

    def _execute(self, folder: Path, children: Children) -> Ending:
        self._check_sources()
        if self._left:
            self.audience.message(self._left)
        target = self._target(folder, children)
        self.missing.extend(target.probe())
        self.audience.message("starting the load generator")
        generator = LoadGenerator.start(
            self.settings,
            target.url,
            processes=self.processes,
            cores=self.cores.generator,
            folder=folder,
            checkout=CHECKOUT,
            children=children,
        )
        generator.wait_ready(self.processes)
        ending = self._search(generator, target)
        self.notes += generator.address_notes()
        return ending

    def _check_sources(self) -> None:
        """Ask every expression once before anything starts: a typing error is told at once, and scrapes too seldom."""
        if self._prometheus is None:
            return
        settings = self.settings
        self._interval_s = check_prometheus(
            self._prometheus, settings.levels, settings.window, as_source=not settings.metrics
        )
        if (note := skew_note(self._prometheus)) is not None:
            self.notes.append(note)

    def _source(self) -> Source | None:
        """Return what tells the server's figures; None leaves its own /metrics."""
        if self.settings.metrics:
            return Pages(self.settings.metrics)
        return Scraped(self._prometheus, interval_s=self._interval_s) if self._prometheus is not None else None

    def _target(self, folder: Path, children: Children) -> Target:
        if self.settings.host is not None:
            return Target.running(self.settings.host, self._source(), self.settings.request_headers)
        self.audience.message("starting the server")
        return Target.bundled(
            work_per_message=self.settings.work_per_message,
            message_rate=self.settings.message_rate,
            cores=self.cores,
            workers=self.settings.workers,
            folder=folder,
            checkout=CHECKOUT,
            children=children,
        )

    def _search(self, generator: LoadGenerator, target: Target) -> Ending:
        stepper = Stepper(
            generator,
            target,
            self.audience,
            settle_s=self.settings.settle,
            window_s=self.settings.window,
            spans=self._spans(),
            calm_ms=DEFAULT_LIMITS.lag_ms(self.settings.levels),
            clock=self.clock,
        )
        began = self.clock()
        ending = self._steps(stepper, began)
        if self.settings.storm is None or self.steps[-1].verdict != Outcome.PASS:
            return ending
        return self._storms(generator, stepper, began)

    def _steps(self, stepper: Stepper, began: float) -> Ending:
        while True:
            spent = self.clock() - began
            move = next_move(self.plan, trials_of(self.steps), self.settings.max_duration - spent, self._step_s())
            if isinstance(move, Finished):
                return move.ending
            self.audience.step(move.users, str(move.purpose), self.settings.max_duration - spent)
            record = self._take(stepper, move, began)
            self.steps.append(record)
            self.audience.done(record)

    def _storms(self, generator: LoadGenerator, stepper: Stepper, began: float) -> Ending:
        """Drop one share of the users after the other, while the rest of them are held."""
        levels, users = self.settings.levels, self.settings.storm or 0
        longest = max(level.threshold for level in levels if level.figure.startswith("resync_"))
        stormer = Stormer(generator, stepper, users=users, threshold_s=longest / 1000, clock=self.clock)
        taken_s = [self.settings.settle + min(longest / 1000, _STORM_GUESS_S)]
        while True:
            left = self.settings.max_duration - (self.clock() - began)
            move = next_move(storm.PLAN, storm.trials_of_storms(self.storms), left, mean(taken_s[-3:]))
            if isinstance(move, Finished):
                return move.ending
            self.audience.message(f"storm: {move.users} % of {users} users reconnect at once ({move.purpose})")
            started = self.clock()
            window = stormer.take(move.users)
            taken_s.append(self.clock() - started)
            verdict = storm.judge_storm(window, levels, DEFAULT_LIMITS)
            record = storm.storm_record(move.users, str(move.purpose), window, verdict)
            self.storms.append(record)
            self.audience.message(storm.line(record))

    def _take(self, stepper: Stepper, move: Step, began: float) -> StepRecord:
        started = self.clock() - began
        verdict = self._beyond_files(move.users)
        if verdict is None:
            measured = stepper.take(move.users)
            verdict = self._judged(measured, move.users)
        else:
            measured = Measured(0.0, None, ServerWindow(), None)
        return step_record(
            users=move.users,
            purpose=move.purpose,
            verdict=verdict,
            started_s=self._earlier_s + started,
            settle_s=measured.settle_s,
            client=measured.client,
            server=measured.server,
        )

    def _judged(self, measured: Measured, users: int) -> Verdict:
        if measured.client is None:
            return missing(measured.problem or "the window could not be taken")
        return judge(
            measured.client,
            measured.server,
            target_users=users,
            levels=self._step_levels,
            values=self._values(measured),
        )

    def _beyond_files(self, users: int) -> Verdict | None:
        """Return the verdict on a level for which this machine lets the bundled server open too few files."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if self.settings.host is not None or limit == resource.RLIM_INFINITY:
            return None
        return beyond_files(users, self.settings.workers, limit)

    @property
    def _step_levels(self) -> tuple[Promise, ...]:
        """The levels of a step: in a run with storms, nobody reconnects before the first of them."""
        levels = self.settings.levels
        if self.settings.storm is None:
            return levels
        return tuple(level for level in levels if not level.figure.startswith("resync_"))

    def _spans(self) -> list[Span]:
        """Return the seconds of a step that some level asks for beside the measuring window."""
        whole = Span(0.0, self.settings.window)
        spans = {level.span(self.settings.window) for level in self.settings.levels}
        return sorted(spans - {whole}, key=lambda span: span.end)

    def _values(self, measured: Measured) -> dict[str, float | None]:
        """Return what the measuring window itself does not tell: other seconds, other sources."""
        window, values = self.settings.window, {}
        for level in self.settings.levels:
            span = level.span(window)
            if level.promql is not None:
                # Settling ended on our clock; Prometheus wants the time of day, by its own.
                at = self._prometheus_now() - (self.clock() - measured.began - span.end)
                values[level.text] = self._asked(level.query(window), at)
            elif span != Span(0.0, window):
                client = measured.spans.get(span)
                values[level.text] = None if client is None else level.value(client)
        return values

    def _prometheus_now(self) -> float:
        return time.time() if self._prometheus is None else self._prometheus.now

    def _asked(self, expression: str, at: float) -> float | None:
        """Return an expression's value; a Prometheus that does not answer tells nothing, which never passes."""
        try:
            return None if self._prometheus is None else self._prometheus.value(expression, at)
        except PrometheusError:
            return None

    @property
    def plan(self) -> Plan:
        """What the search is to find."""
        return Plan(
            first=self.settings.users_min,
            largest=self.settings.users_max,
            grain=self.settings.room_size or 1,
            given=self.settings.given,
            width=self.settings.interval_width,
            confirmations=self.settings.confirmations,
        )

    def _step_s(self) -> float:
        """Expect of the next step what the latest took; before that, what the settings say."""
        latest = [step.settle_s + self.settings.window for step in self.steps[-3:]]
        if not latest:
            return _ARRIVAL_ALLOWANCE_S + self.settings.settle + self.settings.window
        return sum(latest) / len(latest)

    def report(self, ending: Ending | None, problem: CapacityError | None) -> Report:
        """Put everything known into a report; it is partial when there is a problem."""
        partial = problem is not None
        answer = self.answer(ending)
        storms = self._storm_answer(ending)
        if self.settings.storm is not None and answer.supported_users:
            answer = storm.told(answer, storms, self.settings.storm)
        target = self.settings.target_users
        return Report(
            status="partial" if partial else "complete",
            status_reason=str(problem) if partial else None,
            answer=answer,
            steps=self.steps,
            levels=self.level_texts,
            settings=settings_table(self.settings),
            environment=self.environment(),
            missing=self.missing,
            notes=self.notes,
            command=self.command,
            duration_s=round(self.clock() - self._began, 1),
            limits={"cpu": DEFAULT_LIMITS.cpu, "lag_ms": DEFAULT_LIMITS.lag_ms(self.settings.levels)},
            model=fit_model(self.steps, strictest_latency_ms(self.settings.levels)),
            sizing=size_for(Demand(target, self.settings.headroom), answer, self.steps) if target else None,
            storm=storms,
        )

    def _storm_answer(self, ending: Ending | None) -> StormAnswer | None:
        if not self.storms:
            return None
        return storm.storm_answer(
            self.storms,
            users=self.settings.storm or 0,
            levels=self.level_texts,
            backoff=self.settings.backoff,
            ending=ending,
        )

    @property
    def level_texts(self) -> list[str]:
        """The service levels as shown."""
        return [level.text for level in self.settings.levels]

    def environment(self) -> Environment:
        """Describe the machine and what runs on it."""
        return describe(self.cores, self.processes, self.started_at, CHECKOUT)

    def answer(self, ending: Ending | None) -> Answer:
        """Answer from the steps so far; `ending` is None when the search did not come to its end."""
        settings = self.settings
        load = Load(settings.mix, settings.room_size, settings.rooms, settings.message_rate)
        subject = f"The server at {redact(settings.host)}" if settings.host else _processes(settings.workers)
        levels = tuple(level.text for level in self._step_levels)
        question = Question(load, levels, self.plan, subject, self.command, settings.max_duration)
        return answer_of(question, self.steps, ending)


def _processes(workers: int) -> str:
    return "One server process" if workers == 1 else f"A server of {workers} processes"
