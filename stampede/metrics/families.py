"""Make Prometheus metric families from plain numbers, with name, help, labels and buckets from a catalog.

Collectors call, for example, `Families(CATALOG).scalar("chat_rooms", 3)`. A name that is not in the catalog raises
KeyError, and a wrong number of label values or buckets raises ValueError. Therefore only metrics of the catalog can be
exported.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stampede.measure.log_linear_histogram import LogLinearHistogram
    from stampede.metrics.metric import Metric

_SCALARS: Final[dict[str, type[GaugeMetricFamily | CounterMetricFamily]]] = {
    "gauge": GaugeMetricFamily,
    "counter": CounterMetricFamily,
}
_NS_PER_SECOND: Final = 1_000_000_000


class Distribution(Protocol):
    """The state of a histogram: observations per bucket, one more than there are bounds, and their sum."""

    @property
    def counts(self) -> Sequence[int]: ...

    @property
    def total(self) -> float: ...


class Families:
    """Makes the families of one catalog.

    Args:
        catalog: the metrics by name.
    """

    def __init__(self, catalog: Mapping[str, Metric]) -> None:
        self._catalog = catalog

    def scalar(self, name: str, value: float) -> GaugeMetricFamily | CounterMetricFamily:
        """Return a gauge or counter without labels."""
        return self.labelled(name, {(): value})

    def labelled(self, name: str, values: Mapping[Any, float]) -> GaugeMetricFamily | CounterMetricFamily:
        """Return a gauge or counter with a sample for each key: a label value, or a tuple in the order of the catalog.

        Raises:
            KeyError: the catalog has no such gauge or counter.
            ValueError: the number of values in a key differs from the number of labels.
        """
        metric = self._catalog[name]
        family = _SCALARS[metric.kind](metric.family, metric.help, labels=_label_names(metric), unit=metric.unit)
        for key, value in values.items():
            family.add_metric(_label_values(metric, key), value)
        return family

    def histogram(self, name: str, distributions: Mapping[Any, Distribution]) -> HistogramMetricFamily:
        """Return a histogram with a series for each key; the key without labels is `()`.

        Raises:
            KeyError: the catalog has no such metric.
            ValueError: a distribution has other buckets than the catalog, or a key has the wrong number of values.
        """
        metric = self._catalog[name]
        bounds = [*(str(float(bound)) for bound in metric.buckets), "+Inf"]
        family = _empty_histogram(metric)
        for key, distribution in distributions.items():
            buckets = list(zip(bounds, accumulate(distribution.counts), strict=True))
            family.add_metric(_label_values(metric, key), buckets, distribution.total)
        return family

    def loglinear_histogram(self, name: str, durations: Mapping[Any, LogLinearHistogram]) -> HistogramMetricFamily:
        """Convert log-linear histograms in nanoseconds to a histogram in seconds; raises as `histogram` does.

        A bound includes the whole log-linear bucket that contains it, so observations within 3.2 % of a bound may count
        as below it. Sum and count are exact.
        """
        metric = self._catalog[name]
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
        raise ValueError(f"{metric.name} has {len(metric.labels)} labels, but the key has the values {values}")
    return values
