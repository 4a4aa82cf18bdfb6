"""Service-level objectives such as `deliver_p99<250ms`, `loss<0.1%` and `errors<1%`; pure.

The grammar is that of k6's thresholds, with units: FIGURE, `<` or `<=`, NUMBER, UNIT. A figure is a percentile of a
duration (`deliver_p99`, `resync_p95`; units us, ms, s) or a share (`loss`, `errors`, ...; unit %).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

from stampede.measure.formatting import format_ms

if TYPE_CHECKING:
    from stampede.measure.figures import Figures

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
_LEDGER_FIELDS: Final = {"loss": "lost", "duplicates": "duplicated", "reordered": "reordered"}
_UNITS_MS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_FORM: Final = re.compile(r"(?P<name>[A-Za-z_0-9.]+)\s*(?P<op><=?)\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[a-z%]*)")
_BLANKS: Final = re.compile(r"\s*(<=?)\s*|(?<=\d)\s+(?=(?:us|ms|s|%)(?:[\s,]|$))")
_PERCENTILE: Final = re.compile(r"(?P<base>[a-z]+)_p(?P<rank>\d{1,2}(?:\.\d+)?)")
_EXAMPLES: Final = ("deliver_p50", "deliver_p90", "deliver_p99", "deliver_p99.9", "resync_p95", *_SHARES)
_MAX_SAMPLES: Final = 10_000


class SloError(ValueError):
    """A text is not an SLO. The message is one line that shows the expected form."""


@dataclass(frozen=True, slots=True)
class Slo:
    """One service-level objective: a bound on a figure of a window.

    Attributes:
        text: the SLO as written, without spaces.
        base: `deliver`, `resync`, or the name of a share.
        rank: quantile in 0..1 of a duration; None for a share.
        threshold: milliseconds for a duration, a fraction (0..1) for a share.
        inclusive: whether the threshold itself meets the SLO (`<=`).
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
        """Whether the SLO bounds a percentile of the delivery latency."""
        return self.base == "deliver"

    def value(self, window: Figures) -> float | None:
        """Return the figure in the unit of the threshold, or None when the window has no sample of it.

        Delivery latency is the larger one of the percentiles from the intended and from the actual send.
        """
        if self.rank is not None:
            latency = window.latency
            histograms = (latency.intended, latency.sent) if self.base == "deliver" else (window.resync,)
            values = [histogram.quantile(self.rank) for histogram in histograms]
            known = [value / 1e6 for value in values if value is not None]
            return max(known) if len(known) == len(values) else None
        samples = self.samples(window)
        if not samples:
            return None
        if self.base == "errors":
            return window.failures / samples
        count: int = getattr(window.deliveries, _LEDGER_FIELDS[self.base])
        return count / samples

    def samples(self, window: Figures) -> int:
        """Return the number of samples of the figure in a window."""
        if self.rank is None:
            return window.operations if self.base == "errors" else window.deliveries.expected
        return (window.latency.sent if self.base == "deliver" else window.resync).count

    @property
    def min_samples(self) -> int:
        """The number of samples from which a single one beyond the threshold does not miss the SLO."""
        share = 1 - self.rank if self.rank is not None else self.threshold
        return min(ceil(1 / share - 1e-9), _MAX_SAMPLES) if share > 0 else 1

    def is_met(self, value: float) -> bool:
        """Return whether a value meets the SLO."""
        return value <= self.threshold if self.inclusive else value < self.threshold

    def show(self, value: float) -> str:
        """Return a value of this figure as text, e.g. `812 ms` or `0.42 %`."""
        return format_ms(value) if self.rank is not None else f"{value * 100:.3g} %"


def split_slos(text: str) -> list[str]:
    """Return the SLOs in a text, which spaces or commas separate.

    Spaces within an SLO are removed, as in `deliver_p99 < 250 ms`.
    """
    return _BLANKS.sub(lambda found: found[1] or "", text).replace(",", " ").split()


def parse_slo(text: str, what: str = "service level") -> Slo:
    """Return the SLO in a text.

    Args:
        text: e.g. `deliver_p99<250ms`.
        what: name of the option in error messages.

    Raises:
        SloError: the text does not follow the grammar, or its figure is unknown.
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
