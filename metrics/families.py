"""Turn plain numbers into Prometheus families, with name, help, labels and buckets from the catalog.

Collectors say `scalar("chat_rooms", 3)`; a name that is not in the catalog is a KeyError, a wrong number of label
values or buckets a ValueError, so nothing can be exported that the catalog does not describe.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from metrics.catalog import CATALOG

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from metrics.catalog import Metric
    from stampede.measure.log_linear_histogram import LogLinearHistogram

_SCALARS: Final[dict[str, type[GaugeMetricFamily | CounterMetricFamily]]] = {
    "gauge": GaugeMetricFamily,
    "counter": CounterMetricFamily,
}
_NS_PER_SECOND: Final = 1_000_000_000


class Distribution(Protocol):
    """What a histogram's state has to offer: values per bucket, one more than there are bounds, and their sum."""

    @property
    def counts(self) -> Sequence[int]: ...

    @property
    def total(self) -> float: ...


def scalar(name: str, value: float) -> GaugeMetricFamily | CounterMetricFamily:
    """Return a gauge or counter without labels."""
    return labelled(name, {(): value})


def labelled(name: str, values: Mapping[Any, float]) -> GaugeMetricFamily | CounterMetricFamily:
    """Return a gauge or counter with a sample for each key: a label's value, or a tuple in the catalog's label order.

    Raises:
        KeyError: the catalog has no such gauge or counter.
        ValueError: a key has not as many values as the catalog has labels.
    """
    metric = CATALOG[name]
    family = _SCALARS[metric.kind](metric.family, metric.help, labels=_label_names(metric), unit=metric.unit)
    for key, value in values.items():
        family.add_metric(_label_values(metric, key), value)
    return family


def histogram(name: str, distributions: Mapping[Any, Distribution]) -> HistogramMetricFamily:
    """Return a histogram with a series for each key; the key of one without labels is `()`.

    Raises:
        KeyError: the catalog has no such metric.
        ValueError: a distribution has other buckets than the catalog, or a key has a wrong number of values.
    """
    metric = CATALOG[name]
    bounds = [*(str(float(bound)) for bound in metric.buckets), "+Inf"]
    family = _empty_histogram(metric)
    for key, distribution in distributions.items():
        buckets = list(zip(bounds, accumulate(distribution.counts), strict=True))
        family.add_metric(_label_values(metric, key), buckets, distribution.total)
    return family


def loglinear_histogram(name: str, durations: Mapping[Any, LogLinearHistogram]) -> HistogramMetricFamily:
    """Return a histogram in seconds of log-linear ones in nanoseconds; a bound takes in the bucket it falls into.

    Counts are therefore off by at most the values within 3.2 % of a bound; sum and count are exact.
    Raises as `histogram` does.
    """
    metric = CATALOG[name]
    family = _empty_histogram(metric)
    for key, recorded in durations.items():
        buckets = [
            (str(float(bound)), recorded.count_at_most(round(bound * _NS_PER_SECOND))) for bound in metric.buckets
        ]
        buckets.append(("+Inf", recorded.count))
        family.add_metric(_label_values(metric, key), buckets, recorded.total / _NS_PER_SECOND)
    return family


def _empty_histogram(metric: Metric) -> HistogramMetricFamily:
    if metric.kind != "histogram":
        raise KeyError(metric.name)
    return HistogramMetricFamily(metric.family, metric.help, labels=_label_names(metric), unit=metric.unit)


def _label_names(metric: Metric) -> list[str]:
    return [label.name for label in metric.labels]


def _label_values(metric: Metric, key: Any) -> list[str]:
    values = [str(part) for part in key] if isinstance(key, tuple) else [str(key)]
    if len(values) != len(metric.labels):
        raise ValueError(f"{metric.name} has {len(metric.labels)} labels, not the values {values}")
    return values
