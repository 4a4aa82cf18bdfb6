"""How sure an answer is: the interval, and how often its ends were measured. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from capacity.formatting import about, count, format_confirmation
from capacity.record.step import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.model.projection import Projection
    from capacity.record.step import StepRecord
    from capacity.search.bracket import Bounds

_TIMES: Final = {1: "once", 2: "twice"}


def times(number: int) -> str:
    """Return e.g. 'once' or '3 times'."""
    return _TIMES.get(number, f"{number} times")


def certainty(
    steps: Sequence[StepRecord], found: Bounds, required: int, *, is_search: bool, projection: Projection | None
) -> str:
    """Return how sure the answer of a run is.

    Args:
        steps: all steps.
        found: the bracket that they leave.
        required: how many more times the answer has to pass.
        is_search: whether the run searched; a single given level has no interval.
        projection: where the server's core is expected to be full.
    """
    if not found.low and found.fails_at is None:
        return "Not at all: there is no valid measurement."
    if not is_search:
        return "Measured once, at this level only."
    parts = [_interval(steps, found, required)]
    if projection is not None:
        parts.append(f"Projected, not measured: about {about(projection.users)} users{_projected(projection)}.")
    return " ".join(parts)


def _interval(steps: Sequence[StepRecord], found: Bounds, required: int) -> str:
    failed = _failed(steps, found.fails_at) if found.fails_at is not None else ""
    if not found.low:
        return f"Fewer than {count(found.fails_at)} users: {failed}."
    passed = f"{count(found.low)} passed {times(found.passes)}"
    if (confirmation := format_confirmation(found.passes, required)) != "confirmed":
        passed += f" ({confirmation})"
    if found.fails_at is None:
        return f"At least {count(found.low)} users: {passed}, and none above that has failed."
    return f"Between {count(found.low)} and {count(found.fails_at)} users: {passed}, {failed}."


def _failed(steps: Sequence[StepRecord], users: int | None) -> str:
    number = sum(step.users == users and step.verdict is Verdict.FAIL for step in steps)
    return f"{count(users)} failed {times(number)}"


def _projected(projection: Projection) -> str:
    low, high = projection.low, projection.high
    if low is None:
        return ""
    return f" ({about(low)} or more)" if high is None else f" ({about(low)} to {about(high)})"
