"""Answer a run from its steps: figures and one sentence. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from capacity.config.promise import promise
from capacity.formatting import about, count, format_confirmation, listing
from capacity.judge.bottleneck import Bottleneck, find_bottleneck, is_observed
from capacity.judge.causes import SERVER_CPU
from capacity.judge.generator_health import FAULT
from capacity.judge.limits import DEFAULT_LIMITS
from capacity.judge.server_load import describe_cpu, is_limited_by_all_cores
from capacity.model.projection import Projection, project, why_not_projected
from capacity.record.answer import Answer
from capacity.record.step import LOST_WORKER, Cause, Verdict
from capacity.report.certainty import certainty
from capacity.report.next_steps import Situation, next_steps
from capacity.report.stop import stop_of
from capacity.search.remedy import remedy_for
from capacity.search.search import Ending, Plan, opening
from capacity.search.trials import bounds_of, step_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.config.scenario import Scenario
    from capacity.record.profile import HotFunction
    from capacity.record.step import StepRecord
    from capacity.search.bracket import Bounds


@dataclass(frozen=True, slots=True)
class UserLoad:
    """The users of a run.

    Attributes:
        scenario: the user classes; a single class of the load test is named in words.
        room_size: users per room; None if `rooms` is the number of rooms.
        message_rate: chat messages per second of each chatting user.
    """

    scenario: Scenario
    room_size: int | None
    rooms: int | None
    message_rate: float

    def details(self) -> str:
        """Return e.g. 'rooms of 20, one message a second each'."""
        rooms = f"{count(self.rooms)} rooms that grow with them" if self.rooms else f"rooms of {self.room_size}"
        if self.scenario.locustfile is not None:
            return rooms
        parts = [rooms, _message_rate(self.message_rate)]
        if len(self.scenario.mix) > 1:
            parts.insert(0, self.scenario.mix_words)
        return ", ".join(parts)


def _message_rate(rate: float) -> str:
    if rate == 1:
        return "one message a second each"
    return f"{rate:g} messages a second each" if rate > 1 else f"one message each {1 / rate:g} s"


@dataclass(frozen=True, slots=True)
class Question:
    """The question of a run.

    Attributes:
        dialect: name of the server's protocol.
        subject: the server, as the sentence names it.
        command: how to start the run again.
        max_duration: time limit of the search in seconds.
        has_remote_workers: whether the load generator runs on other machines.
        proxy: name of the proxy whose figures stand for the server's, if that is so.
        situation: what the advice on the next steps depends on, as far as it is known before the run.
    """

    load: UserLoad
    slos: tuple[str, ...]
    plan: Plan
    dialect: str
    subject: str
    command: str
    max_duration: float = 150.0
    has_remote_workers: bool = False
    proxy: str | None = None
    situation: Situation = field(default_factory=Situation)


def build_answer(
    question: Question, steps: Sequence[StepRecord], ending: Ending | None, hot_spot: HotFunction | None = None
) -> Answer:
    """Answer a question from the recorded steps.

    Args:
        question: the question.
        steps: the steps.
        ending: why the search ended; None if it was interrupted.
        hot_spot: where the server's CPU time goes at the failing level, if it was profiled.
    """
    required = question.plan.confirmations
    found = bounds_of(question.plan, steps)
    failing = step_at(steps, found.fails_at, Verdict.FAIL)
    invalid = step_at(steps, found.invalid_at, Verdict.INVALID)
    is_generator = invalid is not None and invalid.invalid_cause is Cause.GENERATOR
    generator_at = found.invalid_at if is_generator else None
    generator_first = generator_at is not None and (found.fails_at is None or generator_at < found.fails_at)
    decisive = invalid if generator_first else failing
    bottleneck = find_bottleneck(decisive, question.proxy) if decisive else None
    is_search = len(question.plan.given) != 1
    wanted = found.fails_at is None and found.low > 0 and is_search
    projection = project(steps) if wanted else None
    confirmation = format_confirmation(found.passes, required)
    remedy = remedy_for(
        question.plan,
        steps,
        ending,
        projection,
        question.max_duration,
        has_remote_workers=question.has_remote_workers,
        has_core=question.situation.has_core,
    )
    sentences = _Sentences(question, steps, found, bottleneck, projection, generator_at, hot_spot)
    stop = stop_of(steps, found, ending, bottleneck, sentences.bottleneck_text())
    situation = replace(
        question.situation,
        has_remote_workers=question.has_remote_workers,
        hot_spot=format_hot_spot(hot_spot) if hot_spot is not None else "",
        options=remedy.options if remedy else "",
        needs=remedy.needs if remedy else "",
    )
    return Answer(
        supported_users=found.low or None,
        first_failing_users=found.fails_at,
        generator_limited_at=generator_at,
        limited_by=bottleneck.name if bottleneck else None,
        evidence=list(bottleneck.evidence) if bottleneck else [],
        bottleneck=sentences.bottleneck_text() or None,
        bottleneck_observable=_is_observable(steps, bottleneck),
        confirmed=found.low > 0 and found.passes > required,
        projected_users=projection.users if projection else None,
        projected_low=projection.low if projection else None,
        projected_high=projection.high if projection else None,
        projection_warning=projection.warning if projection else None,
        projection_missing=why_not_projected(steps) if wanted and projection is None else None,
        confirm_with=f"{question.command} {remedy.options}" if remedy else None,
        disturbance=_disturbance(steps),
        ending=ending.value if ending else "cut short",
        sentence=sentences.all(ending, confirmation),
        headline=_headline(found),
        headline_label=_headline_label(question, found, confirmation),
        confirm_needs=remedy.needs if remedy else None,
        passes=found.passes,
        confirmations=required,
        scenario=question.load.scenario.name,
        dialect=question.dialect,
        promise=[promise(text) for text in question.slos],
        certainty=certainty(steps, found, required, is_search=is_search, projection=projection),
        stop=stop.text,
        stop_kind=stop.kind,
        next_steps=next_steps(stop.kind, situation),
    )


def _is_observable(steps: Sequence[StepRecord], bottleneck: Bottleneck | None) -> bool:
    """Return whether a bottleneck can be named; without one, whether that of the latest valid step could be."""
    if bottleneck is not None:
        return bottleneck.observable
    valid = [step for step in steps if step.verdict is not Verdict.INVALID]
    return bool(valid) and is_observed(valid[-1])


def _disturbance(steps: Sequence[StepRecord]) -> str | None:
    worst = max((step.server_core_foreign or 0.0 for step in steps), default=0.0)
    if worst < DEFAULT_LIMITS.disturbed:
        return None
    return f"The machine was not quiet: other processes used up to {worst * 100:.0f} % of the server's core."


def _headline(found: Bounds) -> str:
    if found.low:
        return count(found.low) if found.fails_at is not None else f"≥ {count(found.low)}"
    return f"< {count(found.fails_at)}" if found.fails_at is not None else "?"


def _headline_label(question: Question, found: Bounds, confirmation: str) -> str:
    if not found.low and found.fails_at is None:
        return "no valid measurement"
    return f"{question.load.scenario.noun}, measured{' and ' if confirmation == 'confirmed' else ', '}{confirmation}"


@dataclass(frozen=True, slots=True)
class _Sentences:
    """The sentences of an answer."""

    question: Question
    steps: Sequence[StepRecord]
    found: Bounds
    bottleneck: Bottleneck | None
    projection: Projection | None
    generator_at: int | None
    hot_spot: HotFunction | None

    def all(self, ending: Ending | None, confirmation: str) -> str:
        """Return the whole answer: one to four short sentences."""
        if len(self.question.plan.given) == 1 and self.steps:
            return self._single_level(self.steps[-1])
        if not self.found.low:
            return self._nothing_holds()
        parts = [
            opening(ending) + self._holds(confirmation),
            self._timed(),
            self._upper_end(ending),
            self._projected(),
            _disturbance(self.steps),
        ]
        return " ".join(part for part in parts if part)

    def _users(self, users: int) -> str:
        noun = self.question.load.scenario.noun
        noun = noun.replace("users", "user", 1) if users == 1 else noun
        return f"{count(users)} {noun} ({self.question.load.details()})"

    def _within(self) -> str:
        return f" within {listing(self.question.slos)}" if self.question.slos else ""

    def _single_level(self, step: StepRecord) -> str:
        users = self._users(step.users)
        if step.verdict is Verdict.PASS:
            return f"{self.question.subject} holds {users}{self._within()}."
        if step.verdict is Verdict.FAIL:
            why = "; ".join(step.reasons)
            return f"{self.question.subject} does not hold {users}{self._within()}: {why}.{self._bottleneck()}"
        return f"No valid measurement of {users}: {'; '.join(step.reasons)}."

    def _nothing_holds(self) -> str:
        invalid = [step for step in self.steps if step.verdict is Verdict.INVALID]
        if self.found.fails_at is not None:
            failing = step_at(self.steps, self.found.fails_at, Verdict.FAIL)
            why = f": {'; '.join(failing.reasons)}" if failing else ""
            return f"{self.question.subject} does not hold {self._users(self.found.fails_at)}{why}.{self._bottleneck()}"
        if not invalid:
            return "Nothing was measured."
        why = "; ".join(invalid[-1].reasons)
        return f"No valid measurement, not even of {self._users(invalid[-1].users)}: {why}."

    def _holds(self, confirmation: str) -> str:
        at_least = "" if self.found.fails_at is not None else "at least "
        doubt = "" if confirmation == "confirmed" else f" (measured, {confirmation})"
        return f"{self.question.subject} holds {at_least}{self._users(self.found.low)}{self._within()}{doubt}."

    def _timed(self) -> str:
        """Describe whose deliveries were timed, if not those of all users."""
        step = step_at(self.steps, self.found.low, Verdict.PASS)
        if step is None or not step.timed_users or not step.ready or step.timed_users >= step.ready:
            return ""
        return f"Latency is that of {count(step.timed_users)} of the {count(step.ready)} users; the ledger counts all."

    def _upper_end(self, ending: Ending | None) -> str:
        if taken := self._taken_by_others():
            return taken
        cpu = self._cpu_at_low()
        in_brackets = f" ({cpu})" if cpu else ""
        if self.generator_at is not None and self.generator_at == self.found.high:
            at = count(self.generator_at)
            failed = self.found.fails_at
            above = f" The server failed at {count(failed)}." if failed is not None else ""
            limit = f"At {at} the load generator was the limit, not the server{in_brackets}"
            return f"{limit}; {self._generator_remedy()}.{above}"
        if self.found.fails_at is not None and self.bottleneck:
            # A missed SLO is no cause: it follows as evidence.
            symptom = "" if self.bottleneck.is_cause else f" Evidence: {self.bottleneck.evidence[0]}."
            return f"Fails at {count(self.found.fails_at)}.{self._bottleneck()}{symptom}{self._inside()}"
        if self.found.mixed_at:
            return self._inside().strip()
        if ending is Ending.NOT_REACHED:
            return f"Its limit was not reached: every level up to the cap (--users-max) passed{in_brackets}."
        if ending is Ending.BUDGET:
            return f"Its limit was not reached: the time limit passed (--max-duration){in_brackets}."
        if ending is Ending.UNMEASURABLE:
            return f"Its limit was not reached: {'; '.join(self.steps[-1].reasons)}{in_brackets}."
        return ""

    def _generator_remedy(self) -> str:
        """Return the fault or the loss that stopped the load generator, or the option that lets it continue."""
        step = step_at(self.steps, self.generator_at, Verdict.INVALID)
        reasons = zip(step.signals, step.reasons, strict=True) if step is not None else ()
        faults = [reason for signal, reason in reasons if signal in (FAULT, LOST_WORKER)]
        if faults:
            return faults[0]
        if self.question.has_remote_workers:
            return "use more generator workers (--expect-workers)"
        if self.question.situation.has_core:
            return "use more generator cores (--processes)"
        return "add machines for the load generator (--expect-workers)"

    def bottleneck_text(self) -> str:
        """Name the bottleneck, and where its CPU time goes if that was profiled; empty without one."""
        if self.bottleneck is None:
            return ""
        if self.hot_spot is not None and self.bottleneck.name == SERVER_CPU:
            return f"{SERVER_CPU}; {format_hot_spot(self.hot_spot)}"
        return self.bottleneck.text

    def _bottleneck(self) -> str:
        text = self.bottleneck_text()
        return f" Bottleneck: {text}." if text else ""

    def _inside(self) -> str:
        """Describe the levels inside the interval."""
        mixed = f" Mixed results at {count(self.found.mixed_at)}." if self.found.mixed_at else ""
        once = f" Failed once at {count(self.found.failed_once_at)}." if self.found.failed_once_at else ""
        return mixed + once

    def _taken_by_others(self) -> str:
        """Describe a search that ended below a level at which other processes used the server's core."""
        step = step_at(self.steps, self.found.invalid_at, Verdict.INVALID)
        if step is None or step.invalid_cause is not Cause.OTHERS or self.found.invalid_at != self.found.high:
            return ""
        return f"No valid measurement at {count(step.users)}: {step.reasons[0]}; repeat the run on a quiet machine."

    def _cpu_at_low(self) -> str:
        step = step_at(self.steps, self.found.low, Verdict.PASS)
        if step is None or step.server_core_share is None:
            return ""
        return f"server CPU at {count(self.found.low)} users: {describe_cpu(step)}"

    def _cores(self) -> str:
        step = step_at(self.steps, self.found.low, Verdict.PASS)
        return "cores are" if step is not None and is_limited_by_all_cores(step) else "core is"

    def _projected(self) -> str:
        if self.projection is None:
            return ""
        doubt = f"; {self.projection.warning}" if self.projection.warning else ""
        return (
            f"Projected, not measured: its {self._cores()} full at about {about(self.projection.users)} users "
            f"({_interval(self.projection)}{doubt})."
        )


def format_hot_spot(hot_spot: HotFunction) -> str:
    """Return e.g. '41 % of it in json.dumps (handlers.py:88)'."""
    place = f" ({hot_spot.file}:{hot_spot.line})" if hot_spot.file is not None else ""
    return f"{hot_spot.share * 100:.0f} % of it in {hot_spot.function}{place}"


def _interval(projection: Projection) -> str:
    """Format the 95 % interval of a projection, which may lack an end."""
    low, high = projection.low, projection.high
    if low is None:
        return "no 95 % interval" if high is None else f"95 % interval up to {about(high)}"
    return f"95 % interval {about(low)}{' or more' if high is None else f'-{about(high)}'}"
