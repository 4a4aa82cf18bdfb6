"""How capacity scales with server processes, from one search for each number of them. Pure.

The throughput of a number of processes is its deliveries per second at the highest level that passed. If the load
generator was the limit, that is a lower bound: it is reported as such, and no law is fitted to it.
"""

from __future__ import annotations

from statistics import mean
from typing import TYPE_CHECKING, Final

from capacity.formatting import about, count, format_estimate, listing
from capacity.model.usl import fit_usl
from capacity.record.model import ProcessPoint, Scaling
from capacity.record.step import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.record.report import RunReport

_MIN_NUMBERS: Final = 4


def point_of(report: RunReport, workers: int, folder: str) -> ProcessPoint:
    """Return the result of the search with `workers` processes, whose report is in `folder`."""
    answer, environment = report.answer, report.environment
    held = [
        step.delivered_per_s
        for step in report.steps
        if step.verdict is Verdict.PASS and step.users == answer.supported_users and step.delivered_per_s is not None
    ]
    cores = environment.server_cores
    return ProcessPoint(
        workers=workers,
        supported_users=answer.supported_users,
        first_failing_users=answer.first_failing_users,
        confirmed=answer.confirmed,
        limited_by=answer.limited_by,
        deliveries_per_s=held,
        server_cores=cores,
        shared=cores is not None and cores == environment.generator_cores,
        cut_short=report.status == "partial",
        folder=folder,
    )


def scaling_of(points: Sequence[ProcessPoint]) -> Scaling | None:
    """Return how capacity scales over the points; None with fewer than two, or if no level passed."""
    held = sorted((point for point in points if point.deliveries_per_s), key=lambda point: point.workers)
    if len(points) < 2 or not held:
        return None
    first = held[0]
    one = mean(first.deliveries_per_s) / first.workers
    efficiency = [mean(point.deliveries_per_s) / point.workers / one for point in held]
    whole = [point for point in held if _reached(point)]
    law = fit_usl([(float(point.workers), rate) for point in whole for rate in point.deliveries_per_s])
    return Scaling(
        points=held,
        efficiency=efficiency,
        sigma=law.sigma.value if law else None,
        kappa=law.kappa.value if law else None,
        lines=[*_gains(held, efficiency), *_doubts(points), *_law(whole, efficiency, held)],
    )


def _reached(point: ProcessPoint) -> bool:
    """Return whether the search found the limit."""
    return point.first_failing_users is not None and not point.cut_short


def _gains(points: Sequence[ProcessPoint], efficiency: Sequence[float]) -> list[str]:
    base = points[0]
    lines = []
    for point, relative in zip(points[1:], efficiency[1:], strict=True):
        at_least = "" if _reached(point) else "at least "
        gain = relative * point.workers / base.workers
        before = f"{base.workers} {'holds' if base.workers == 1 else 'hold'} {count(base.supported_users)}"
        lines.append(
            f"{point.workers} processes hold {at_least}{count(point.supported_users)} users where {before}: "
            f"{gain:.2f} times the deliveries, {relative * 100:.0f} % of a linear gain"
        )
    return lines


def _doubts(points: Sequence[ProcessPoint]) -> list[str]:
    lines = []
    held = [point for point in points if point.deliveries_per_s]
    if nothing := [str(point.workers) for point in points if not point.deliveries_per_s]:
        lines.append(f"with {listing(nothing)} no level passed")
    if cut := [str(point.workers) for point in held if point.cut_short]:
        lines.append(f"with {listing(cut)} the search was interrupted: the capacity is at least that")
    if limited := [str(point.workers) for point in held if not (point.cut_short or _reached(point))]:
        lines.append(f"with {listing(limited)} the server's limit was not reached: the capacity is at least that")
    if shared := [str(point.workers) for point in held if point.shared]:
        lines.append(
            f"with {listing(shared)} the load generator had no core of its own: both sides shared all cores, so the "
            "result is the capacity of the machine, not of the server"
        )
    return lines


def _law(whole: Sequence[ProcessPoint], efficiency: Sequence[float], held: Sequence[ProcessPoint]) -> list[str]:
    """Describe the law; with too few numbers of processes, the case of contention alone."""
    law = fit_usl([(float(point.workers), rate) for point in whole for rate in point.deliveries_per_s])
    if law is not None:
        return [
            f"contention sigma {format_estimate(law.sigma.value, law.sigma.low, law.sigma.high)}",
            f"coherency kappa {format_estimate(law.kappa.value, law.kappa.low, law.kappa.high)}",
            "no peak in range" if law.peak is None else f"throughput peaks at {about(law.peak)} processes",
        ]
    lines = [f"fitting the law needs at least {_MIN_NUMBERS} numbers of processes whose limit was reached"]
    top, relative = held[-1], efficiency[-1]
    if top.workers > held[0].workers == 1 and top in whole and held[0] in whole and relative < 1:
        # X(N) / X(1) = N / (1 + sigma (N - 1)), solved for sigma.
        sigma = (1 / relative - 1) / (top.workers - 1)
        lines.append(
            f"with contention alone, sigma is {sigma:.2g}, and no number of processes reaches more than "
            f"{about(1 / sigma)} times the deliveries of one"
        )
    return lines
