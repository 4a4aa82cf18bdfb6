"""The answer of a run with reconnect storms in plain words: how sure, why it ends there, what to do next. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from capacity.config.promise import promise
from capacity.formatting import count
from capacity.record.step import Cause, Verdict
from capacity.report.certainty import times
from capacity.report.next_steps import Situation, next_steps
from capacity.report.stop import NOT_ENDED, Kind
from capacity.search.search import Ending

if TYPE_CHECKING:
    from capacity.record.answer import Answer
    from capacity.record.storm import StormAnswer, StormRecord

_ALL: Final = 100
_KINDS: Final = {Cause.GENERATOR: Kind.GENERATOR, Cause.OTHERS: Kind.OTHERS}


def add_storm_words(answer: Answer, storm: StormAnswer | None, now: Situation) -> Answer:
    """Return the answer with the plain words of its storms, in place of those of the level that they started from.

    Args:
        answer: the answer.
        storm: the answer of the storms; None if none was measured.
        now: the situation of the run.
    """
    if storm is None:
        return answer
    kind, text = _stop(storm)
    return msgspec.structs.replace(
        answer,
        promise=[promise(level) for level in storm.levels],
        certainty=_certainty(storm),
        stop=text,
        stop_kind=kind,
        next_steps=next_steps(kind, now),
    )


def _certainty(storm: StormAnswer) -> str:
    failed = _times(storm, storm.failing_share, Verdict.FAIL)
    if storm.share is None:
        return f"Less than {storm.failing_share} %: it failed {failed}." if failed else "Not at all: no valid storm."
    confirmation = "" if storm.confirmed else f" ({storm.confirmation})"
    passed = f"{storm.share} % passed {_times(storm, storm.share, Verdict.PASS)}{confirmation}"
    if failed:
        return f"Between {storm.share} and {storm.failing_share} %: {passed}, {storm.failing_share} % failed {failed}."
    return (
        f"All {count(storm.users)} users: {passed}." if storm.share == _ALL else f"At least {storm.share} %: {passed}."
    )


def _times(storm: StormAnswer, share: int | None, verdict: Verdict) -> str:
    """Return how often a share got a verdict, in words; empty if it never did."""
    number = sum(one.share == share and one.verdict is verdict for one in storm.storms)
    return times(number) if number else ""


def _stop(storm: StormAnswer) -> tuple[Kind, str]:
    """Return why the search of the share ended, and the sentence that says so."""
    if storm.ending == Ending.IN_PROGRESS:
        return Kind.IN_PROGRESS, NOT_ENDED
    failing = [one for one in storm.storms if one.share == storm.failing_share and one.verdict is Verdict.FAIL]
    if failing:
        return Kind.STORM_FAILED, f"At {failing[-1].share} %: {'; '.join(failing[-1].reasons)}."
    if storm.share == _ALL:
        return Kind.ALL_RECONNECTED, "All users may reconnect at once."
    invalid = [one for one in storm.storms if one.verdict is Verdict.INVALID and one.share > (storm.share or 0)]
    if invalid:
        return _kind(invalid[-1]), f"No valid measurement at {invalid[-1].share} %: {'; '.join(invalid[-1].reasons)}."
    return Kind.TIME_LIMIT, "No share failed before the time limit (--max-duration)."


def _kind(storm: StormRecord) -> Kind:
    return _KINDS.get(storm.invalid_cause or Cause.MISSING, Kind.MISSING)
