"""The verdict on a run in few words; pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from stampede.verdict.summary import INVALID

if TYPE_CHECKING:
    from stampede.verdict.summary import RunResult
    from stampede.verdict.thresholds import Threshold


class State(StrEnum):
    """What a verdict means for a reader at a glance."""

    GOOD = "good"
    BAD = "bad"
    INVALID = "invalid"
    OPEN = "open"


_INVALID: Final = "invalid, the results are not usable"
_MAX_NAMED: Final = 3


def verdict_words(result: RunResult) -> tuple[State, str]:
    """Return the verdict on a run: the final one, or the one so far while the run lasts."""
    return _final(result) if result.circumstances.has_ended else _so_far(result)


def _final(result: RunResult) -> tuple[State, str]:
    is_invalid = result.exit_code == INVALID
    state = State.INVALID if is_invalid else State.BAD if result.failed else State.GOOD
    return state, final_words(is_invalid=is_invalid, failed=result.failed, number=len(result.thresholds))


def final_words(*, is_invalid: bool, failed: int, number: int) -> str:
    """Return the verdict on a run that has ended; `failed` of its `number` of thresholds were not met."""
    if is_invalid:
        return _INVALID
    if failed:
        return f"failed, {failed} of {number} thresholds not met"
    return "passed, all thresholds met" if number else "valid, without thresholds"


def _so_far(result: RunResult) -> tuple[State, str]:
    thresholds = result.thresholds
    failing = [threshold for threshold in thresholds if threshold.is_failing]
    failed = [threshold for threshold in thresholds if threshold.missed]
    if result.problems:
        return State.INVALID, f"{_INVALID}; failing now: {_named(failing)}" if failing else _INVALID
    if failing:
        return State.BAD, f"failing now: {_named(failing)}"
    if failed:
        return State.BAD, f"failed: {_named(failed)}, met in the latest window"
    if not thresholds:
        return State.OPEN, "valid, without thresholds"
    judged = sum(threshold.is_measured for threshold in thresholds)
    if not judged:
        return State.OPEN, "valid, no threshold judged yet"
    if judged < len(thresholds):
        return State.OPEN, f"{judged} of {len(thresholds)} thresholds met, the others not judged yet"
    return State.GOOD, "all thresholds met"


def _named(thresholds: list[Threshold]) -> str:
    """Return the thresholds, the first few by name."""
    named = ", ".join(threshold.slo.text for threshold in thresholds[:_MAX_NAMED])
    return f"{named} and {len(thresholds) - _MAX_NAMED} more" if len(thresholds) > _MAX_NAMED else named


def threshold_words(threshold: Threshold, *, has_ended: bool) -> tuple[State, str]:
    """Return the result of a threshold, or where it stands while the run lasts."""
    if not threshold.is_measured:
        return (State.INVALID, "unmeasured") if has_ended else (State.OPEN, "not judged yet")
    if threshold.missed:
        return State.BAD, "failing now" if threshold.is_failing and not has_ended else "failed"
    return State.GOOD, "met" if has_ended else "met so far"
