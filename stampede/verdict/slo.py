"""Service-level objectives such as `deliver_p99<250ms`, `loss<0.1%` and `look around:p99<200ms`; pure.

The grammar is that of k6's thresholds, with units: FIGURE, `<` or `<=`, NUMBER, UNIT. A figure is a percentile of a
duration (`deliver_p99`, `resync_p95`; units us, ms, s) or a share (`loss`, `errors`, ...; unit %). Requests of one name
have the figures `NAME:p99` (any percentile), `NAME:max` and `NAME:errors`. The last colon ends the name, which may
contain spaces, but neither `<` nor a comma.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

from stampede.errors import StampedeError
from stampede.measure.formatting import format_ms

if TYPE_CHECKING:
    from stampede.measure.figures import Figures
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
    "divergent": "sampled members with another order of messages, of those compared",
    "errors": "failed operations, of all operations",
}
_LEDGER_FIELDS: Final = {"loss": "lost", "duplicates": "duplicated", "reordered": "reordered"}
_UNITS_MS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_FORM: Final = re.compile(r"(?P<name>[^<,]+?)\s*(?P<op><=?)\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[a-z%]*)")
_BLANKS: Final = re.compile(r"\s*(<=?)\s*(?:(\d+(?:\.\d+)?)\s+(us|ms|s|%)(?=[\s,]|$))?")
_ONE_SLO: Final = re.compile(r"[^<,]*<[^\s,]*|[^<,]+")
_PERCENTILE: Final = re.compile(r"p(?P<rank>\d{1,2}(?:\.\d+)?)")
_MAX: Final = "max"
_REQUEST: Final = "request"
_EXAMPLES: Final = ("deliver_p50", "deliver_p90", "deliver_p99", "deliver_p99.9", "resync_p95", *_SHARES)
_MAX_SAMPLES: Final = 10_000
_SEE: Final = "see docs/reference/load-test.md"


class SloError(StampedeError, ValueError):
    """A text is not an SLO. The message is one line that shows the expected form."""


@dataclass(frozen=True, slots=True)
class Slo:
    """One service-level objective: a bound on a figure of a window.

    Attributes:
        text: the SLO as written, without spaces.
        base: `deliver`, `resync`, `request`, or the name of a share.
        rank: quantile in 0..1 of a duration; None for a share.
        threshold: milliseconds for a duration, a fraction (0..1) for a share.
        inclusive: whether the threshold itself meets the SLO (`<=`).
        request: name of the requests that the SLO is about; None for a figure of the whole run.
    """

    text: str
    base: str
    rank: float | None
    threshold: float
    inclusive: bool
    request: str | None = None

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
            values = [histogram.quantile(self.rank) for histogram in self._durations(window)]
            known = [value / 1e6 for value in values if value is not None]
            return max(known) if known and len(known) == len(values) else None
        samples = self.samples(window)
        return self._count(window) / samples if samples else None

    def samples(self, window: Figures) -> int:
        """Return the number of samples of the figure in a window."""
        if self.rank is not None:
            durations = self._durations(window)
            return durations[-1].count if durations else 0
        if self.request is not None:
            found = window.find_request(self.request)
            return found.count if found is not None else 0
        if self.base == "errors":
            return window.operations
        return window.order.members if self.base == "divergent" else window.deliveries.expected

    def _durations(self, window: Figures) -> tuple[LogLinearHistogram, ...]:
        """Return the histograms of a duration."""
        if self.base == "deliver":
            return window.latency.intended, window.latency.sent
        times = window.times_of(self.request if self.request is not None else self.base)
        return (times,) if times is not None else ()

    def _count(self, window: Figures) -> int:
        """Return the numerator of a share."""
        if self.request is not None:
            found = window.find_request(self.request)
            return found.failures if found is not None else 0
        if self.base == "errors":
            return window.failures
        if self.base == "divergent":
            return window.order.divergent
        count: int = getattr(window.deliveries, _LEDGER_FIELDS[self.base])
        return count

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
    """Return the SLOs in a text.

    A comma ends an SLO, and so does the first space after its number and unit. Spaces around the comparison and before
    the unit are removed, as in `deliver_p99 < 250 ms`; those in the name of a request are kept.
    """
    compact = _BLANKS.sub(lambda found: "".join(part or "" for part in found.groups()), text)
    return [slo.strip() for slo in _ONE_SLO.findall(compact) if slo.strip()]


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
        raise SloError(f"{what} {text!r} is not of the form deliver_p99<250ms, loss<0.1% or errors<1%; {_SEE}")
    name, unit, number = form["name"], form["unit"], float(form["number"])
    base, rank, request = _figure(name, what)
    is_inclusive = form["op"] == "<="
    if request is not None:
        name = f"{request}:{name.rpartition(':')[2].strip()}"
    compact = f"{name}{form['op']}{form['number']}{unit}"
    if rank is None:
        if unit != "%":
            raise SloError(f"{what} {text!r}: {name} is a share, give it in %, e.g. {name}<0.1%")
        return Slo(compact, base, None, number / 100, is_inclusive, request)
    if unit not in _UNITS_MS:
        raise SloError(f"{what} {text!r}: {name} is a duration, give it in us, ms or s, e.g. {name}<250ms")
    return Slo(compact, base, rank, number * _UNITS_MS[unit], is_inclusive, request)


def _figure(name: str, what: str) -> tuple[str, float | None, str | None]:
    """Return the base of a figure, its rank, and the name of the requests that it is about."""
    if name in _SHARES:
        return name, None, None
    base, _, percentile = name.rpartition("_")
    rank = _rank(percentile)
    if base in _DURATIONS and rank is not None:
        return base, rank, None
    request, colon, figure = (part.strip() for part in name.rpartition(":"))
    if colon and request:
        return _request_figure(request, figure, what)
    near = difflib.get_close_matches(name, _EXAMPLES, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise SloError(f"unknown figure {name!r} in a {what}{hint} (known: {', '.join(_EXAMPLES)}); {_SEE}")


def _request_figure(request: str, figure: str, what: str) -> tuple[str, float | None, str]:
    if figure == "errors":
        return figure, None, request
    rank = 1.0 if figure == _MAX else _rank(figure)
    if rank is None:
        raise SloError(
            f"unknown figure {figure!r} of {request!r} in a {what} (known: p50, p95, p99, p99.9, max, errors)"
        )
    return request if request in _DURATIONS else _REQUEST, rank, request


def _rank(percentile: str) -> float | None:
    """Return the quantile of a percentile such as `p99`; None if the text is not one."""
    found = _PERCENTILE.fullmatch(percentile)
    return float(found["rank"]) / 100 or None if found else None
