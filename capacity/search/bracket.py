"""The result of a search's trials: the levels that hold, those that fail, and the bracket between them. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from capacity.record.step import Cause, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of one step.

    Attributes:
        invalid_cause: why the step is invalid.
        disturbed: whether other processes used a good part of the server's core.
        core_share: share of its core that the server used, if known.
        latency_ms: delivery latency (p99), if known.
    """

    users: int
    verdict: Verdict
    invalid_cause: Cause | None = None
    disturbed: bool = False
    core_share: float | None = None
    latency_ms: float | None = None

    @property
    def lacks_data(self) -> bool:
        """Whether the step is invalid for lack of data."""
        return self.invalid_cause is Cause.MISSING

    @property
    def is_taken_by_others(self) -> bool:
        """Whether the step is invalid because other processes used the server's core."""
        return self.invalid_cause is Cause.OTHERS

    @property
    def is_disturbed_fail(self) -> bool:
        """Whether the step failed while other processes used a good part of the server's core."""
        return self.disturbed and self.verdict is Verdict.FAIL


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bracket that the trials leave.

    Attributes:
        low: highest level that holds below every level that does not; 0 if none.
        passes: how often `low` passed.
        fails_at: lowest failing level.
        invalid_at: lowest invalid level above `low`.
        mixed_at: lowest level above `low` that both passed and failed.
        below_fail: highest level under `fails_at` that does not fail.
        failed_once_at: a level below `fails_at` that failed and was not measured again.
    """

    low: int
    passes: int
    fails_at: int | None
    invalid_at: int | None
    mixed_at: int | None = None
    below_fail: int = 0
    failed_once_at: int | None = None

    @property
    def high(self) -> int | None:
        """The lowest level that does not hold, for any reason."""
        known = (self.fails_at, self.invalid_at, self.mixed_at, self.failed_once_at)
        return min((level for level in known if level is not None), default=None)


class LevelState(StrEnum):
    """The combined result of all steps at one level."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"
    MIXED = "mixed"
    INVALID = "invalid"


def level_state(verdicts: Sequence[Verdict]) -> LevelState:
    """Combine the verdicts at one level, in order."""
    valid = [verdict for verdict in verdicts if verdict is not Verdict.INVALID]
    fails = valid.count(Verdict.FAIL)
    passes = len(valid) - fails
    if fails and passes:
        if len(valid) == 2:
            return LevelState.UNDECIDED
        if fails == 1 and valid[0] is Verdict.FAIL:
            return LevelState.HOLDS
        return LevelState.FAILS if _outnumber(fails, passes) else LevelState.MIXED
    if fails:
        return LevelState.FAILS
    return LevelState.INVALID if len(verdicts) - len(valid) > passes else LevelState.HOLDS


def _outnumber(fails: int, passes: int) -> bool:
    """Return whether a level fails although it has passed, too."""
    return fails > passes + 1


def verdicts_by_level(trials: Sequence[Trial]) -> dict[int, list[Verdict]]:
    """Return the verdicts at each level. An undisturbed result replaces those that other processes caused before it."""
    levels: dict[int, list[Trial]] = {}
    for trial in trials:
        at_level = levels.setdefault(trial.users, [])
        if trial.verdict is Verdict.PASS and at_level and at_level[-1].is_disturbed_fail:
            at_level.pop()
        while trial.verdict is not Verdict.INVALID and at_level and at_level[-1].is_taken_by_others:
            at_level.pop()
        at_level.append(trial)
    return {users: [trial.verdict for trial in at_level] for users, at_level in levels.items()}


def level_states(trials: Sequence[Trial]) -> Mapping[int, LevelState]:
    """Return the state of each level."""
    return {users: level_state(verdicts) for users, verdicts in verdicts_by_level(trials).items()}


def bounds(trials: Sequence[Trial]) -> Bounds:
    """Return the bracket that the trials leave."""
    verdicts, states = verdicts_by_level(trials), level_states(trials)
    fails_at = min((u for u, s in states.items() if s is LevelState.FAILS), default=None)
    not_holding = [users for users, s in states.items() if s is not LevelState.HOLDS]
    ceiling = min(not_holding, default=float("inf"))
    low = max((u for u, s in states.items() if s is LevelState.HOLDS and u < ceiling), default=0)
    invalid = [u for u, s in states.items() if s is LevelState.INVALID and u > low]
    passes = verdicts[low].count(Verdict.PASS) if low else 0
    unclear = (LevelState.MIXED, LevelState.UNDECIDED)
    mixed_at = min((u for u, s in states.items() if s in unclear and u > low), default=None)
    below = [u for u, s in states.items() if fails_at is not None and u < fails_at and s is not LevelState.INVALID]
    return Bounds(low, passes, fails_at, min(invalid, default=None), mixed_at, max(below, default=0))


def confirmed_bounds(trials: Sequence[Trial], confirmations: int) -> Bounds:
    """Return the bracket for the answer: each end is a level that was confirmed, if there is one.

    The low end passed once, and `confirmations` more times. At or below the high end there were two failures: a server
    does not get better with more users, so a failure at a lower level counts against the levels above it. A mixed level
    fails by that, too, if the failures up to it outnumber the passes from it on as clearly as those of a failing level.
    """
    found = bounds(trials)
    verdicts, states = verdicts_by_level(trials), level_states(trials)
    passes = {users: at_level.count(Verdict.PASS) for users, at_level in verdicts.items()}
    held = [users for users, s in states.items() if s is LevelState.HOLDS and users <= found.low]
    low = max((users for users in held if passes[users] > confirmations), default=found.low)
    fails = {users: sum(verdicts[u].count(Verdict.FAIL) for u in verdicts if u <= users) for users in verdicts}
    passes_from = {users: sum(passes[u] for u in passes if u >= users) for users in verdicts}
    mixed = {u for u, s in states.items() if s is LevelState.MIXED and _outnumber(fails[u], passes_from[u])}
    failing = sorted(u for u, s in states.items() if s is LevelState.FAILS or u in mixed)
    fails_at = next((users for users in failing if fails[users] > 1), found.fails_at)
    once = found.fails_at if (found.fails_at or math.inf) < (fails_at or 0) else None
    mixed_at = None if found.mixed_at == fails_at else found.mixed_at
    return replace(found, low=low, passes=passes.get(low, 0), fails_at=fails_at, mixed_at=mixed_at, failed_once_at=once)
