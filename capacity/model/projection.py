"""Project the users that fill the server's core, from the steps that the generator could measure. Pure.

The projection is an ordinary least squares line through the server's CPU over users. The interval is Fieller's: all
numbers of users at which the line's 95 % confidence band reaches a full core (Draper & Smith, Applied Regression
Analysis, 3.2). A projection is labelled as such everywhere and never replaces a measured figure.

A busier server joins more writes and wakes up less often, so the line tends to be low: with 0.5 ms of work per message
by 9 % in the median of 17 runs (from 20 % low to 5 % high). A model of that effect, cost per user over the server's
idle share, was up to 60 % high. A projection that is too low is the safer error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import correlation, linear_regression
from typing import TYPE_CHECKING, Final

from capacity.formatting import count
from capacity.judge.limits import DEFAULT_LIMITS
from capacity.model.student_t import t_quantile
from capacity.record.step import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.record.step import StepRecord

FULL_CORE: Final = 1.0
_MIN_LEVELS: Final = 3
_GOOD_FIT: Final = 0.98
_FAR: Final = 5.0
_WIDE: Final = 0.5
_FLAT: Final = 1e-12
# A worker is valid up to about nine tenths of its core; planning leaves a margin below that.
_PLANNED_GENERATOR_CPU: Final = 0.75


@dataclass(frozen=True, slots=True)
class Projection:
    """The users at which the server's core is full, by the line through the measured steps.

    Attributes:
        users: where the busiest process uses one core; `low` and `high`: the 95 % interval, None for an end that it
            does not have.
        cpu_us_per_user: slope, microseconds of server CPU per user and second; `cpu_idle`: intercept in cores.
        cpu_us_per_delivery: slope of the same fit over deliveries; None if they did not vary.
        r_squared: of the fit over users; `points`: steps used.
        generator_cores: load generator cores needed to measure at that level.
        warning: reasons for doubt, or None.
    """

    users: int
    low: int | None
    high: int | None
    cpu_us_per_user: float
    cpu_idle: float
    cpu_us_per_delivery: float | None
    r_squared: float
    points: int
    generator_cores: int | None
    warning: str | None


def project(steps: Sequence[StepRecord]) -> Projection | None:
    """Return the projection; None without one, for a reason of `why_not_projected`."""
    usable = _usable(steps)
    if len({step.users for step in usable}) < _MIN_LEVELS:
        return None
    users, cpu = _points(usable)
    slope, intercept = linear_regression(users, cpu)
    if slope <= 0:
        return None
    full_at = (FULL_CORE - intercept) / slope
    if full_at <= _most_passed(steps):
        return None  # the server batches more on a full core, and so serves users beyond it
    low, high = _fieller(users, cpu, slope=slope, intercept=intercept)
    r_squared = correlation(users, cpu) ** 2
    return Projection(
        users=round(full_at),
        low=None if low is None else max(0, round(low)),
        high=None if high is None else round(high),
        cpu_us_per_user=slope * 1e6,
        cpu_idle=intercept,
        cpu_us_per_delivery=per_delivery_us(usable),
        r_squared=r_squared,
        points=len(usable),
        generator_cores=_generator_cores(usable, full_at),
        warning=_warning(r_squared, full_at, low, high, max(users)),
    )


def why_not_projected(steps: Sequence[StepRecord]) -> str:
    """Return what the steps of a search lack, for which `project` returned None."""
    passed = [step for step in steps if step.verdict is Verdict.PASS]
    known = [step for step in passed if step.server_core_share is not None]
    if passed and not known:
        return "the server's CPU is unknown"
    levels = len({step.users for step in known})
    if levels < _MIN_LEVELS:
        with_cpu = " with known CPU of the server" if len(known) < len(passed) else ""
        number = "one level" if levels == 1 else f"{levels} levels"
        return f"{number} passed{with_cpu}, and a line needs {_MIN_LEVELS}"
    users, cpu = _points(_usable(steps))
    if linear_regression(users, cpu).slope <= 0:
        return "the server's CPU does not grow with users"
    return f"a line through the server's CPU reaches a full core below {count(_most_passed(steps))} users, which passed"


def _usable(steps: Sequence[StepRecord]) -> list[StepRecord]:
    """Return the steps for the line: undisturbed ones only, if these are enough."""
    usable = [step for step in steps if step.verdict is Verdict.PASS and step.server_core_share is not None]
    # A server that waits for its core handles more messages at once, so that each delivery costs less CPU.
    undisturbed = [step for step in usable if (step.server_core_foreign or 0.0) < DEFAULT_LIMITS.disturbing]
    return undisturbed if len({step.users for step in undisturbed}) >= _MIN_LEVELS else usable


def _points(steps: Sequence[StepRecord]) -> tuple[list[float], list[float]]:
    return [float(step.users) for step in steps], [float(step.server_core_share or 0.0) for step in steps]


def _most_passed(steps: Sequence[StepRecord]) -> int:
    return max(step.users for step in steps if step.verdict is Verdict.PASS)


def _fieller(
    users: Sequence[float], cpu: Sequence[float], *, slope: float, intercept: float
) -> tuple[float | None, float | None]:
    """Return the users between which the line's 95 % band contains a full core; None for a missing end.

    If the slope is uncertain, the band may contain a full core without end, on one side of the line's answer or both.
    """
    n = len(users)
    mean = sum(users) / n
    spread = sum((x - mean) ** 2 for x in users)
    residual = sum((y - intercept - slope * x) ** 2 for x, y in zip(users, cpu, strict=True)) / (n - 2)
    t_squared = t_quantile(n - 2) ** 2
    gap = intercept + slope * mean - FULL_CORE
    # (gap + slope d)^2 <= t^2 s^2 (1/n + d^2/spread), which is a d^2 + 2 b d + c <= 0 for the distance d from the mean.
    a = slope**2 - t_squared * residual / spread
    b = slope * gap
    c = gap**2 - t_squared * residual / n
    answer = -gap / slope  # always inside
    if abs(a) <= _FLAT * slope**2:
        end = -c / (2 * b) if b else None
        if end is None:
            return None, None
        return (mean + end, None) if b < 0 else (None, mean + end)
    root = b * b - a * c
    if a > 0:
        reach = math.sqrt(max(0.0, root))  # negative only by rounding: the answer lies between the ends
        return mean + (-b - reach) / a, mean + (-b + reach) / a
    if root <= 0:
        return None, None
    low, high = sorted(((-b - math.sqrt(root)) / a, (-b + math.sqrt(root)) / a))
    return (mean + high, None) if answer >= high else (None, mean + low)


def per_delivery_us(steps: Sequence[StepRecord]) -> float | None:
    """Return microseconds of server CPU per delivery by a line through the steps; None if deliveries did not vary."""
    rates = [float(step.delivered_per_s) for step in steps if step.delivered_per_s is not None]
    if len(rates) < len(steps) or len(set(rates)) < _MIN_LEVELS:
        return None
    return linear_regression(rates, [float(step.server_cpu or 0.0) for step in steps]).slope * 1e6


def _generator_cores(steps: Sequence[StepRecord], users: float) -> int | None:
    """Scale the generator's CPU at its highest level to the projected users."""
    top = max(steps, key=lambda step: step.users)
    used = sum(top.generator_cpu)
    # Minus a rounding error: sums of the same figures differ in the last digit between Python versions.
    return max(1, math.ceil(used / top.users * users / _PLANNED_GENERATOR_CPU - 1e-6)) if used else None


def _warning(r_squared: float, full_at: float, low: float | None, high: float | None, highest: float) -> str | None:
    reasons = []
    if r_squared < _GOOD_FIT:
        reasons.append(f"the fit is poor (R² {r_squared:.2f})")
    if high is None or low is None or high - low > _WIDE * 2 * full_at:
        reasons.append("its interval is wide")
    if full_at > _FAR * highest:
        reasons.append(f"it is {full_at / highest:.0f} times the highest measured level")
    return "; ".join(reasons) or None
