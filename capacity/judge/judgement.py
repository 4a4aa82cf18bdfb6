"""A verdict with its reasons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from capacity.record.step import Cause, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Reason:
    """One sentence of a judgement; `signal` names the figure behind it."""

    cause: Cause
    signal: str
    text: str


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
