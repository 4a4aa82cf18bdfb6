"""The geometry of a chart: paths, ticks and marks in shares of the drawing; pure.

The drawing is stretched to the width of the page, and its texts are HTML beside it: so they keep their size on a phone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from stampede.measure.formatting import format_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

WIDTH: Final = 1000
HEIGHT: Final = 100
_TIME_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800)
_MAX_TIME_TICKS: Final = 6
_LABEL_PERCENT: Final = 12.0
"""Width of the label of a mark on a phone, in percent of the drawing."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled position on an axis, in percent of its length."""

    percent: float
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A marked time.

    Attributes:
        begins_s, ends_s: seconds since the test began.
        label: shown above the drawing.
        description: one sentence.
    """

    begins_s: float
    ends_s: float
    label: str
    description: str


@dataclass(frozen=True, slots=True)
class PlacedMark:
    """A mark in the drawing: a band, and a label unless it would cover the one before it."""

    x: float
    width: float
    percent: float
    label: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Line:
    """A series of values over time; None is a gap."""

    name: str
    values: Sequence[tuple[float, float | None]]

    @property
    def known(self) -> list[float]:
        """The values without the gaps."""
        return [value for _, value in self.values if value is not None]

    def parts(self) -> Iterator[list[tuple[float, float]]]:
        """Yield the values between the gaps."""
        for is_gap, points in groupby(self.values, key=lambda point: point[1] is None):
            if not is_gap:
                yield [(seconds, value) for seconds, value in points if value is not None]


@dataclass(frozen=True, slots=True)
class Scale:
    """The axes: time from `begins_s` to `ends_s`, and values from 0 to `top`."""

    begins_s: float
    ends_s: float
    top: float

    def x(self, seconds: float) -> float:
        """Return the horizontal position of a moment in the drawing."""
        share = (seconds - self.begins_s) / (self.ends_s - self.begins_s)
        return round(WIDTH * min(1.0, max(0.0, share)), 2)

    def y(self, value: float) -> float:
        """Return the vertical position of a value in the drawing."""
        return round(HEIGHT * (1 - value / self.top), 2)

    def path(self, line: Line) -> str:
        """Return a line as the path of an SVG; values between two gaps are left out."""
        return "".join(
            f"M{self._position(part[0])}" + "".join(f"L{self._position(point)}" for point in part[1:])
            for part in line.parts()
            if len(part) > 1
        )

    def dots(self, line: Line) -> str:
        """Return the values between two gaps as the path of an SVG: with round ends, each is a dot."""
        return "".join(f"M{self._position(part[0])}h0" for part in line.parts() if len(part) == 1)

    def _position(self, point: tuple[float, float]) -> str:
        return f"{self.x(point[0]):g} {self.y(point[1]):g}"

    def times(self) -> list[Tick]:
        """Return the ticks of the time axis."""
        span = self.ends_s - self.begins_s
        step = next((step for step in _TIME_STEPS if span / step <= _MAX_TIME_TICKS), _TIME_STEPS[-1])
        first = math.ceil(self.begins_s / step)
        seconds = [step * number for number in range(first, math.floor(self.ends_s / step) + 1)]
        return [Tick(self.x(at) * 100 / WIDTH, format_clock(at)) for at in seconds]

    def marks(self, marks: Iterable[Mark]) -> list[PlacedMark]:
        """Return the marks in the drawing, in order of time."""
        placed: list[PlacedMark] = []
        free = -math.inf
        for mark in sorted(marks, key=lambda mark: mark.begins_s):
            x, end = self.x(mark.begins_s), self.x(mark.ends_s)
            percent = x * 100 / WIDTH
            is_free = percent >= free
            placed.append(PlacedMark(x, round(end - x, 2), percent, mark.label if is_free else "", mark))
            free = percent + _LABEL_PERCENT if is_free else free
        return placed


def value_scale(highest: float, show: Callable[[float], str], *, whole: bool = False) -> tuple[float, list[Tick]]:
    """Return the top of a value axis that begins at 0, and its ticks.

    Args:
        highest: value to show.
        show: returns a value as text.
        whole: whether a tick between two integers makes no sense.
    """
    rough = (highest or 1.0) / 3
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    if whole:
        step = max(1.0, step)
    number = max(1, math.ceil(highest / step - 1e-9))
    return step * number, [Tick(100 * index / number, show(index * step)) for index in range(number + 1)]
