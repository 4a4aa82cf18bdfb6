"""Why a run ended where it did, for readers who do not know the terms of a search. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from capacity.formatting import count
from capacity.judge.generator_health import FAULT
from capacity.record.step import LOST_WORKER, Cause, Verdict
from capacity.search.search import Ending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.judge.bottleneck import Bottleneck
    from capacity.record.step import StepRecord
    from capacity.search.bracket import Bounds


class Kind(StrEnum):
    """Why a run ended, if not by a cause of `capacity.judge.causes`."""

    GENERATOR = "load generator"
    GENERATOR_FAULT = "load generator fault"
    LOST_WORKER = "lost worker"
    OTHERS = "other processes"
    NOT_OBSERVABLE = "not observable"
    NONE_OBSERVED = "none observed"
    MIXED = "mixed results"
    CAP = "cap"
    TIME_LIMIT = "time limit"
    MISSING = "missing data"
    GIVEN = "given levels"
    INTERRUPTED = "interrupted"
    IN_PROGRESS = "in progress"
    UNMEASURED = "nothing measured"
    STORM_FAILED = "reconnect storm"
    ALL_RECONNECTED = "all reconnected"


class Stop(NamedTuple):
    """Why a run ended.

    Attributes:
        kind: a cause's name, or a `Kind`.
        text: one sentence.
    """

    kind: str
    text: str


NOT_ENDED: Final = "The search has not ended."
_ENDINGS: Final = {
    Ending.NOT_REACHED: (Kind.CAP, "No level failed: the highest number of users to try (--users-max) was reached."),
    Ending.BUDGET: (Kind.TIME_LIMIT, "No level failed before the time limit of the search (--max-duration)."),
    Ending.STEPS_DONE: (Kind.GIVEN, "Only given levels were measured, and none of them failed."),
    Ending.CONVERGED: (Kind.MIXED, "Above that, the results vary from one measurement to the next."),
}


def stop_of(
    steps: Sequence[StepRecord], found: Bounds, ending: Ending | None, bottleneck: Bottleneck | None, text: str
) -> Stop:
    """Return why a run ended.

    Args:
        steps: all of its steps.
        found: the bracket that they leave.
        ending: why the search ended; None if the run was interrupted.
        bottleneck: of the lowest level that failed, or at which the load generator was at its limit.
        text: the bottleneck in words; empty without one.
    """
    if not steps:
        return Stop(Kind.UNMEASURED, "Nothing was measured.")
    if ending is Ending.IN_PROGRESS:
        return Stop(Kind.IN_PROGRESS, NOT_ENDED)
    blocking = _blocking_step(steps, found)
    if blocking is not None:
        return _stop_before(blocking)
    if bottleneck is not None:
        return _stop_at(found.fails_at, bottleneck, text)
    if ending is None:
        return Stop(Kind.INTERRUPTED, "The run was interrupted.")
    if found.mixed_at:
        return Stop(Kind.MIXED, f"{count(found.mixed_at)} users passed in one measurement and failed in another.")
    return Stop(*_ENDINGS.get(ending, (Kind.IN_PROGRESS, NOT_ENDED)))


def _blocking_step(steps: Sequence[StepRecord], found: Bounds) -> StepRecord | None:
    """Return the invalid step that the bracket ends at, if it does."""
    if found.invalid_at is None or found.invalid_at != found.high:
        return None
    at_level = [step for step in steps if step.users == found.invalid_at and step.verdict is Verdict.INVALID]
    return at_level[-1] if at_level else None


def _stop_before(step: StepRecord) -> Stop:
    """Return that a level could not be measured."""
    reason = f": {step.reasons[0]}" if step.reasons else ""
    if step.invalid_cause is Cause.GENERATOR:
        return Stop(_generator_kind(step), f"The load generator was the limit, not the server{reason}.")
    kind = Kind.OTHERS if step.invalid_cause is Cause.OTHERS else Kind.MISSING
    return Stop(kind, f"No valid measurement of {count(step.users)} users{reason}.")


def _generator_kind(step: StepRecord) -> Kind:
    if FAULT in step.signals:
        return Kind.GENERATOR_FAULT
    return Kind.LOST_WORKER if LOST_WORKER in step.signals else Kind.GENERATOR


def _stop_at(users: int | None, bottleneck: Bottleneck, text: str) -> Stop:
    """Return that a level failed."""
    at = f"At {count(users)} users: " if users is not None else ""
    if bottleneck.is_cause:
        return Stop(bottleneck.name, _sentence(f"{at}{text}"))
    # A missed SLO is no cause: it follows as evidence.
    evidence = f" Evidence: {bottleneck.evidence[0]}." if bottleneck.evidence else ""
    if bottleneck.observable:
        return Stop(Kind.NONE_OBSERVED, f"{_sentence(f'{at}{text}')}{evidence}")
    if bottleneck.proxy is None:
        text = "not known, since the server's CPU and memory were not observed"
    return Stop(Kind.NOT_OBSERVABLE, f"{_sentence(f'{at}{text}')}{evidence}")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
