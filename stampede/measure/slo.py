"""Service levels: `deliver_p99<250ms`, `loss<0.1%`, `errors<1%`; the one grammar of thresholds; pure.

Grammar (k6's thresholds, with units): FIGURE, `<` or `<=`, NUMBER, UNIT. A figure is a percentile of a duration
(`deliver_p99`, `resync_p95`; units us, ms, s) or a share (`loss`, `errors`, ...; unit %).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from stampede.measure.log_linear_histogram import LogLinearHistogram

DEFAULT_SLOS: Final = ("deliver_p99<250ms", "loss<0.1%", "errors<1%")

_DURATIONS: Final = {
    "deliver": "message delivery, the stricter of intended and sent clock",
    "resync": "reconnect, from drop to resynced",
}
_SHARES: Final = {
    "loss": "deliveries lost, of those expected",
    "duplicates": "deliveries duplicated, of those expected",
    "reordered": "deliveries out of order, of those expected",
    "errors": "failed operations, of all operations",
}
_UNITS_MS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_FORM: Final = re.compile(r"(?P<name>[A-Za-z_0-9.]+)\s*(?P<op><=?)\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[a-z%]*)")
_BLANKS: Final = re.compile(r"\s*(<=?)\s*|(?<=\d)\s+(?=(?:us|ms|s|%)(?:[\s,]|$))")
_PERCENTILE: Final = re.compile(r"(?P<base>[a-z]+)_p(?P<rank>\d{1,2}(?:\.\d+)?)")
_EXAMPLES: Final = ("deliver_p50", "deliver_p90", "deliver_p99", "deliver_p99.9", "resync_p95", *_SHARES)
_MOST_SAMPLES: Final = 10_000


class SloError(ValueError):
    """A text is no service level; the message is one line that says what would be."""


class Figures(Protocol):
    """What levels are judged by: counts and durations of a window."""

    @property
    def latency_intended(self) -> LogLinearHistogram: ...
    @property
    def latency_sent(self) -> LogLinearHistogram: ...
    @property
    def resync(self) -> LogLinearHistogram: ...
    @property
    def expected(self) -> int: ...
    @property
    def lost(self) -> int: ...
    @property
    def duplicated(self) -> int: ...
    @property
    def reordered(self) -> int: ...
    @property
    def operations(self) -> int: ...
    @property
    def failures(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Slo:
    """One promise about a figure of a window.

    Attributes:
        text: as written, without blanks.
        base: `deliver`, `resync`, or the name of a share.
        rank: quantile in 0..1 of a duration; None for a share.
        threshold: milliseconds for a duration, a fraction (0..1) for a share.
        inclusive: whether the threshold itself still meets the level (`<=`).
    """

    text: str
    base: str
    rank: float | None
    threshold: float
    inclusive: bool

    @property
    def figure(self) -> str:
        """The figure's name as written, e.g. `deliver_p99`."""
        return self.text.partition("<")[0]

    @property
    def is_delivery_latency(self) -> bool:
        """Whether the level bounds a percentile of the delivery latency."""
        return self.base == "deliver"

    def value(self, window: Figures) -> float | None:
        """Return the figure in the threshold's unit, or None when the window does not hold it.

        Delivery latency is the larger of the intended and the sent clock's percentile: the stricter counts.
        """
        if self.rank is not None:
            histograms = (window.latency_intended, window.latency_sent) if self.base == "deliver" else (window.resync,)
            values = [histogram.quantile(self.rank) for histogram in histograms]
            known = [value / 1e6 for value in values if value is not None]
            return max(known) if len(known) == len(values) else None
        samples = self.samples(window)
        if not samples:
            return None
        counts = {"errors": window.failures, "loss": window.lost, "duplicates": window.duplicated}
        return counts.get(self.base, window.reordered) / samples

    def samples(self, window: Figures) -> int:
        """Return how many samples a window holds of what the level is about."""
        if self.rank is None:
            return window.operations if self.base == "errors" else window.expected
        return (window.latency_sent if self.base == "deliver" else window.resync).count

    @property
    def fewest(self) -> int:
        """The samples with which a single one over the threshold does not break the level by itself."""
        share = 1 - self.rank if self.rank is not None else self.threshold
        return min(ceil(1 / share - 1e-9), _MOST_SAMPLES) if share > 0 else 1

    def is_met(self, value: float) -> bool:
        """Tell whether a value keeps the promise."""
        return value <= self.threshold if self.inclusive else value < self.threshold

    def show(self, value: float) -> str:
        """Write a value of this figure in words, e.g. `812 ms` or `0.42 %`."""
        return show_ms(value) if self.rank is not None else f"{value * 100:.3g} %"


def show_ms(value: float) -> str:
    """Write milliseconds with at most three significant digits below a second."""
    return f"{value / 1000:.2f} s" if value >= 999.5 else f"{value:.3g} ms"


def split_slos(text: str) -> list[str]:
    """Return the service levels of a text in which they stand one after the other, with blanks or commas between them.

    Blanks within a level, as in `deliver_p99 < 250 ms`, are left out.
    """
    return _BLANKS.sub(lambda found: found[1] or "", text).replace(",", " ").split()


def parse_slo(text: str, what: str = "service level") -> Slo:
    """Read one service level; `what` it is called where it was written.

    Raises:
        SloError: it does not follow the grammar, or names no known figure; the text says what would.
    """
    form = _FORM.fullmatch(text.strip())
    if form is None:
        raise SloError(f"{what} {text!r} is not of the form deliver_p99<250ms, loss<0.1% or errors<1%")
    name, unit, number = form["name"], form["unit"], float(form["number"])
    base, rank = _figure(name, what)
    compact = f"{name}{form['op']}{form['number']}{unit}"
    if rank is None:
        if unit != "%":
            raise SloError(f"{what} {text!r}: {name} is a share, give it in %, e.g. {name}<0.1%")
        return Slo(compact, base, None, number / 100, form["op"] == "<=")
    if unit not in _UNITS_MS:
        raise SloError(f"{what} {text!r}: {name} is a duration, give it in us, ms or s, e.g. {name}<250ms")
    return Slo(compact, base, rank, number * _UNITS_MS[unit], form["op"] == "<=")


def _figure(name: str, what: str) -> tuple[str, float | None]:
    if name in _SHARES:
        return name, None
    percentile = _PERCENTILE.fullmatch(name)
    if percentile and percentile["base"] in _DURATIONS and float(percentile["rank"]) > 0:
        return percentile["base"], float(percentile["rank"]) / 100
    near = difflib.get_close_matches(name, _EXAMPLES, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise SloError(f"unknown figure {name!r} in a {what}{hint} (known: {', '.join(_EXAMPLES)})")
