"""Service levels of a capacity run; their grammar is that of the load test's thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from capacity.errors import UsageError
from stampede.measure.slo import DEFAULT_SLOS, Slo, SloError, parse_slo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stampede.measure.figures import Figures

__all__ = ["DEFAULT_SLOS", "Level", "Slo", "parse_level", "strictest_latency_ms"]


class Level(Protocol):
    """What a verdict asks of a service level."""

    @property
    def text(self) -> str: ...
    @property
    def figure(self) -> str: ...
    @property
    def threshold(self) -> float: ...
    @property
    def is_delivery_latency(self) -> bool: ...
    def value(self, window: Figures) -> float | None: ...
    def is_met(self, value: float) -> bool: ...
    def show(self, value: float) -> str: ...


def parse_level(text: str) -> Slo:
    """Read one service level.

    Raises:
        UsageError: it does not follow the grammar, or names no known figure; the text says what would.
    """
    try:
        return parse_slo(text)
    except SloError as error:
        raise UsageError(str(error)) from None


def strictest_latency_ms(levels: Sequence[Level]) -> float | None:
    """Return the smallest threshold on delivery latency in milliseconds, or None when no level bounds it."""
    return min((level.threshold for level in levels if level.is_delivery_latency), default=None)
