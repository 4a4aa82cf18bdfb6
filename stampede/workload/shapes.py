"""Shapes of a test: how many users there are at which moment, and when storms strike; pure.

All fit themselves to Locust's own options: `-u` is the peak, `-t` the length. Locust lets any visible `LoadTestShape`
take over every run (2.47), so there is none here: `stampede.locust.plugin` makes one only when `--shape` asks for it.
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
    Shape.RAMP: "evenly up to the peak until the end",
    Shape.STEPS: "five equal steps up to the peak",
    Shape.SPIKE: "a fifth of the peak, all of it for the middle fifth of the time, then a fifth again",
    Shape.DOUBLE_STORM: "all at once; a storm of `--storm-share` of them after 40 % of the time, another after 60 %",
    Shape.SOAK: "up within a tenth of the time, then the peak until the end",
    Shape.DAILY: "a day in the given time: quiet at night, its peak in the evening",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A shape with its size.

    Attributes:
        peak: users.
        seconds: length of the test.
        rate: users that Locust may start or stop a second.
    """

    shape: Shape
    peak: int
    seconds: float
    rate: float

    def users(self, at: float) -> int | None:
        """Return how many users there are `at` seconds after the start; None when the test is over."""
        if at >= self.seconds:
            return None
        return max(1, math.ceil(self.peak * _level(self.shape, at / self.seconds)))

    @property
    def storms(self) -> tuple[float, ...]:
        """When storms on command strike, in seconds after the start."""
        return (0.4 * self.seconds, 0.6 * self.seconds) if self.shape is Shape.DOUBLE_STORM else ()


def _level(shape: Shape, part: float) -> float:
    """Return the share of the peak at a part (0..1) of the time."""
    if shape is Shape.RAMP:
        return part
    if shape is Shape.STEPS:
        return (math.floor(part * _STEPS) + 1) / _STEPS
    if shape is Shape.SPIKE:
        return 1.0 if 0.4 <= part < 0.6 else 0.2
    if shape is Shape.SOAK:
        return min(1.0, part / 0.1)
    if shape is Shape.DAILY:
        # From midnight, hour by hour: lowest at four, highest at eight in the evening.
        hour = math.floor(part * _HOURS)
        since_peak = (hour - 20) % _HOURS
        way = since_peak / 8 if since_peak <= 8 else (24 - since_peak) / 16
        return 0.1 + 0.45 * (1 + math.cos(math.pi * way))
    return 1.0
