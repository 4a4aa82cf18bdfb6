"""Figures in words, as they stand in every sentence, line and table of this room."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def count(number: int | None) -> str:
    """Write a number with thin groups, e.g. '1 240'."""
    return f"{number or 0:,}".replace(",", " ")


def about(number: float) -> str:
    """Write an estimate with three significant digits: more would claim what it does not know."""
    return count(int(float(f"{number:.3g}"))) if number >= 100 else figure(number)


def figure(number: float, digits: int = 3) -> str:
    """Write a number with so many significant digits and no exponent, e.g. '0.0000769', '25.3' or '2 530'."""
    text = f"{number:.{digits}g}"
    if "e" not in text:
        return text
    return count(round(float(text))) if abs(number) >= 1 else format(Decimal(text), "f")


def show_ms(value: float) -> str:
    """Write milliseconds with at most three significant digits below a second."""
    return f"{value / 1000:.2f} s" if value >= 999.5 else f"{figure(value)} ms"


def show_bytes(value: float) -> str:
    """Write bytes in the largest binary unit that leaves at least 1."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= size:
            return f"{figure(value / size)} {unit}" if value / size < 1000 else f"{count(round(value / size))} {unit}"
    return f"{value:.0f} bytes"


def listing(parts: Sequence[str]) -> str:
    """Join with commas and a last 'and'."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def show_estimate(value: float, low: float, high: float) -> str:
    """Write a fitted value with its interval; what a fit left at its bound of 0 is 0."""
    return f"{figure(value if value > 1e-12 else 0)} ({figure(low)} to {figure(high)})"


def show_confirmation(passes: int, asked: int) -> str:
    """Say how often a level passed again, of as often as was asked."""
    again = passes - 1
    if again >= asked:
        return "confirmed"
    return f"confirmed {again} of {asked} times" if again > 0 else "not confirmed"
