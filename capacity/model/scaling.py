"""What more server processes bring, from one search for each number of them. Pure.

Throughput of a number of processes is the deliveries per second at the highest level that it held. Where the load
generator gave out first that is only a lower bound: it is told, and no law is fitted to it.
"""

from __future__ import annotations

from statistics import mean
from typing import TYPE_CHECKING, Final

from capacity.formatting import about, count, listing, show_estimate
from capacity.model.usl import fit_usl
from capacity.record import ProcessPoint, Scaling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.record import Report

_LEAST_NUMBERS: Final = 4


def point_of(report: Report, workers: int, folder: str) -> ProcessPoint:
    """Return what the search with so many processes came to; its whole report lies in `folder`."""
    answer, environment = report.answer, report.environment
    held = [
        step.delivered_per_s
        for step in report.steps
        if step.verdict == "pass" and step.users == answer.supported_users and step.delivered_per_s is not None
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
    """Return what the points say together, or None for fewer than two, or where none held anything."""
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
    """Tell whether the limit of so many processes was found."""
    return point.first_failing_users is not None and not point.cut_short


def _gains(points: Sequence[ProcessPoint], efficiency: Sequence[float]) -> list[str]:
    base = points[0]
    lines = []
    for point, share in zip(points[1:], efficiency[1:], strict=True):
        least = "" if _reached(point) else "at least "
        gain = share * point.workers / base.workers
        before = f"{base.workers} {'holds' if base.workers == 1 else 'hold'} {count(base.supported_users)}"
        lines.append(
            f"{point.workers} processes hold {least}{count(point.supported_users)} users where {before}: "
            f"{gain:.2f} times the deliveries, {share * 100:.0f} % of a linear gain"
        )
    return lines


def _doubts(points: Sequence[ProcessPoint]) -> list[str]:
    lines = []
    held = [point for point in points if point.deliveries_per_s]
    if nothing := [str(point.workers) for point in points if not point.deliveries_per_s]:
        lines.append(f"with {listing(nothing)} nothing was measured that held")
    if cut := [str(point.workers) for point in held if point.cut_short]:
        lines.append(f"with {listing(cut)} the search was cut short: it holds at least that")
    if limited := [str(point.workers) for point in held if not (point.cut_short or _reached(point))]:
        lines.append(f"with {listing(limited)} the server's limit was not reached: it holds at least that")
    if shared := [str(point.workers) for point in held if point.shared]:
        lines.append(
            f"with {listing(shared)} there was no core for the load generator alone: both sides shared all cores, so "
            "this is what the machine takes, not what the processes could"
        )
    return lines


def _law(whole: Sequence[ProcessPoint], efficiency: Sequence[float], held: Sequence[ProcessPoint]) -> list[str]:
    """Tell the law in words; with too few numbers of processes, what contention alone would make of them."""
    law = fit_usl([(float(point.workers), rate) for point in whole for rate in point.deliveries_per_s])
    if law is not None:
        return [
            f"contention sigma {show_estimate(law.sigma.value, law.sigma.low, law.sigma.high)}",
            f"coherency kappa {show_estimate(law.kappa.value, law.kappa.low, law.kappa.high)}",
            "no peak in range" if law.peak is None else f"the law has its peak at {about(law.peak)} processes",
        ]
    lines = [f"a law needs at least {_LEAST_NUMBERS} numbers of processes whose limit was reached"]
    top, share = held[-1], efficiency[-1]
    if top.workers > held[0].workers == 1 and top in whole and held[0] in whole and share < 1:
        # X(N) / X(1) = N / (1 + sigma (N - 1)), solved for sigma.
        sigma = (1 / share - 1) / (top.workers - 1)
        lines.append(
            f"if contention were all that holds it back, sigma would be {sigma:.2g}, and no number of processes would "
            f"bring more than {about(1 / sigma)} times the deliveries of one"
        )
    return lines
