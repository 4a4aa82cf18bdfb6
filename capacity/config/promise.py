"""Say service-level objectives in words, such as '99 of 100 messages arrive within a quarter of a second'. Pure."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

from capacity.config.slo import parse_slo
from capacity.errors import UsageError
from capacity.formatting import count, figure

if TYPE_CHECKING:
    from stampede.verdict.slo import Slo

_MAX_DENOMINATOR: Final = 1_000_000
_NAMED_TIMES: Final = {
    100: "a tenth of a second",
    250: "a quarter of a second",
    500: "half a second",
    1000: "one second",
}
"""Milliseconds in words."""
_SHARES: Final = {
    "loss": ("messages is lost", "messages are lost", "no message is lost"),
    "duplicates": ("messages arrives twice", "messages arrive twice", "no message arrives twice"),
    "reordered": ("messages arrives out of order", "messages arrive out of order", "no message arrives out of order"),
    "divergent": (
        "members sees another order of messages",
        "members see another order of messages",
        "no member sees another order of messages",
    ),
    "errors": ("requests fails", "requests fail", "no request fails"),
}
"""Of one in N, of several in N, and of none."""


def promise(text: str) -> str:
    """Return an SLO in words; the text itself for a figure that only its PromQL expression defines."""
    try:
        slo = parse_slo(text).client
    except UsageError:
        return text
    if slo is None:
        return text
    if slo.rank is None:
        return _share(slo)
    return f"{_of(slo)} {_within(slo)} {_time(slo.threshold)}"


def _of(slo: Slo) -> str:
    """Return the part of the samples that a percentile is about, such as '99 of 100 messages'."""
    named = f"“{slo.request}” requests"
    noun = {"deliver": "messages", "resync": "dropped users"}.get(slo.base, named)
    part = Fraction(slo.rank or 0).limit_denominator(_MAX_DENOMINATOR)
    if part == 1:
        return f"all {noun}"
    if part == Fraction(1, 2):
        return f"half of the {noun}"
    whole = next(power for power in (10, 100, 1000, 10_000, _MAX_DENOMINATOR) if power % part.denominator == 0)
    return f"{count(int(part * whole))} of {count(whole)} {noun}"


def _within(slo: Slo) -> str:
    return {"deliver": "arrive within", "resync": "are back within"}.get(slo.base, "take at most")


def _time(milliseconds: float) -> str:
    """Return a time in words, such as 'a quarter of a second' or '50 milliseconds'."""
    if milliseconds in _NAMED_TIMES:
        return _NAMED_TIMES[int(milliseconds)]
    if milliseconds < 100:
        return f"{figure(milliseconds)} milliseconds"
    return f"{figure(milliseconds / 1000)} seconds"


def _share(slo: Slo) -> str:
    """Return a bound on a share, such as 'fewer than 1 of 1 000 messages is lost'."""
    one, several, none = _SHARES[slo.base]
    named = f"“{slo.request}” " if slo.request is not None else ""
    part = Fraction(slo.threshold).limit_denominator(_MAX_DENOMINATOR)
    if not part:
        return none.replace("no ", f"no {named}")
    words = one if part.numerator == 1 else several
    bound = "at most" if slo.inclusive else "fewer than"
    return f"{bound} {count(part.numerator)} of {count(part.denominator)} {named}{words}"
