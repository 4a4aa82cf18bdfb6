"""The scalability model of a run: the law fitted over in-flight deliveries, and its description. Pure.

In-flight deliveries are rate x mean latency (Little's law). The law requires a steady state, so steps with a growing
backlog and invalid steps are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from capacity.formatting import about, figure, format_estimate, format_ms
from capacity.model.usl import Estimate, Usl, fit_usl
from capacity.record.model import Interval, Model
from capacity.record.step import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.record.step import StepRecord

_STEADY: Final = 0.05
_SHORT: Final = 0.05
_CURVE_POINTS: Final = 41


def fit_model(steps: Sequence[StepRecord], strictest_ms: float | None = None) -> Model | None:
    """Return the model of the steps; None with fewer than six that kept pace.

    Args:
        steps: as recorded.
        strictest_ms: the strictest threshold on delivery latency, for which the model predicts the rate.
    """
    points = [point for step in steps if (point := _point(step)) is not None]
    law = fit_usl(points)
    if law is None:
        return None
    return Model(
        rate=_interval(law.rate),
        sigma=_interval(law.sigma),
        kappa=_interval(law.kappa),
        residual=law.residual,
        points=points,
        efficiency=list(law.efficiency),
        peak=law.peak,
        ceiling=law.ceiling,
        curve=_curve(law),
        lines=_lines(law, strictest_ms),
    )


def _point(step: StepRecord) -> tuple[float, float] | None:
    rate, mean, offered = step.delivered_per_s, step.deliver_mean_ms, step.offered_per_s
    if step.verdict is Verdict.INVALID or not rate or not mean or not offered or abs(rate / offered - 1) > _STEADY:
        return None
    # If deliveries wait for a good part of the window, it has no steady state.
    if mean > _SHORT * (step.window_s or 0.0) * 1000:
        return None
    return rate * mean / 1000, rate


def _interval(estimate: Estimate) -> Interval:
    return Interval(estimate.value, estimate.low, estimate.high)


def _curve(law: Usl) -> list[tuple[float, float, float, float]]:
    most = max(n for n, _ in law.points)
    grid = [most * i / (_CURVE_POINTS - 1) for i in range(1, _CURVE_POINTS)]
    return [(n, law.throughput(n), *law.band(n)) for n in grid]


def _lines(law: Usl, strictest_ms: float | None) -> list[str]:
    least, most = min(n for n, _ in law.points), max(n for n, _ in law.points)
    fastest = max(x for _, x in law.points)
    lines = [
        f"lambda = {_shown(law.rate)} deliveries/s with one in flight",
        f"sigma = {_shown(law.sigma)} (contention), kappa = {_shown(law.kappa)} (coherency)",
        f"fitted to {len(law.points)} steps with {figure(least)} to {figure(most)} in-flight deliveries",
        "the intervals treat in-flight deliveries (rate x mean latency) as exact; the true ones are a little wider",
        f"residual standard error {about(law.residual)} deliveries/s ({law.residual / fastest:.1%} of the maximum)",
        f"efficiency from {min(law.efficiency):.2f} to {max(law.efficiency):.2f} (1 is linear)",
        _peak(law, most),
    ]
    if law.ceiling is not None:
        far = "" if law.ceiling <= fastest else ", an extrapolation"
        lines.append(f"contention alone allows {about(law.ceiling)} deliveries/s (lambda / sigma{far})")
    reached = law.in_flight_at(strictest_ms / 1000) if strictest_ms else None
    if reached is not None and strictest_ms is not None:
        far = ", an extrapolation" if reached > most else ""
        rate = about(law.throughput(reached))
        lines.append(f"mean latency reaches {format_ms(strictest_ms)} at {rate} deliveries/s{far}")
    if law.suspicious:
        lines.append("a step is above linear: check that measurement first")
    return lines


def _peak(law: Usl, most: float) -> str:
    if law.peak is None:
        return "no peak in range: kappa is indistinguishable from 0"
    far = ", an extrapolation" if law.peak > most else ""
    return f"throughput peaks at {about(law.peak)} in-flight deliveries{far}"


def _shown(estimate: Estimate) -> str:
    return format_estimate(estimate.value, estimate.low, estimate.high)
