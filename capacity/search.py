"""The search, as a pure function of what was tried: `next_move(plan, trials, remaining_s, step_s)`.

It keeps no state of its own, so a run resumes from its list of trials. In order of precedence:

1. Ramp geometrically until a level fails or the generator gives out, or the cap passes.
2. An invalid step is repeated at once. A second one in a row ends the ramp there ('the generator is the limit'),
   or the whole search when data is missing rather than the generator at its limit. Below a level given up that
   way, bisection may still sharpen 'at least N'; there one invalid step lowers the bound.
3. A fail while others used the server's core is repeated at once, and forgotten when the level then passes.
4. Bisect until the bracket's relative width is small enough.
5. Measure both ends again: a failing upper end once, since one disturbance must not set the answer (a first fail
   is overturned by two passes), the lower end until it is confirmed. A level that has done both is measured a third
   time; then it fails by majority, or it *wavers*: too high to be held, not high enough to fail. Wavering levels
   lie inside the answer's interval, so that noise widens it instead of moving it.
6. With the budget running out, confirmations come before everything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from capacity.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence


class Purpose(StrEnum):
    """Why a step is taken."""

    RAMP = "ramp"
    REPEAT = "repeat"
    BISECT = "bisect"
    RECHECK = "recheck"
    CONFIRM = "confirm"
    GIVEN = "given"


class Ending(StrEnum):
    """Why a search ended."""

    CONVERGED = "converged"
    NOT_REACHED = "not reached"
    GENERATOR = "generator limited"
    UNMEASURABLE = "unmeasurable"
    BUDGET = "budget spent"
    NOTHING_HOLDS = "nothing holds"
    STEPS_DONE = "steps done"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to search.

    Attributes:
        first, largest: users of the first step, and the cap.
        factor: growth of the ramp from step to step.
        width: relative width of the bracket at which bisection ends.
        confirmations: further passes that the answer needs.
        grain: levels are multiples of it where the bracket is wide enough (the room size: no half rooms).
        given: exactly these levels instead of a search.
    """

    first: int = 200
    largest: int = 20_000
    factor: float = 2.0
    width: float = 0.1
    confirmations: int = 2
    grain: int = 1
    given: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """One step that was taken.

    Attributes:
        data_missing: tells an invalid step for want of data from one at the generator's limit.
        disturbed: whether others used a good part of the server's core meanwhile.
    """

    users: int
    outcome: Outcome
    data_missing: bool = False
    disturbed: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """Take a step at this level next."""

    users: int
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Finished:
    """Take no further step."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the trials say.

    Attributes:
        low: highest level that holds below every level that does not; 0 for none.
        passes: how often `low` passed.
        fails_at: lowest failing level.
        given_up_at: lowest level that could not be measured, of those above `low`.
        wavers_at: lowest level that sometimes passes and sometimes fails, of those above `low`.
        below_fail: highest level under `fails_at` that does not plainly fail.
    """

    low: int
    passes: int
    fails_at: int | None
    given_up_at: int | None
    wavers_at: int | None = None
    below_fail: int = 0

    @property
    def high(self) -> int | None:
        """The lowest level that does not hold, for whatever reason."""
        known = (self.fails_at, self.given_up_at, self.wavers_at)
        return min((level for level in known if level is not None), default=None)


class _Standing(StrEnum):
    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"
    WAVERS = "wavers"
    GIVEN_UP = "given up"


def _standing(outcomes: Sequence[Outcome]) -> _Standing:
    """Sum up the outcomes of one level, in the order they came."""
    valid = [outcome for outcome in outcomes if outcome is not Outcome.INVALID]
    fails = valid.count(Outcome.FAIL)
    passes = len(valid) - fails
    if fails and passes:
        if len(valid) == 2:
            return _Standing.UNDECIDED
        if fails == 1 and valid[0] is Outcome.FAIL:
            return _Standing.HOLDS
        return _Standing.FAILS if fails > passes + 1 else _Standing.WAVERS
    if fails:
        return _Standing.FAILS
    return _Standing.GIVEN_UP if len(outcomes) - len(valid) > passes else _Standing.HOLDS


