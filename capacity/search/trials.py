"""The recorded steps of a run as trials of its search. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capacity.judge.limits import DEFAULT_LIMITS
from capacity.search.bracket import Bounds, Trial, bounds, confirmed_bounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.record.step import StepRecord, Verdict
    from capacity.search.search import Plan


def trials_of(steps: Sequence[StepRecord]) -> list[Trial]:
    """Return recorded steps as trials of the search.

    A step during which a worker of the load generator was lost is none: the search repeats it. If the repetition loses
    a worker, too, the load may be the cause, and the repetition is a trial.
    """
    return [
        Trial(
            step.users,
            step.verdict,
            step.invalid_cause,
            disturbed=(step.server_core_foreign or 0.0) >= DEFAULT_LIMITS.disturbing,
            core_share=step.server_core_share,
            latency_ms=step.deliver_p99_ms,
        )
        for before, step in zip([None, *steps], steps, strict=False)
        if not step.has_lost_worker or (before is not None and before.has_lost_worker)
    ]


def bounds_of(plan: Plan, steps: Sequence[StepRecord]) -> Bounds:
    """Return the bracket that the recorded steps leave."""
    trials = trials_of(steps)
    return bounds(trials) if plan.given else confirmed_bounds(trials, plan.confirmations)


def step_at(steps: Sequence[StepRecord], users: int | None, verdict: Verdict) -> StepRecord | None:
    """Return the last step at a level with a verdict."""
    found = [step for step in steps if step.users == users and step.verdict is verdict]
    return found[-1] if found else None
