"""The search, as a pure function of what was tried: `next_move(plan, trials, remaining_s, step_s)`.

It keeps no state of its own, so a run resumes from its list of trials. In order of precedence:

1. Ramp geometrically until a level fails or the generator gives out, or the cap passes; where the server's load tells
   that its core will be full before the next step, only a little beyond that.
2. An invalid step is repeated at once. A second one in a row ends the ramp there ('the generator is the limit'),
   or the whole search when data is missing rather than the generator at its limit. Below a level given up that
   way, bisection may still sharpen 'at least N'; there one invalid step lowers the bound.
   A step that others spoiled is repeated a few times, and forgotten when one there is valid; if they stay, the search
   goes on below.
3. A fail while others used the server's core is repeated at once, and forgotten when the level then passes.
4. Bisect until the bracket's relative width is small enough, first near where the core will be full. A level that has
   both passed and failed is measured a third time; then it fails by majority (a first fail is overturned by two
   passes), or it *wavers*: too high to be held, not high enough to fail. Below it the next level is one width lower,
   for to halve the way down to it would take steps that noise needs elsewhere. Wavering levels lie inside the answer's
   interval, so that noise widens it instead of moving it.
5. Measure the lower end again until it is confirmed, then the failing upper end as often, since one disturbance must
   not set the answer either.
6. Looking further never takes the time that a confirmation needs: until some level is confirmed, enough of the budget
   is kept to do that, and a step for a confirmation that fails. The answer's ends are those that a second look
   confirmed, where there are such (`settled`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from capacity.judge.verdict import Outcome
from capacity.search.bracket import Bounds, Standing, Trial, bounds, by_level, is_disturbed_fail, settled, standings

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
class Step:
    """Take a step at this level next."""

    users: int
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Finished:
    """Take no further step."""

    ending: Ending


_SPARE: Final = 1
"""Steps kept for confirmations that fail."""

_HELD_UP: Final = 4
"""Steps in a row that others spoil before a level is given up: unlike a generator's limit, they may go away."""

_TELLING_LOAD: Final = 0.35
"""Share of its core from which a server's load tells where it will be full."""

_LEAST_PART: Final = 0.2
"""Share of a bracket that each further level takes off it at least."""


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
    found = bounds(trials)
    secured = settled(trials, plan.confirmations).passes > plan.confirmations
    needed = max(0, 1 + plan.confirmations - found.passes)
    patient = affordable > _kept(plan, found, needed, secured=secured)
    return _after_invalid(trials, patient=patient) or _after_disturbance(trials) or _search_on(plan, trials, affordable)


def _out_of_time(plan: Plan, trials: Sequence[Trial]) -> Ending:
    found = bounds(trials)
    searched_out = found.passes > plan.confirmations and _target(plan, found, None) is None
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


def _after_invalid(trials: Sequence[Trial], *, patient: bool) -> Step | Finished | None:
    """Repeat the first invalid step, give up when nothing can be measured; None: the bracket decides.

    Args:
        trials: every step so far.
        patient: whether there is time to wait for others to leave the server's core.
    """
    in_a_row = _invalid_in_a_row(trials)
    if not in_a_row:
        return None
    last = trials[-1]
    if in_a_row >= 2 and all(trial.data_missing for trial in trials[-2:]):
        return Finished(Ending.UNMEASURABLE)
    sharpening = any(users > last.users and s is Standing.GIVEN_UP for users, s in standings(trials).items())
    patience = _HELD_UP if last.others and patient else 2
    if in_a_row < patience and not sharpening:
        return Step(last.users, Purpose.REPEAT)
    if in_a_row >= patience and not last.others and not bounds(trials).low:
        return Finished(Ending.GENERATOR)
    return None


def _after_disturbance(trials: Sequence[Trial]) -> Step | None:
    last = trials[-1]
    again = len(trials) > 1 and trials[-2].users == last.users and trials[-2].outcome is Outcome.FAIL
    return Step(last.users, Purpose.REPEAT) if is_disturbed_fail(last) and not again else None


def _search_on(plan: Plan, trials: Sequence[Trial], affordable: int) -> Step | Finished:
    found = bounds(trials)
    levels = by_level(trials)
    needed = max(0, 1 + plan.confirmations - found.passes) if found.low else 0
    secured = settled(trials, plan.confirmations).passes > plan.confirmations
    target = _target(plan, found, _full_at(trials, found.low))
    if affordable > _kept(plan, found, needed, secured=secured):
        undecided = [users for users, s in standings(trials).items() if s is Standing.UNDECIDED]
        if undecided:
            return Step(min(undecided), Purpose.RECHECK)
        if target is not None:
            return Step(target, Purpose.RAMP if found.high is None else Purpose.BISECT)
    if needed and (not secured or affordable >= needed):
        return Step(found.low, Purpose.CONFIRM)
    upper = found.fails_at if found.high != found.given_up_at else None
    if upper is not None and levels[upper].count(Outcome.FAIL) <= plan.confirmations:
        return Step(upper, Purpose.RECHECK)
    return Finished(_ending(found, searched_out=target is None))


def _kept(plan: Plan, found: Bounds, needed: int, *, secured: bool) -> int:
    """Return how many steps must be left after one that looks further."""
    if not found.low:
        return 0
    if secured:
        return needed
    return plan.confirmations + (_SPARE if found.high is not None else 0)


def _full_at(trials: Sequence[Trial], users: int) -> float | None:
    """Return the users that would fill the server's core if it grew with them as up to a level that held."""
    loads = [trial.load for trial in trials if trial.users == users and trial.load is not None]
    return users / max(loads) if loads and max(loads) >= _TELLING_LOAD else None


def _target(plan: Plan, found: Bounds, full_at: float | None) -> int | None:
    """Return the level that would narrow the bracket most, or None when it is narrow enough.

    Where the server's core is about to be full, that is a better guess than doubling or halving; only a guess.
    """
    if found.high is None:
        return _further(plan, found.low, full_at)
    if not found.low or (found.high - found.low) > plan.width * found.low:
        middle = (found.low + found.high) / 2 if found.low else found.high / plan.factor
        if found.low and found.high == found.wavers_at:
            middle = found.high / (1 + plan.width)
        elif found.low and full_at is not None and found.low < full_at * (1 - plan.width / 2) < found.high:
            margin = _LEAST_PART * (found.high - found.low)
            middle = min(max(full_at * (1 - plan.width / 2), found.low + margin), found.high - margin)
        level = _between(plan, found.low, middle, found.high)
        if level is not None:
            return level
    return _above_wavering(plan, found)


def _above_wavering(plan: Plan, found: Bounds) -> int | None:
    """Return the level that would bring the plainly failing end nearer to one that wavers, or None."""
    if found.wavers_at is None or found.given_up_at is not None:
        return None
    if found.fails_at is None:
        return _further(plan, found.wavers_at, None)
    if found.fails_at - found.below_fail <= plan.width * found.below_fail:
        return None
    return _between(plan, found.below_fail, (found.below_fail + found.fails_at) / 2, found.fails_at)


def _further(plan: Plan, users: int, full_at: float | None) -> int | None:
    if users >= plan.largest:
        return None
    level = users * plan.factor
    if full_at is not None:
        level = min(level, max(full_at * (1 + plan.width / 2), users * (1 + plan.width)))
    return min(plan.largest, max(users + 1, _round(level, plan.grain)))


def _between(plan: Plan, low: int, middle: float, high: int) -> int | None:
    level = _round(middle, plan.grain)
    if not low < level < high:
        level = max(int(middle), low + 1)
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