def _by_level(trials: Sequence[Trial]) -> dict[int, list[Outcome]]:
    """Return the outcomes of each level, without disturbed fails that the next step there overturned."""
    levels: dict[int, list[Trial]] = {}
    for trial in trials:
        taken = levels.setdefault(trial.users, [])
        if trial.outcome is Outcome.PASS and taken and _is_disturbed_fail(taken[-1]):
            taken.pop()
        taken.append(trial)
    return {users: [trial.outcome for trial in taken] for users, taken in levels.items()}


def _is_disturbed_fail(trial: Trial) -> bool:
    return trial.disturbed and trial.outcome is Outcome.FAIL


def bounds(trials: Sequence[Trial]) -> Bounds:
    """Return the bracket that the trials leave."""
    levels = _by_level(trials)
    standing = {users: _standing(outcomes) for users, outcomes in levels.items()}
    fails_at = min((u for u, s in standing.items() if s is _Standing.FAILS), default=None)
    not_holding = [users for users, s in standing.items() if s is not _Standing.HOLDS]
    ceiling = min(not_holding, default=float("inf"))
    low = max((u for u, s in standing.items() if s is _Standing.HOLDS and u < ceiling), default=0)
    given_up = [u for u, s in standing.items() if s is _Standing.GIVEN_UP and u > low]
    passes = levels[low].count(Outcome.PASS) if low else 0
    wavers_at = min((u for u, s in standing.items() if s is _Standing.WAVERS and u > low), default=None)
    below = [u for u, s in standing.items() if fails_at is not None and u < fails_at and s is not _Standing.GIVEN_UP]
    return Bounds(low, passes, fails_at, min(given_up, default=None), wavers_at, max(below, default=0))


