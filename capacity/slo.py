"""Service levels of a capacity run; their grammar is that of the load test's thresholds."""

from __future__ import annotations

from capacity.errors import UsageError
from metrics.levels import DEFAULT_LEVELS, LevelError, ServiceLevel, show_ms
from metrics.levels import parse_level as parse

__all__ = ["DEFAULT_LEVELS", "ServiceLevel", "parse_level", "show_ms", "strictest_latency_ms"]


def parse_level(text: str) -> ServiceLevel:
    """Read one service level.

    Raises:
        UsageError: it does not follow the grammar, or names no known figure; the text says what would.
    """
    try:
        return parse(text)
    except LevelError as error:
        raise UsageError(str(error)) from None


def strictest_latency_ms(levels: tuple[ServiceLevel, ...]) -> float | None:
    """Return the smallest threshold on delivery latency, or None when no level bounds it."""
    return min((level.threshold for level in levels if level.is_delivery_latency), default=None)
