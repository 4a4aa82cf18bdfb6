"""The answer in one sentence: who the users are, what was measured, what gave out, and what is only projected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from capacity.formatting import about, count, listing, show_confirmation
from capacity.judge.bottleneck import Limit, limiting_signal
from capacity.judge.verdict import DEFAULT_LIMITS, FAULT, Outcome
from capacity.model.projection import Projection, project
from capacity.record import Answer
from capacity.search.bracket import Bounds, Trial, bounds, settled
from capacity.search.remedy import remedy_for
from capacity.search.search import Ending, Plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from capacity.record import StepRecord


@dataclass(frozen=True, slots=True)
class Load:
    """Who the users are.

    Attributes:
        mix: user classes and their weights; one class alone is named in words.
        room_size: users per room, or None when `rooms` fixes their number.
        message_rate: chat messages per user and second.
    """

    mix: Mapping[str, int]
    room_size: int | None
    rooms: int | None
    message_rate: float

    def noun(self) -> str:
        """Return e.g. 'chatting users'."""
        if len(self.mix) > 1:
            return "users"
        (name,) = self.mix
        behaviour = {
            "ChattingUser": "chatting",
            "TypingUser": "typing",
            "ListeningUser": "listening",
            "FileUploadUser": "uploading",
            "ReconnectStormUser": "storming",
        }.get(name, name)
        return f"{behaviour} users"

    def details(self) -> str:
        """Return e.g. 'rooms of 20, one message a second each'."""
        rooms = f"{count(self.rooms)} rooms that grow with them" if self.rooms else f"rooms of {self.room_size}"
        parts = [rooms, _pace(self.message_rate)]
        if len(self.mix) > 1:
            parts.insert(0, " : ".join(f"{weight} {name}" for name, weight in self.mix.items()))
        return ", ".join(parts)


def _pace(rate: float) -> str:
    if rate == 1:
        return "one message a second each"
    return f"{rate:g} messages a second each" if rate > 1 else f"one message each {1 / rate:g} s"


def trials_of(steps: Sequence[StepRecord]) -> list[Trial]:
    """Return what the search needs to know of recorded steps."""
    return [
        Trial(
            step.users,
            Outcome(step.verdict),
            data_missing=not (_generator_gave_out(step) or _others_took(step)),
            disturbed=(step.server_core_foreign or 0.0) >= DEFAULT_LIMITS.disturbing,
            others=_others_took(step),
            load=step.server_load,
        )
        for step in steps
    ]


def _generator_gave_out(step: StepRecord) -> bool:
    return step.verdict == Outcome.INVALID and any(s.startswith(("generator", "offered")) for s in step.signals)


def _others_took(step: StepRecord) -> bool:
    return step.verdict == Outcome.INVALID and any(signal.startswith("others") for signal in step.signals)


def _step_at(steps: Sequence[StepRecord], users: int | None, outcome: Outcome) -> StepRecord | None:
    """Return the last step at a level that came to the given outcome."""
    found = [step for step in steps if step.users == users and step.verdict == outcome]
    return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked: the load, the levels, the plan, whose server it is, how to start the run again, and its time."""

    load: Load
    levels: tuple[str, ...]
    plan: Plan
    subject: str
    command: str
    max_duration: float = 150.0


def answer_of(question: Question, steps: Sequence[StepRecord], ending: Ending | None) -> Answer:
    """Answer from the recorded steps; `ending` is None for a run that was cut short."""
    trials = trials_of(steps)
    found = bounds(trials) if question.plan.given else settled(trials, question.plan.confirmations)
    failing = _step_at(steps, found.fails_at, Outcome.FAIL)
    giving_up = _step_at(steps, found.given_up_at, Outcome.INVALID)
    generator_at = found.given_up_at if giving_up is not None and _generator_gave_out(giving_up) else None
    generator_first = generator_at is not None and (found.fails_at is None or generator_at < found.fails_at)
    decisive = giving_up if generator_first else failing
    limit = limiting_signal(decisive) if decisive else None
    projection = project(steps) if found.fails_at is None and found.low else None
    asked = question.plan.confirmations
    standing = show_confirmation(found.passes, asked)
    remedy = remedy_for(question.plan, steps, ending, projection, question.max_duration)
    return Answer(
        supported_users=found.low or None,
        first_failing_users=found.fails_at,
        generator_limited_at=generator_at,
        limited_by=limit.signal if limit else None,
        evidence=list(limit.evidence) if limit else [],
        confirmed=found.low > 0 and found.passes > asked,
        projected_users=projection.users if projection else None,
        projected_low=projection.low if projection else None,
        projected_high=projection.high if projection else None,
        projection_warning=projection.warning if projection else None,
        confirm_with=f"{question.command} {remedy.options}" if remedy else None,
        disturbance=_disturbance(steps),
        ending=ending.value if ending else "cut short",
        sentence=_Teller(question, steps, found, limit, projection, generator_at).sentence(ending, standing),
        headline=_headline(found),
        headline_label=_headline_label(question, found, standing),
        confirm_needs=remedy.needs if remedy else None,
        passes=found.passes,
        confirmations=asked,
    )


def _disturbance(steps: Sequence[StepRecord]) -> str | None:
    worst = max((step.server_core_foreign or 0.0 for step in steps), default=0.0)
    if worst < DEFAULT_LIMITS.disturbed:
        return None
    return f"The machine was not quiet: others used up to {worst * 100:.0f} % of the server's core."


def _headline(found: Bounds) -> str:
    if found.low:
        return count(found.low) if found.fails_at is not None else f"≥ {count(found.low)}"
    return f"< {count(found.fails_at)}" if found.fails_at is not None else "?"


