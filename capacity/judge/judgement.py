"""A verdict with its reasons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from capacity.record.step import LOST_WORKER, Cause, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Reason:
    """One sentence of a judgement; `signal` names the figure behind it, and `worker` the load generator's at fault."""

    cause: Cause
    signal: str
    text: str
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, its reasons, notes on disturbances, and the value that each SLO was compared with (None: unknown)."""

    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()
    figures: Mapping[str, float | None] = field(default_factory=dict)


def missing_window(text: str) -> Judgement:
    """Return the judgement on a window that could not be measured."""
    return Judgement(Verdict.INVALID, (Reason(Cause.MISSING, "series", text),))


def lost_worker(worker: str, text: str) -> Judgement:
    """Return the judgement on a step during which the load generator lost a worker, or got an additional one."""
    return Judgement(Verdict.INVALID, (Reason(Cause.GENERATOR, LOST_WORKER, text, worker),))
