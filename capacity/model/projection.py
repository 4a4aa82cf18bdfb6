"""Project the users that fill the server's core, from steps the generator could still measure.

An ordinary least squares line through the server's CPU over users; the interval is Fieller's: all numbers of users
at which the line's 95 % confidence band reaches a full core (Draper & Smith, Applied Regression Analysis, 3.2).
A projection is labelled as such wherever it is shown and never takes a measured figure's place.

A server that is busier joins more and wakes up less often, so the line tends to fall short: with 0.5 ms of work for a
message by 9 % in the median of 17 runs (20 % short to 5 % beyond). A law that says so, cost per user over the server's
idle share, came out anywhere up to 60 % beyond: too few users are the better mistake.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import correlation, linear_regression
from typing import TYPE_CHECKING, Final

from scipy.special import stdtrit

from capacity.judge.verdict import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.record import StepRecord

FULL_CORE: Final = 1.0
_LEAST_LEVELS: Final = 3
_GOOD_FIT: Final = 0.98
_FAR: Final = 5.0
_WIDE: Final = 0.5
_FLAT: Final = 1e-12
# A generator process is trusted up to about nine tenths of its core; planning leaves some air below that.
_PLANNED_GENERATOR_CPU: Final = 0.75


@dataclass(frozen=True, slots=True)
class Projection:
    """Users at which the server's core is full, by the line through the measured steps.

    Attributes:
        users: where the line reaches one core, of several processes that of the busiest; `low` and
            `high`: its 95 % interval, each None where the interval has no such end.
        cpu_us_per_user: slope, microseconds of server CPU per user and second; `cpu_idle`: intercept in cores.
        cpu_us_per_delivery: slope of the same fit over deliveries, None when they did not vary.
        r_squared: of the fit over users; `points`: steps used.
        generator_cores: cores of load generator that would be needed to measure it.
        warning: why not to trust it much, or None.
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
    """Return the projection, or None with fewer than three levels that passed, or a CPU that does not grow."""
    usable = [step for step in steps if step.verdict == "pass" and step.server_load is not None]
    # A server that has to wait for its core finds more to do at a time, so that each delivery costs it less.
    calm = [step for step in usable if (step.server_core_foreign or 0.0) < DEFAULT_LIMITS.disturbing]
    if len({step.users for step in calm}) >= _LEAST_LEVELS:
        usable = calm
    if len({step.users for step in usable}) < _LEAST_LEVELS:
        return None
    users = [float(step.users) for step in usable]
    cpu = [float(step.server_load or 0.0) for step in usable]
    slope, intercept = linear_regression(users, cpu)
    if slope <= 0:
        return None
    full_at = (FULL_CORE - intercept) / slope
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


def _fieller(
    users: Sequence[float], cpu: Sequence[float], *, slope: float, intercept: float
) -> tuple[float | None, float | None]:
    """Return the users between which the line's 95 % band holds a full core; None for an end that there is not.

    The slope may be so uncertain that the band never leaves a full core on one side of the line's own answer, or on
    either: then that side has no bound.
    """
    n = len(users)
    mean = sum(users) / n
    spread = sum((x - mean) ** 2 for x in users)
    residual = sum((y - intercept - slope * x) ** 2 for x, y in zip(users, cpu, strict=True)) / (n - 2)
    t_squared = float(stdtrit(n - 2, 0.975)) ** 2
    gap = intercept + slope * mean - FULL_CORE
    # (gap + slope d)^2 <= t^2 s^2 (1/n + d^2/spread), which is a d^2 + 2 b d + c <= 0 for the distance d from the mean.
    a = slope**2 - t_squared * residual / spread
    b = slope * gap
    c = gap**2 - t_squared * residual / n
    answer = -gap / slope  # fulfils it always
    if abs(a) <= _FLAT * slope**2:
        end = -c / (2 * b) if b else None
        if end is None:
            return None, None
        return (mean + end, None) if b < 0 else (None, mean + end)
    root = b * b - a * c
    if a > 0:
        reach = math.sqrt(max(0.0, root))  # never negative but for rounding: the answer lies between the two ends
        return mean + (-b - reach) / a, mean + (-b + reach) / a
    if root <= 0:
        return None, None
    low, high = sorted(((-b - math.sqrt(root)) / a, (-b + math.sqrt(root)) / a))
    return (mean + high, None) if answer >= high else (None, mean + low)


def per_delivery_us(steps: Sequence[StepRecord]) -> float | None:
    """Return microseconds of server CPU per delivery by a line through the steps; None when they did not vary."""
    rates = [float(step.delivered_per_s) for step in steps if step.delivered_per_s is not None]
    if len(rates) < len(steps) or len(set(rates)) < _LEAST_LEVELS:
        return None
    return linear_regression(rates, [float(step.server_cpu or 0.0) for step in steps]).slope * 1e6


def _generator_cores(steps: Sequence[StepRecord], users: float) -> int | None:
    """Scale the generator's CPU at its highest level to the projected users."""
    top = max(steps, key=lambda step: step.users)
    used = sum(top.generator_cpu)
    # Less a rounding error: sums of the same figures differ in the last digit between versions of Python.
    return max(1, math.ceil(used / top.users * users / _PLANNED_GENERATOR_CPU - 1e-6)) if used else None


def _warning(r_squared: float, full_at: float, low: float | None, high: float | None, highest: float) -> str | None:
    reasons = []
    if r_squared < _GOOD_FIT:
        reasons.append(f"the fit is poor (R² {r_squared:.2f})")
    if high is None or low is None or high - low > _WIDE * 2 * full_at:
        reasons.append("its interval is wide")
    if full_at > _FAR * highest:
        reasons.append(f"it reaches {full_at / highest:.0f} times beyond the highest measured level")
    return "; ".join(reasons) or None
