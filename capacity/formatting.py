"""Format figures for sentences, tables and messages."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from stampede.measure.formatting import format_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "VERDICT_SYMBOLS",
    "about",
    "count",
    "error_text",
    "figure",
    "format_bytes",
    "format_confirmation",
    "format_estimate",
    "format_ms",
    "listing",
    "money",
]  # fmt: skip

VERDICT_SYMBOLS: Final = {"pass": "●", "fail": "▼", "invalid": "□"}


def count(number: int | None) -> str:
    """Format an integer with groups of three digits, e.g. '1 240'."""
    return f"{number or 0:,}".replace(",", " ")


def about(number: float) -> str:
    """Format an estimate with three significant digits: more would suggest precision that it does not have."""
    return count(int(float(f"{number:.3g}"))) if number >= 100 else figure(number)


def figure(number: float, digits: int = 3) -> str:
    """Format a number with `digits` significant digits and no exponent, e.g. '0.0000769', '25.3' or '2 530'."""
    text = f"{number:.{digits}g}"
    if "e" not in text:
        return text
    return count(round(float(text))) if abs(number) >= 1 else format(Decimal(text), "f")


def money(amount: float) -> str:
    """Format an amount of money without a currency, e.g. '0.025', '12.50' or '4 800'."""
    if amount >= 1000:
        return count(round(amount))
    return figure(amount) if amount < 1 else f"{amount:.2f}".removesuffix(".00")


def format_bytes(value: float) -> str:
    """Format bytes in the largest binary unit that leaves at least 1."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= size:
            return f"{figure(value / size)} {unit}" if value / size < 1000 else f"{count(round(value / size))} {unit}"
    return f"{value:.0f} bytes"


def listing(parts: Sequence[str]) -> str:
    """Join with commas and a final 'and'."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def format_estimate(value: float, low: float, high: float) -> str:
    """Format a fitted value with its interval. A value that the fit left at its bound of 0 is shown as 0."""
    return f"{figure(value if value > 1e-12 else 0)} ({figure(low)} to {figure(high)})"


def format_confirmation(passes: int, required: int) -> str:
    """Describe how many of the required confirmations a level passed; `passes` includes the first pass."""
    again = passes - 1
    if again >= required:
        return "confirmed"
    return f"confirmed {again} of {required} times" if again > 0 else "not confirmed"


def error_text(error: OSError) -> str:
    """Return the message of an operating system error, without its number and in lower case."""
    return (error.strerror or str(error)).lower()
