"""Write values as Grafana does, in the units that our dashboards use."""

from __future__ import annotations

from typing import Final

_THOUSANDS: Final = ((1e9, " Bil"), (1e6, " Mil"), (1e3, " K"))
_BINARY: Final = ((2.0**30, " GiB"), (2.0**20, " MiB"), (2.0**10, " KiB"), (1.0, " B"))
_RATES: Final = {"mps": " msg/s", "eps": " evt/s", "reqps": " req/s"}


def written(value: float, unit: str) -> str:
    """Return a value in its unit, three digits at most.

    Raises:
        KeyError: our dashboards do not use the unit.
    """
    if unit == "s":
        return _time(value)
    if unit == "percentunit":
        return f"{_short(value * 100)}%"
    if unit in ("bytes", "binBps"):
        scale, name = next(((scale, name) for scale, name in _BINARY if abs(value) >= scale), (1.0, " B"))
        return f"{_short(value / scale)}{name}{'/s' if unit == 'binBps' else ''}"
    suffix = "" if unit == "short" else _RATES[unit]
    scale, name = next(((scale, name) for scale, name in _THOUSANDS if abs(value) >= scale), (1.0, ""))
    return f"{_short(value / scale)}{name}{suffix}"


def _time(seconds: float) -> str:
    size = abs(seconds)
    if size == 0:
        return "0 s"
    if size < 1e-3:
        return f"{_short(seconds * 1e6)} µs"
    if size < 1:
        return f"{_short(seconds * 1e3)} ms"
    if size < 60:
        return f"{_short(seconds)} s"
    return f"{_short(seconds / 60)} min" if size < 3600 else f"{_short(seconds / 3600)} h"


def _short(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:.0f}"
    digits = 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") if abs(value) >= 0.1 else f"{value:.2g}"
