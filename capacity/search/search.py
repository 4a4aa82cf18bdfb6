"""The search, as a pure function of its trials: `next_move(plan, trials, remaining_s, step_s)`.

It keeps no state, so a run resumes from its list of trials. Rules in order of precedence:

1. Ramp geometrically until a level fails, the generator is at its limit, or the cap passes. While the server's core is
   mostly idle, leave a level out. Once its load shows where the core will be full, step slightly beyond that point. A
   level that passes with a full core shows that a full core is not the limit: many servers write larger batches then.
   Each such level makes the next step longer. The nearer the latency is to its SLO, the shorter the step: latency grows
   at least in proportion to the users, and at least as fast as it did before.
2. Repeat an invalid step at once. A second one in a row ends the ramp there ("the generator is the limit"); if data is
   missing, it ends the whole search. Below a level abandoned that way, bisection may still raise "at least N"; there a
   single invalid step lowers the bound. A step that other processes invalidated is repeated a few times, and dropped
   once a step there is valid; otherwise the search continues below.
3. Repeat a fail while other processes used the server's core, and drop it if the level then passes.
4. Bisect until the bracket's relative width is small enough, first near the point where the core will be full. A level
   that both passed and failed is measured a third time. If no higher level has failed, measure one slightly above it
   first: that bounds the answer sooner. Of three verdicts, the level fails by majority (two passes overrule a first
   fail), or it is *mixed*: neither held nor failed. The next level is one width below a mixed level: bisecting there
   would spend steps that are needed to resolve noise. Mixed levels lie inside the answer's interval, so that noise
   widens the interval instead of moving it.
5. Measure the lower end again until it is confirmed, then the failing upper end equally often: one disturbance must not
   decide the answer. The last step leaves the upper end alone: a pass there would need another step to settle. If two
   levels failed once each, measure the lower one again: the answer ends at the higher one until then.
6. Keep enough of the time budget for confirmations, and for one that fails, until some level is confirmed. The ends of
   the answer are levels that were confirmed, if there are any (`confirmed_bounds`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from capacity.record.step import Verdict
from capacity.search.bracket import (
    Bounds,
    LevelState,
    Trial,
    bounds,
    confirmed_bounds,
    level_states,
    verdicts_by_level,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class Purpose(StrEnum):
    """Why a step is measured."""

    RAMP = "ramp"
    REPEAT = "repeat"
    BISECT = "bisect"
    RECHECK = "recheck"
    CONFIRM = "confirm"
    GIVEN = "given"
    BASELINE = "baseline"


class Ending(StrEnum):
    """Why a search ended; `IN_PROGRESS` if it has not."""

    CONVERGED = "converged"
    NOT_REACHED = "not reached"
    GENERATOR = "generator limited"
    UNMEASURABLE = "unmeasurable"
    BUDGET = "budget spent"
    NOTHING_HOLDS = "nothing holds"
    STEPS_DONE = "steps done"
    IN_PROGRESS = "in progress"


def opening(ending: Ending | None) -> str:
    """Return how a sentence on a search opens; `ending` is None if it was interrupted."""
    if ending is None:
        return "Interrupted; so far: "
    return "So far: " if ending is Ending.IN_PROGRESS else ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The parameters of a search.

    Attributes:
        first, largest: users of the first step, and the cap.
        factor: growth of the ramp from step to step.
        width: relative width of the bracket at which bisection ends.
        confirmations: how many more times the answer has to pass.
        grain: levels are multiples of it if the bracket is wide enough; the room size, to fill all rooms.
        given: measure exactly these levels instead of searching.
        latency_ms: the strictest SLO on delivery latency, if there is one.
    """

    first: int = 200
    largest: int = 20_000
    factor: float = 2.0
    width: float = 0.1
    confirmations: int = 2
    grain: int = 1
    given: tuple[int, ...] = ()
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Measure this level next."""

    users: int
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Finished:
    """End the search."""

    ending: Ending


_SPARE: Final = 1
"""Steps reserved for confirmations that fail."""

_MAX_TAKEN: Final = 4
"""Steps in a row that other processes may invalidate before a level is abandoned: they may stop, unlike a limit."""

_MIN_CORE_SHARE: Final = 0.2
"""Share of its core from which a server's load shows where the core will be full."""

