"""Times as text; pure."""

from __future__ import annotations


def format_clock(seconds: float) -> str:
    """Return seconds since the test began as minutes and seconds, e.g. `1:05`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def format_ms(value: float) -> str:
    """Return milliseconds as text with three significant digits, e.g. `812 ms` or `1.50 s`."""
    return f"{value / 1000:.2f} s" if value >= 999.5 else f"{value:.3g} ms"


def precise_ms(ns: float | None) -> str:
    """Return nanoseconds as milliseconds for a table, e.g. `1.234 ms`; `-` for None."""
    if ns is None:
        return "-"
    return f"{ns / 1e6:.3f} ms" if ns < 1e7 else f"{ns / 1e6:.1f} ms"
