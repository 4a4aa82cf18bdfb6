"""Judges the thresholds of a test; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.generator.results import DeliveryLatency, Durations, Ledger
from stampede.verdict.request_lines import request_lines, why_unmeasured
from stampede.verdict.thresholds import Threshold, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stampede.measure.figures import Figures
    from stampede.verdict.slo import Slo


def problem_in(figures: Figures, slos: Sequence[Slo], seconds: float, problems: Sequence[str]) -> str | None:
    """Return why a test fails, with the figures that explain it; None if it does not.

    Args:
        figures: of the whole test.
        slos: its thresholds. One without samples is not met.
        seconds: length of the test.
        problems: limits of the load generator that were reached; then the test fails in any case.
    """
    thresholds = [Threshold(slo) for slo in slos]
    for threshold in thresholds:
        threshold.conclude(seconds, figures)
    if problems:
        head = "invalid, the load generator was the limit: results are not usable"
    elif any(not threshold.is_met for threshold in thresholds):
        missed = sum(not threshold.is_met for threshold in thresholds)
        head = f"{missed} of {len(thresholds)} thresholds not met"
    else:
        return None
    lines = [
        *problems,
        *(describe(threshold, why_unmeasured(threshold.slo, figures)) for threshold in thresholds),
        *request_lines(figures),
        repr(Ledger.of(figures.deliveries)),
        f"latency: {DeliveryLatency(figures.latency)!r}",
        f"loop lag of the load generator: {Durations(figures.loop_lag)!r}",
    ]
    return "\n  ".join([head, *lines])