_IDLE_SHARE: Final = 0.8
"""Share of its core that a server may use at most at a level for which the ramp leaves another one out."""

_FULL_SHARE: Final = 0.85
"""Share of its core from which a server's core counts as full."""

_FULL_GROWTH: Final = 0.5
"""Growth of the ramp, relative to the last level, for each level at which the core was full."""

_NEAR: Final = 0.7
"""Part of the way to the SLO on latency that one step of the ramp goes at most."""

_NEAR_WIDTHS: Final = 3.0
_MIN_WIDTHS: Final = 0.8
"""Growth of the ramp once the latency is half of its SLO, in widths of the bracket: `_NEAR_WIDTHS` times the part of
the SLO that is left, `_MIN_WIDTHS` at least. So a fail needs no bisection, and if noise makes the highest passing level
fail in a later step, the one before is still near.
"""

_MIN_PART: Final = 0.2
"""Part of the bracket that each further level removes at least."""


def next_move(plan: Plan, trials: Sequence[Trial], remaining_s: float, step_s: float) -> Step | Finished:
    """Return the next step, or the reason to end.

    Args:
        plan: what to search.
        trials: all steps so far, in order.
        remaining_s: remaining time; it limits a search, not the levels of `plan.given`.
        step_s: expected duration of one step, including settling.
    """
    if plan.given:
        return _next_given(plan, trials)
    affordable = int(remaining_s // step_s)
    if affordable < 1:
        return Finished(_out_of_time(plan, trials))
    if not trials:
        return Step(min(plan.first, plan.largest), Purpose.RAMP)
    found = bounds(trials)
    confirmed = confirmed_bounds(trials, plan.confirmations)
    needed = max(0, 1 + plan.confirmations - found.passes)
    may_wait = affordable > _reserved(plan, found, confirmed, needed)
    move = _after_invalid(trials, may_wait=may_wait) or _after_disturbance(trials)
    return move or _next_in_bracket(plan, trials, affordable)


def _out_of_time(plan: Plan, trials: Sequence[Trial]) -> Ending:
    found = bounds(trials)
    is_narrow = found.passes > plan.confirmations and _target(plan, found, ()) is None
    return _ending(found, is_narrow=is_narrow)


def _next_given(plan: Plan, trials: Sequence[Trial]) -> Step | Finished:
    """Measure each given level once; repeat the first invalid step at a level."""
    done, repeat_due = 0, False
    for trial in trials:
        repeat_due = trial.verdict is Verdict.INVALID and not repeat_due
        done += not repeat_due
    if repeat_due:
        return Step(trials[-1].users, Purpose.REPEAT)
    return Step(plan.given[done], Purpose.GIVEN) if done < len(plan.given) else Finished(Ending.STEPS_DONE)


def _invalid_in_a_row(trials: Sequence[Trial]) -> int:
    count = 0
    for trial in reversed(trials):
        if trial.verdict is not Verdict.INVALID:
            break
        count += 1
    return count


def _after_invalid(trials: Sequence[Trial], *, may_wait: bool) -> Step | Finished | None:
    """Repeat the first invalid step, or end if no level can be measured. None: the bracket decides.

    Args:
        trials: all steps so far.
        may_wait: whether there is time to wait until other processes leave the server's core.
    """
    in_a_row = _invalid_in_a_row(trials)
    if not in_a_row:
        return None
    last = trials[-1]
    if in_a_row >= 2 and all(trial.lacks_data for trial in trials[-2:]):
        return Finished(Ending.UNMEASURABLE)
    below_abandoned = any(users > last.users and s is LevelState.INVALID for users, s in level_states(trials).items())
    most = _MAX_TAKEN if last.is_taken_by_others and may_wait else 2
    if in_a_row < most and not below_abandoned:
        return Step(last.users, Purpose.REPEAT)
    if in_a_row >= most and not last.is_taken_by_others and not bounds(trials).low:
        return Finished(Ending.GENERATOR)
    return None


def _after_disturbance(trials: Sequence[Trial]) -> Step | None:
    last = trials[-1]
    again = len(trials) > 1 and trials[-2].users == last.users and trials[-2].verdict is Verdict.FAIL
    return Step(last.users, Purpose.REPEAT) if last.is_disturbed_fail and not again else None


def _next_in_bracket(plan: Plan, trials: Sequence[Trial], affordable: int) -> Step | Finished:
    found = bounds(trials)
    verdicts = verdicts_by_level(trials)
    needed = max(0, 1 + plan.confirmations - found.passes) if found.low else 0
    confirmed = confirmed_bounds(trials, plan.confirmations)
    target = _target(plan, found, trials)
    if affordable > _reserved(plan, found, confirmed, needed):
        if confirmed.passes > plan.confirmations and confirmed.failed_once_at is not None:
            return Step(confirmed.failed_once_at, Purpose.RECHECK)
        undecided = min((u for u, s in level_states(trials).items() if s is LevelState.UNDECIDED), default=None)
        if undecided is not None and not undecided < (target or 0) < plan.factor * undecided:
            return Step(undecided, Purpose.RECHECK)
        if target is not None:
            return Step(target, Purpose.RAMP if found.high is None else Purpose.BISECT)
    if needed and (confirmed.passes <= plan.confirmations or affordable >= needed):
        return Step(found.low, Purpose.CONFIRM)
    upper = found.fails_at if found.high != found.invalid_at else None
    if upper is not None and affordable > 1 and verdicts[upper].count(Verdict.FAIL) <= plan.confirmations:
        return Step(upper, Purpose.RECHECK)
    return Finished(_ending(found, is_narrow=target is None))


def _reserved(plan: Plan, found: Bounds, confirmed: Bounds, needed: int) -> int:
    """Return how many steps must remain after a step that does not confirm."""
    if not found.low:
        return 0
    if confirmed.passes > plan.confirmations:
        return needed
    return plan.confirmations + (_SPARE if found.high is not None else 0)


def _core_share(trials: Sequence[Trial], users: int) -> float | None:
    """Return the highest share of its core that the server used at a level, if known."""
    return max((t.core_share for t in trials if t.users == users and t.core_share is not None), default=None)


def _core_full_at(trials: Sequence[Trial], users: int) -> float | None:
    """Return the users that would fill the server's core, if its load grows as it did up to a level that held."""
    share = _core_share(trials, users)
    return users / share if share is not None and share >= _MIN_CORE_SHARE else None


def _target(plan: Plan, found: Bounds, trials: Sequence[Trial]) -> int | None:
    """Return the level that narrows the bracket most; None if it is narrow enough.

    The point where the server's core will be full is a better guess than doubling or halving, until it is full.
    """
    if found.high is None:
        return _further(plan, found.low, trials)
    full_at = _core_full_at(trials, found.low)
    is_full = (_core_share(trials, found.low) or 0) >= _FULL_SHARE
    if not found.low or (found.high - found.low) > plan.width * found.low:
        middle = (found.low + found.high) / 2 if found.low else found.high / plan.factor
        margin = _MIN_PART * (found.high - found.low)
        if found.low and found.high == found.mixed_at:
            middle = max(found.high / (1 + plan.width), found.low + margin)
        elif not is_full and full_at is not None and found.low < full_at * (1 - plan.width / 2) < found.high:
            middle = min(max(full_at * (1 - plan.width / 2), found.low + margin), found.high - margin)
        level = _between(plan, found.low, middle, found.high)
        if level is not None:
            return level
    return _above_mixed(plan, found, trials)


def _above_mixed(plan: Plan, found: Bounds, trials: Sequence[Trial]) -> int | None:
    """Return a level that moves the failing end nearer to a mixed level, or finds one above it; None if none does.

    A mixed level that missed its SLO on latency is near the limit, so the next level is only slightly above it.
    """
    if found.mixed_at is None or found.invalid_at is not None:
        return None
    if found.fails_at is None:
        highest = max((trial.users for trial in trials if trial.verdict is not Verdict.INVALID), default=found.mixed_at)
        return _further(plan, highest, trials)
    if found.fails_at - found.below_fail <= plan.width * found.below_fail:
        return None
    return _between(plan, found.below_fail, (found.below_fail + found.fails_at) / 2, found.fails_at)


def _further(plan: Plan, users: int, trials: Sequence[Trial]) -> int | None:
    """Return the next level of the ramp; None if the cap is reached."""
    if users >= plan.largest:
        return None
    share, full_at = _core_share(trials, users), _core_full_at(trials, users)
    is_idle = share is not None and share * plan.factor**2 <= _IDLE_SHARE
    level = users * (plan.factor**2 if is_idle else plan.factor)
    if full_at is not None:
        growth = max(plan.width, _FULL_GROWTH * _full_levels(trials))
        level = min(max(full_at * (1 + plan.width / 2), users * (1 + growth)), users * plan.factor**2)
    level = min(level, users * (1 + _latency_reserve(plan, trials, users)))
    return min(plan.largest, max(users + 1, _round(level, plan.grain)))


def _latency_reserve(plan: Plan, trials: Sequence[Trial], users: int) -> float:
    """Return the relative growth at which the latency of a level comes near its SLO, but at least most of a width.

    Latency grows at least in proportion to the users, and at least as fast as from the level before.
    """
    latency_ms = _latency_ms(trials, users)
    if plan.latency_ms is None or not latency_ms:
        return math.inf
    reserve = plan.latency_ms / latency_ms - 1
    before = max((t.users for t in trials if t.users < users), default=0)
    growth_ms = latency_ms - _latency_ms(trials, before)
    if before and growth_ms > 0:
        reserve = min(reserve, (plan.latency_ms - latency_ms) / growth_ms * (users - before) / users)
    reserve *= _NEAR
    left = 1 - latency_ms / plan.latency_ms
    if left <= 0.5:
        reserve = min(reserve, _NEAR_WIDTHS * left * plan.width)
    return max(_MIN_WIDTHS * plan.width, reserve)


def _latency_ms(trials: Sequence[Trial], users: int) -> float:
    """Return the highest latency that was measured at a level; 0 if there is none."""
    return max((t.latency_ms for t in trials if t.users == users and t.latency_ms is not None), default=0.0)


def _full_levels(trials: Sequence[Trial]) -> int:
    """Return at how many levels of the ramp the server's core was full."""
    return len({trial.users for trial in trials if (trial.core_share or 0) >= _FULL_SHARE})


def _between(plan: Plan, low: int, middle: float, high: int) -> int | None:
    level = _round(middle, plan.grain)
    if not low < level < high:
        level = max(int(middle), low + 1)
    return level if low < level < high else None


def _round(level: float, grain: int) -> int:
    """Round to a multiple of the grain, unless that moves the level by more than 3 %."""
    rounded = round(level / grain) * grain
    return rounded if rounded and abs(rounded - level) <= 0.03 * level else round(level)


def _ending(found: Bounds, *, is_narrow: bool) -> Ending:
    if found.high is None and is_narrow:
        return Ending.NOT_REACHED
    if found.invalid_at is not None and found.high == found.invalid_at:
        return Ending.GENERATOR
    if not is_narrow:
        return Ending.BUDGET
    return Ending.CONVERGED if found.low else Ending.NOTHING_HOLDS
