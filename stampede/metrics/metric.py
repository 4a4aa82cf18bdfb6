"""One row of a catalog of metrics, from which collectors, documents, rules and dashboards take names and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

_UNITS: Final = ("seconds", "bytes")

Kind = Literal["gauge", "counter", "histogram"]


@dataclass(frozen=True, slots=True)
class Label:
    """A label and its known values; none for values that come from outside, such as versions."""

    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the catalog.

    Attributes:
        name: name in queries; for a histogram without `_bucket`, `_sum`, `_count`.
        kind: Prometheus type; histograms are classic ones, because prometheus-client has no native ones.
        help: HELP text of the exposition.
        labels: labels, in the order of the label values.
        buckets: ascending upper bounds of a histogram, without +Inf.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def family(self) -> str:
        """Name of the metric family: the name of a counter without `_total` (OpenMetrics)."""
        return self.name.removesuffix("_total")

    @property
    def unit(self) -> str:
        """Base unit, seconds or bytes, which is also the suffix of the family name; empty for plain numbers."""
        return next((unit for unit in _UNITS if self.family.endswith(f"_{unit}")), "")


def gauge(name: str, text: str, *labels: Label) -> Metric:
    """Return the row of a gauge."""
    return Metric(name, "gauge", text, labels)


def counter(name: str, text: str, *labels: Label) -> Metric:
    """Return the row of a counter, whose name ends in `_total`."""
    return Metric(name, "counter", text, labels)


def histogram(name: str, buckets: tuple[float, ...], text: str, *labels: Label) -> Metric:
    """Return the row of a histogram with these upper bounds."""
    return Metric(name, "histogram", text, labels, buckets)
