"""What the trials of a search say: which levels hold, which fail, and the bracket that is left between them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from capacity.judge.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Trial:
    """One step that was taken.

    Attributes:
        data_missing: tells an invalid step for want of data from one at the generator's limit.
        others: whether an invalid step is one because others held the server's core.
        disturbed: whether others used a good part of the server's core meanwhile.
        load: share of its core that the server used, where that is known.
    """

    users: int
    outcome: Outcome
    data_missing: bool = False
    disturbed: bool = False
    others: bool = False
    load: float | None = None


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
        failed_once_at: a level below `fails_at` that failed, which was not looked at again.
    """

    low: int
    passes: int
    fails_at: int | None
    given_up_at: int | None
    wavers_at: int | None = None
    below_fail: int = 0
    failed_once_at: int | None = None

    @property
    def high(self) -> int | None:
        """The lowest level that does not hold, for whatever reason."""
        known = (self.fails_at, self.given_up_at, self.wavers_at, self.failed_once_at)
        return min((level for level in known if level is not None), default=None)


class Standing(StrEnum):
    """What the outcomes of one level come to."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"
    WAVERS = "wavers"
    GIVEN_UP = "given up"


def standing_of(outcomes: Sequence[Outcome]) -> Standing:
    """Sum up the outcomes of one level, in the order they came."""
    valid = [outcome for outcome in outcomes if outcome is not Outcome.INVALID]
    fails = valid.count(Outcome.FAIL)
    passes = len(valid) - fails
    if fails and passes:
        if len(valid) == 2:
            return Standing.UNDECIDED
        if fails == 1 and valid[0] is Outcome.FAIL:
            return Standing.HOLDS
        return Standing.FAILS if fails > passes + 1 else Standing.WAVERS
    if fails:
        return Standing.FAILS
    return Standing.GIVEN_UP if len(outcomes) - len(valid) > passes else Standing.HOLDS


def by_level(trials: Sequence[Trial]) -> dict[int, list[Outcome]]:
    """Return the outcomes of each level, without what others caused there before a step that they left alone."""
    levels: dict[int, list[Trial]] = {}
    for trial in trials:
        taken = levels.setdefault(trial.users, [])
        if trial.outcome is Outcome.PASS and taken and is_disturbed_fail(taken[-1]):
            taken.pop()
        while trial.outcome is not Outcome.INVALID and taken and taken[-1].others:
            taken.pop()
        taken.append(trial)
    return {users: [trial.outcome for trial in taken] for users, taken in levels.items()}


def is_disturbed_fail(trial: Trial) -> bool:
    """Tell whether a level failed while others used a good part of the server's core."""
    return trial.disturbed and trial.outcome is Outcome.FAIL


def standings(trials: Sequence[Trial]) -> Mapping[int, Standing]:
    """Return what each level came to."""
    return {users: standing_of(outcomes) for users, outcomes in by_level(trials).items()}


def bounds(trials: Sequence[Trial]) -> Bounds:
    """Return the bracket that the trials leave."""
    levels, standing = by_level(trials), standings(trials)
    fails_at = min((u for u, s in standing.items() if s is Standing.FAILS), default=None)
    not_holding = [users for users, s in standing.items() if s is not Standing.HOLDS]
    ceiling = min(not_holding, default=float("inf"))
    low = max((u for u, s in standing.items() if s is Standing.HOLDS and u < ceiling), default=0)
    given_up = [u for u, s in standing.items() if s is Standing.GIVEN_UP and u > low]
    passes = levels[low].count(Outcome.PASS) if low else 0
    unclear = (Standing.WAVERS, Standing.UNDECIDED)
    wavers_at = min((u for u, s in standing.items() if s in unclear and u > low), default=None)
    below = [u for u, s in standing.items() if fails_at is not None and u < fails_at and s is not Standing.GIVEN_UP]
    return Bounds(low, passes, fails_at, min(given_up, default=None), wavers_at, max(below, default=0))


def settled(trials: Sequence[Trial], confirmations: int) -> Bounds:
    """Return the bracket to answer with: each end is one that a second look confirmed, where there is such a one.

    The low end passed once, and again as often as `confirmations` says. At or below the high end there were two
    fails: of a server that gets no better with more users, a fail further down speaks against what is above it, too.
    """
    found = bounds(trials)
    levels, standing = by_level(trials), standings(trials)
    passes = {users: outcomes.count(Outcome.PASS) for users, outcomes in levels.items()}
    held = [users for users, s in standing.items() if s is Standing.HOLDS and users <= found.low]
    low = max((users for users in held if passes[users] > confirmations), default=found.low)
    failing = sorted(users for users, s in standing.items() if s is Standing.FAILS)
    fails = {users: sum(levels[u].count(Outcome.FAIL) for u in levels if u <= users) for users in failing}
    fails_at = next((users for users in failing if fails[users] > 1), found.fails_at)
    once = found.fails_at if fails_at != found.fails_at else None
    return replace(found, low=low, passes=passes.get(low, 0), fails_at=fails_at, failed_once_at=once)
