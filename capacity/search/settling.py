"""Decide from two probes whether deliveries have settled. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from capacity.measure.client_window import ClientWindow

_PACE: Final = 0.1
_STABLE: Final = 0.3
_STABLE_MS: Final = 10.0
_DRAINING: Final = 1.02


def is_steady(probe: ClientWindow, p99_before: float | None, p99: float | None) -> bool:
    """Return whether deliveries keep pace and p99 (ms) is about that of the previous probe, not falling."""
    kept_up = probe.keeping_up
    if kept_up is None or p99 is None or p99_before is None or _falls(p99_before, p99):
        return False
    return abs(kept_up - 1) <= _PACE and p99 - p99_before <= max(_STABLE * p99_before, _STABLE_MS)


def is_draining(probe: ClientWindow, p99_before: float | None, p99: float | None) -> bool:
    """Return whether a backlog is shrinking: more deliveries arrive than are due, or p99 (ms) falls."""
    kept_up = probe.keeping_up
    if kept_up is not None and kept_up > _DRAINING:
        return True
    return p99 is not None and p99_before is not None and _falls(p99_before, p99)


def _falls(p99_before: float, p99: float) -> bool:
    return p99 < p99_before * (1 - _PACE) and p99 > _STABLE_MS
