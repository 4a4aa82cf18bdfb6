"""The capacity run: start both sides, search, answer, end everything. The composition of the room's parts."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from capacity.answer import Load, Question, answer_of, trials_of
from capacity.environment import describe
from capacity.generator import LoadGenerator
from capacity.processes import Cores, pin, usable_cores
from capacity.record import Report, StepRecord, step_record
from capacity.search import Ending, Finished, Plan, next_move
from capacity.step import Stepper, Watcher
from capacity.target import Target
from capacity.verdict import judge, missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from capacity.errors import CapacityError
    from capacity.record import Answer
    from capacity.search import Step
    from capacity.settings import Settings

CHECKOUT = Path(__file__).resolve().parent.parent
_ARRIVAL_ALLOWANCE_S = 1.0


class Audience(Watcher, Protocol):
    """Who is told how the run goes on."""

    def message(self, text: str) -> None: ...

    def step(self, users: int, purpose: str, remaining_s: float) -> None: ...

    def done(self, record: StepRecord) -> None: ...


@dataclass(slots=True)
class CapacityRun:
    """One run, from the start of its processes to its report.

    Attributes:
        steps: what was measured so far; kept when the run is cut short.
        missing: what cannot be measured in this run at all.
    """

    settings: Settings
    command: str
    audience: Audience
    clock: Callable[[], float] = time.monotonic
    steps: list[StepRecord] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    cores: Cores = field(init=False)
    processes: int = field(init=False)
    started_at: float = field(init=False)
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self.cores = Cores.share(usable_cores(), own_server=self.settings.host is None)
        self.processes = self.settings.processes or len(self.cores.generator)
        self.started_at = time.time()
        self._began = self.clock()

    def execute(self) -> Ending:
        """Run the search to its end.

        Raises:
            UsageError: the server at `--host` cannot be used.
            RunError: the server, the generator or the way between them gave way; `steps` holds what was measured.
        """
        pin(self.cores.generator)  # our own few percent must not fall on the server's core
        with tempfile.TemporaryDirectory(prefix="stampede-") as name:
            folder = Path(name)
            target = self._target(folder)
            try:
                self.missing.extend(target.probe())
                self.audience.message("starting the load generator")
                generator = LoadGenerator.start(
                    self.settings,
                    target.url,
                    processes=self.processes,
                    cores=self.cores.generator,
                    folder=folder,
                    checkout=CHECKOUT,
                )
                try:
                    generator.wait_ready(self.processes)
                    return self._search(generator, target)
                finally:
                    generator.end()
            finally:
                target.end()

    def _target(self, folder: Path) -> Target:
        if self.settings.host is not None:
            return Target.running(self.settings.host)
        self.audience.message("starting the server")
        return Target.bundled(
            work_per_message=self.settings.work_per_message,
            message_rate=self.settings.message_rate,
            cores=self.cores.server,
            folder=folder,
            checkout=CHECKOUT,
        )

    def _search(self, generator: LoadGenerator, target: Target) -> Ending:
        stepper = Stepper(
            generator,
            target,
            self.audience,
            settle_s=self.settings.settle,
            window_s=self.settings.window,
            clock=self.clock,
        )
        began = self.clock()
        while True:
            spent = self.clock() - began
            move = next_move(self.plan, trials_of(self.steps), self.settings.max_duration - spent, self._step_s())
            if isinstance(move, Finished):
                return move.ending
            self.audience.step(move.users, str(move.purpose), self.settings.max_duration - spent)
            record = self._take(stepper, move, began)
            self.steps.append(record)
            self.audience.done(record)

    def _take(self, stepper: Stepper, move: Step, began: float) -> StepRecord:
        started = self.clock() - began
        measured = stepper.take(move.users)
        if measured.client is None:
            verdict = missing(measured.problem or "the window could not be taken")
        else:
            verdict = judge(measured.client, measured.server, target_users=move.users, levels=self.settings.levels)
        return step_record(
            users=move.users,
            purpose=move.purpose,
            verdict=verdict,
            started_s=started,
            settle_s=measured.settle_s,
            client=measured.client,
            server=measured.server,
        )

    @property
    def plan(self) -> Plan:
        """What the search is to find."""
        return Plan(
            first=self.settings.users_min,
            largest=self.settings.users_max,
            grain=self.settings.room_size or 1,
            given=self.settings.given,
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
        return Report(
            status="partial" if partial else "complete",
            status_reason=str(problem) if partial else None,
            answer=self.answer(ending),
            steps=self.steps,
            levels=[level.text for level in self.settings.levels],
            settings=settings_table(self.settings),
            environment=describe(self.cores, self.processes, self.started_at, CHECKOUT),
            missing=self.missing,
            command=self.command,
            duration_s=round(self.clock() - self._began, 1),
        )

    def answer(self, ending: Ending | None) -> Answer:
        """Answer from the steps so far; `ending` is None when the search did not come to its end."""
        settings = self.settings
        load = Load(settings.mix, settings.room_size, settings.rooms, settings.message_rate)
        subject = f"The server at {settings.host}" if settings.host else "One server process"
        levels = tuple(level.text for level in settings.levels)
        return answer_of(Question(load, levels, self.plan, subject, self.command), self.steps, ending)


def settings_table(settings: Settings) -> dict[str, str | int | float | bool | None]:
    """Return the settings as the report shows them."""
    return {
        "host": settings.host,
        "steps": ",".join(map(str, settings.given)) or None,
        "bounded": settings.bounded,
        "users_min": settings.users_min,
        "users_max": settings.users_max,
        "max_duration": settings.max_duration,
        "settle": settings.settle,
        "window": settings.window,
        "processes": settings.processes,
        "mix": ",".join(f"{name}={weight}" for name, weight in settings.mix.items()),
        "work_per_message": settings.work_per_message,
        "load": " ".join(settings.load_arguments()),
    }
