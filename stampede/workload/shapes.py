"""Load shapes: the number of users over time, and when storms strike; pure.

Every shape fits Locust's own options: `-u` is the peak, `-t` the length. In Locust 2.47 any visible `LoadTestShape`
takes over every run, so there is none here: `stampede.locust.load_shape` makes one only when `--shape` asks for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final

_STEPS: Final = 5
_HOURS: Final = 24


class Shape(Enum):
    """The shapes of `--shape`."""

    RAMP = "ramp"
    STEPS = "steps"
    SPIKE = "spike"
    DOUBLE_STORM = "double-storm"
    SOAK = "soak"
    DAILY = "daily"


DESCRIPTIONS: Final = {
    Shape.RAMP: "grows evenly and reaches the peak at the end",
    Shape.STEPS: "five equal steps up to the peak",
    Shape.SPIKE: "a fifth of the peak; the full peak during the middle fifth of the time",
    Shape.DOUBLE_STORM: "the peak at once; storms of `--storm-share` of all users after 40 % and 60 % of the time",
    Shape.SOAK: "reaches the peak after a tenth of the time and holds it",
    Shape.DAILY: "one day compressed into `-t`: lowest at four in the morning, the peak at eight in the evening",
}


@dataclass(frozen=True, slots=True)
class ShapePlan:
    """A shape with a peak and a length.

    Attributes:
        shape: the shape.
        peak: largest number of users.
        seconds: length of the test.
        rate: users that Locust may start or stop per second.
    """

    shape: Shape
    peak: int
    seconds: float
    rate: float

    def users(self, at: float) -> int | None:
        """Return the number of users `at` seconds after the start; None when the test is over."""
        if at >= self.seconds:
            return None
        return max(1, math.ceil(self.peak * _peak_fraction(self.shape, at / self.seconds)))

    @property
    def storms(self) -> tuple[float, ...]:
        """When storms strike, in seconds after the start."""
        return (0.4 * self.seconds, 0.6 * self.seconds) if self.shape is Shape.DOUBLE_STORM else ()


def _peak_fraction(shape: Shape, elapsed: float) -> float:
    """Return the fraction of the peak at a fraction of the time; both are between 0 and 1."""
    if shape is Shape.RAMP:
        return elapsed
    if shape is Shape.STEPS:
        return (math.floor(elapsed * _STEPS) + 1) / _STEPS
    if shape is Shape.SPIKE:
        return 1.0 if 0.4 <= elapsed < 0.6 else 0.2
    if shape is Shape.SOAK:
        return min(1.0, elapsed / 0.1)
    if shape is Shape.DAILY:
        # The hours of a day from midnight: lowest at 4, highest at 20.
        hour = math.floor(elapsed * _HOURS)
        since_peak = (hour - 20) % _HOURS
        descent = since_peak / 8 if since_peak <= 8 else (24 - since_peak) / 16
        return 0.1 + 0.45 * (1 + math.cos(math.pi * descent))
    return 1.0
