"""The scalability model of a run: the law fitted over deliveries in flight, and what it says, in words.

In flight is rate x mean latency (Little's law), which holds where as much comes as goes: steps that were working up
a backlog are left out, and so are invalid ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from capacity.formatting import about, figure, show_estimate, show_ms
from capacity.model.usl import Estimate, Usl, fit_usl
from capacity.record import Interval, Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.record import StepRecord

_STEADY: Final = 0.05
_SHORT: Final = 0.05
_CURVE_POINTS: Final = 41


def fit_model(steps: Sequence[StepRecord], strictest_ms: float | None = None) -> Model | None:
    """Return the model of the steps, or None with fewer than six that kept pace.

    Args:
        steps: as recorded.
        strictest_ms: the strictest bound on delivery latency, which the model then says something about.
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
    if step.verdict == "invalid" or not rate or not mean or not offered or abs(rate / offered - 1) > _STEADY:
        return None
    # What waits for a good part of the window was sent before it: no steady state, and not Little's law.
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
        f"fitted to {len(law.points)} steps with {figure(least)} to {figure(most)} deliveries in flight",
        "its intervals take deliveries in flight as exact; they are measured (rate x mean latency), so a little wider",
        f"residual standard error {about(law.residual)} deliveries/s ({law.residual / fastest:.1%} of the most)",
        f"efficiency from {min(law.efficiency):.2f} to {max(law.efficiency):.2f} (1 is linear)",
        _peak(law, most),
    ]
    if law.ceiling is not None:
        far = "" if law.ceiling <= fastest else ", an extrapolation"
        lines.append(f"contention alone would allow {about(law.ceiling)} deliveries/s (lambda / sigma{far})")
    reached = law.in_flight_at(strictest_ms / 1000) if strictest_ms else None
    if reached is not None and strictest_ms is not None:
        far = ", an extrapolation" if reached > most else ""
        rate = about(law.throughput(reached))
        lines.append(f"mean latency would reach {show_ms(strictest_ms)} at {rate} deliveries/s{far}")
    if law.suspicious:
        lines.append("a step lies above linear: suspect that measurement before the law")
    return lines


def _peak(law: Usl, most: float) -> str:
    if law.peak is None:
        return "no peak in range: kappa cannot be told from 0"
    far = ", an extrapolation" if law.peak > most else ""
    return f"throughput peaks with {about(law.peak)} deliveries in flight{far}"


def _shown(estimate: Estimate) -> str:
    return show_estimate(estimate.value, estimate.low, estimate.high)