def next_move(plan: Plan, trials: Sequence[Trial], remaining_s: float, step_s: float) -> Step | Finished:
    """Return the step to take next, or the reason to stop.

    Args:
        plan: what to search.
        trials: every step so far, in order.
        remaining_s: time that is left; it bounds a search, not the levels of `plan.given`.
        step_s: expected duration of one step, its settling included.
    """
    if plan.given:
        return _next_given(plan, trials)
    affordable = int(remaining_s // step_s)
    if affordable < 1:
        return Finished(_out_of_time(plan, trials))
    if not trials:
        return Step(min(plan.first, plan.largest), Purpose.RAMP)
    return _after_invalid(trials) or _after_disturbance(trials) or _search_on(plan, trials, affordable)


def _out_of_time(plan: Plan, trials: Sequence[Trial]) -> Ending:
    found = bounds(trials)
    searched_out = found.passes > plan.confirmations and _target(plan, found) is None
    return _ending(found, searched_out=searched_out)


def _next_given(plan: Plan, trials: Sequence[Trial]) -> Step | Finished:
    """Walk the given levels, each once; the first invalid step at a level is repeated."""
    done, repeat_due = 0, False
    for trial in trials:
        repeat_due = trial.outcome is Outcome.INVALID and not repeat_due
        done += not repeat_due
    if repeat_due:
        return Step(trials[-1].users, Purpose.REPEAT)
    return Step(plan.given[done], Purpose.GIVEN) if done < len(plan.given) else Finished(Ending.STEPS_DONE)


def _invalid_in_a_row(trials: Sequence[Trial]) -> int:
    count = 0
    for trial in reversed(trials):
        if trial.outcome is not Outcome.INVALID:
            break
        count += 1
    return count


def _after_invalid(trials: Sequence[Trial]) -> Step | Finished | None:
    """Repeat the first invalid step, give up when nothing can be measured; None: the bracket decides."""
    in_a_row = _invalid_in_a_row(trials)
    if not in_a_row:
        return None
    last = trials[-1]
    if in_a_row >= 2 and all(trial.data_missing for trial in trials[-2:]):
        return Finished(Ending.UNMEASURABLE)
    standing = {users: _standing(outcomes) for users, outcomes in _by_level(trials).items()}
    sharpening = any(users > last.users and s is _Standing.GIVEN_UP for users, s in standing.items())
    if in_a_row == 1 and not sharpening:
        return Step(last.users, Purpose.REPEAT)
    if in_a_row >= 2 and not bounds(trials).low:
        return Finished(Ending.GENERATOR)
    return None


def _after_disturbance(trials: Sequence[Trial]) -> Step | None:
    last = trials[-1]
    again = len(trials) > 1 and trials[-2].users == last.users and trials[-2].outcome is Outcome.FAIL
    return Step(last.users, Purpose.REPEAT) if _is_disturbed_fail(last) and not again else None


def _search_on(plan: Plan, trials: Sequence[Trial], affordable: int) -> Step | Finished:
    found = bounds(trials)
    levels = _by_level(trials)
    undecided = [users for users, outcomes in levels.items() if _standing(outcomes) is _Standing.UNDECIDED]
    needed = max(0, 1 + plan.confirmations - found.passes) if found.low else 0
    high = found.high
    if undecided and affordable > max(needed, plan.confirmations - 1):
        return Step(min(undecided), Purpose.RECHECK)
    target = _target(plan, found)
    # A new level that passes has to be confirmed from scratch; without time for that it could not be the answer.
    if target is not None and affordable > plan.confirmations:
        return Step(target, Purpose.RAMP if high is None else Purpose.BISECT)
    upper = found.fails_at if found.wavers_at is not None else high
    if (
        target is None
        and upper is not None
        and levels[upper].count(Outcome.FAIL) <= plan.confirmations
        and affordable > max(needed, plan.confirmations)
    ):
        return Step(upper, Purpose.RECHECK)
    if needed:
        return Step(found.low, Purpose.CONFIRM)
    return Finished(_ending(found, searched_out=target is None))


def _target(plan: Plan, found: Bounds) -> int | None:
    """Return the level that would narrow the bracket most, or None when it is narrow enough."""
    if found.high is None:
        return _further(plan, found.low)
    if not found.low or (found.high - found.low) > plan.width * found.low:
        middle = (found.low + found.high) / 2 if found.low else found.high / plan.factor
        level = _between(plan, found.low, middle, found.high)
        if level is not None:
            return level
    return _above_wavering(plan, found)


def _above_wavering(plan: Plan, found: Bounds) -> int | None:
    """Return the level that would bring the plainly failing end nearer to one that wavers, or None."""
    if found.wavers_at is None or found.given_up_at is not None:
        return None
    if found.fails_at is None:
        return _further(plan, found.wavers_at)
    if found.fails_at - found.below_fail <= plan.width * found.below_fail:
        return None
    return _between(plan, found.below_fail, (found.below_fail + found.fails_at) / 2, found.fails_at)


def _further(plan: Plan, users: int) -> int | None:
    return min(plan.largest, _round(users * plan.factor, plan.grain)) if users < plan.largest else None


def _between(plan: Plan, low: int, middle: float, high: int) -> int | None:
    level = _round(middle, plan.grain)
    if not low < level < high:
        level = int(middle)
    return level if low < level < high else None


def _round(level: float, grain: int) -> int:
    """Round to the grain, unless that would move the level by more than a few percent."""
    rounded = round(level / grain) * grain
    return rounded if rounded and abs(rounded - level) <= 0.03 * level else round(level)


def _ending(found: Bounds, *, searched_out: bool) -> Ending:
    if found.high is None and searched_out:
        return Ending.NOT_REACHED
    if found.given_up_at is not None and found.high == found.given_up_at:
        return Ending.GENERATOR
    if not searched_out:
        return Ending.BUDGET
    return Ending.CONVERGED if found.low else Ending.NOTHING_HOLDS