def _headline_label(question: Question, found: Bounds, standing: str) -> str:
    if not found.low and found.fails_at is None:
        return "nothing could be measured"
    return f"{question.load.noun()}, measured{' and ' if standing == 'confirmed' else ', '}{standing}"


@dataclass(frozen=True, slots=True)
class _Teller:
    """Words for what the trials say."""

    question: Question
    steps: Sequence[StepRecord]
    found: Bounds
    limit: Limit | None
    projection: Projection | None
    generator_at: int | None

    def sentence(self, ending: Ending | None, standing: str) -> str:
        """Return the whole answer, one to four short sentences."""
        if len(self.question.plan.given) == 1 and self.steps:
            return self._one_level(self.steps[-1])
        if not self.found.low:
            return self._nothing_holds()
        opening = "Cut short; so far: " if ending is None else ""
        parts = [
            opening + self._holds(standing),
            self._upper_end(ending),
            self._projected(),
            _disturbance(self.steps),
        ]
        return " ".join(part for part in parts if part)

    def _who(self, users: int) -> str:
        noun = self.question.load.noun() if users != 1 else self.question.load.noun().removesuffix("s")
        return f"{count(users)} {noun} ({self.question.load.details()})"

    def _within(self) -> str:
        return f" within {listing(self.question.levels)}" if self.question.levels else ""

    def _one_level(self, step: StepRecord) -> str:
        who = self._who(step.users)
        if step.verdict == Outcome.PASS:
            return f"{self.question.subject} holds {who}{self._within()}."
        if step.verdict == Outcome.FAIL:
            return f"{self.question.subject} does not hold {who}{self._within()}: {'; '.join(step.reasons)}."
        return f"{who} could not be measured: {'; '.join(step.reasons)}."

    def _nothing_holds(self) -> str:
        invalid = [step for step in self.steps if step.verdict == Outcome.INVALID]
        if self.found.fails_at is not None:
            failing = _step_at(self.steps, self.found.fails_at, Outcome.FAIL)
            why = f": {'; '.join(failing.reasons)}" if failing else ""
            return f"{self.question.subject} does not hold {self._who(self.found.fails_at)}{why}."
        if not invalid:
            return "Nothing was measured."
        why = "; ".join(invalid[-1].reasons)
        return f"Nothing could be measured, not even {self._who(invalid[-1].users)}: {why}."

    def _holds(self, standing: str) -> str:
        least = "" if self.found.fails_at is not None else "at least "
        doubt = "" if standing == "confirmed" else f" (measured, {standing})"
        return f"{self.question.subject} holds {least}{self._who(self.found.low)}{self._within()}{doubt}."

    def _upper_end(self, ending: Ending | None) -> str:
        cpu = self._load_at_low()
        if taken := self._taken():
            return taken
        if self.generator_at is not None and self.generator_at == self.found.high:
            above = ""
            if self.found.fails_at is not None:
                above = f" At {count(self.found.fails_at)} the server failed."
            return (
                f"At {count(self.generator_at)} the load generator was the limit, not the server"
                f"{f' ({cpu})' if cpu else ''}; {self._generator_remedy()}.{above}"
            )
        if self.found.fails_at is not None and self.limit:
            first = self.limit.evidence[0] if self.limit.evidence else ""
            fails_at = count(self.found.fails_at)
            return f"At {fails_at} it does not; first to give out: {self.limit.signal} ({first}).{self._between()}"
        if self.found.wavers_at:
            return self._between().strip()
        if ending is Ending.NOT_REACHED:
            load = f" ({cpu})" if cpu else ""
            return f"Its limit was not reached: every level up to the cap (--users-max) passed{load}."
        if ending in (Ending.BUDGET, Ending.UNMEASURABLE):
            why = "the time was up (--max-duration)" if ending is Ending.BUDGET else "; ".join(self.steps[-1].reasons)
            return f"Its limit was not reached: {why}{f' ({cpu})' if cpu else ''}."
        return ""

    def _generator_remedy(self) -> str:
        """Say what kept the load generator from going on, or what lets it."""
        step = _step_at(self.steps, self.generator_at, Outcome.INVALID)
        found = zip(step.signals, step.reasons, strict=True) if step is not None else ()
        faults = [reason for signal, reason in found if signal == FAULT]
        return faults[0] if faults else "use more generator cores (--processes) to go on"

    def _between(self) -> str:
        """Say what the levels inside the interval did."""
        once = f" At {count(self.found.failed_once_at)} it failed once." if self.found.failed_once_at else ""
        return (f" At {count(self.found.wavers_at)} it wavers." if self.found.wavers_at else "") + once

    def _taken(self) -> str:
        """Say that the search ended below a level at which others held the core, where it did."""
        step = _step_at(self.steps, self.found.given_up_at, Outcome.INVALID)
        if step is None or not _others_took(step) or self.found.given_up_at != self.found.high:
            return ""
        return f"At {count(step.users)} it could not be told: {step.reasons[0]}; run it again on a quiet machine."

    def _load_at_low(self) -> str:
        step = _step_at(self.steps, self.found.low, Outcome.PASS)
        if step is None or step.server_load is None:
            return ""
        return f"server CPU at {count(self.found.low)} users: {step.server_load * 100:.0f} % of one core"

    def _projected(self) -> str:
        if self.projection is None:
            return ""
        doubt = f"; {self.projection.warning}" if self.projection.warning else ""
        return (
            f"Projected, not measured: its core is full at about {about(self.projection.users)} users "
            f"({_interval(self.projection)}{doubt})."
        )


def _interval(projection: Projection) -> str:
    """Write the 95 % interval of a projection, with the ends that it has."""
    low, high = projection.low, projection.high
    if low is None:
        return "no 95 % interval" if high is None else f"95 % interval up to {about(high)}"
    return f"95 % interval {about(low)}{' or more' if high is None else f'-{about(high)}'}"
