"""Build PromQL queries from names in the catalog, restricted to the job, instance and request names in the dashboard.

A name that is not in the catalog raises KeyError. A label that the metric does not have, or a function that does not
fit the metric's type, raises ValueError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from metrics.catalog import CATALOG

if TYPE_CHECKING:
    from collections.abc import Iterable

SELECTED: Final = 'job=~"$job", instance=~"$instance"'
SELECTED_REQUESTS: Final = 'name=~"$request"'
TARGET: Final = ("job", "instance")
# Metrics that Prometheus and prometheus-client add: type and labels.
EXTERNAL_METRICS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "up": ("gauge", ()),
    "process_cpu_seconds_total": ("counter", ()),
    "process_resident_memory_bytes": ("gauge", ()),
    "process_start_time_seconds": ("gauge", ()),
    "process_open_fds": ("gauge", ()),
    "process_max_fds": ("gauge", ()),
    "python_gc_collections_total": ("counter", ("generation",)),
    "python_gc_objects_collected_total": ("counter", ("generation",)),
    "python_gc_objects_uncollectable_total": ("counter", ("generation",)),
}
# The metric whose label `name` lists the requests.
REQUESTS: Final = "locust_requests_total"
# The metrics that identify a server, a load generator, and the parent of several workers.
SERVER: Final = "chat_build_info"
GENERATOR: Final = "locust_test_running"
PARENT: Final = "chat_workers"

By = tuple[str, ...]


def gauge(name: str, **values: str) -> str:
    """Return a selector of a gauge."""
    return _selector(name, "gauge", (), values)


def rate(name: str, *, by: By = (), **values: str) -> str:
    """Return the rate of a counter per second, summed by some of its labels."""
    return f"{_sum(by)}(rate({_selector(name, 'counter', by, values)}[$__rate_interval]))"


def increase(name: str, *, by: By = (), **values: str) -> str:
    """Return the increase of a counter over the displayed time range."""
    return f"{_sum(by)}(increase({_selector(name, 'counter', by, values)}[$__range]))"


def buckets(name: str, **values: str) -> str:
    """Return the rate of each bucket of a histogram, for a heatmap."""
    return f"sum by (le) (rate({_selector(name, 'histogram', (), values, '_bucket')}[$__rate_interval]))"


def quantile(q: float, name: str, *, by: By = (), **values: str) -> str:
    """Return a quantile of a histogram's recent observations."""
    selector = _selector(name, "histogram", by, values, "_bucket")
    return f"histogram_quantile({q:g}, {_sum((*by, 'le'))}(rate({selector}[$__rate_interval])))"


def quantile_of_all(q: float, name: str, *, by: By = ()) -> str:
    """Return a quantile of a histogram's observations over the displayed time range."""
    selector = _selector(name, "histogram", by, {}, "_bucket")
    return f"histogram_quantile({q:g}, {_sum((*by, 'le'))}(increase({selector}[$__range])))"


def mean(name: str, *, by: By = ()) -> str:
    """Return the mean of a histogram's recent observations."""
    total, count = (_selector(name, "histogram", by, {}, part) for part in ("_sum", "_count"))
    return f"{_sum(by)}(rate({total}[$__rate_interval])) / {_sum(by)}(rate({count}[$__rate_interval]))"


def restricted_to(metric: str, query: str) -> str:
    """Restrict a query to the processes that also export the given gauge."""
    return f"{query} and on (job, instance) {gauge(metric)}"


def _sum(by: Iterable[str]) -> str:
    return f"sum by ({', '.join(by)}) " if by else "sum"


def _selector(name: str, kind: str, by: Iterable[str], values: dict[str, str], suffix: str = "") -> str:
    found, labels = _known(name)
    if found != kind:
        raise ValueError(f"{name} is a {found}, not a {kind}")
    unknown = {*by, *values} - {*labels, *TARGET}
    if unknown:
        raise ValueError(f"{name} has no label {', '.join(sorted(unknown))}")
    matchers = [SELECTED, *(f'{label}="{value}"' for label, value in values.items())]
    if "name" in labels:
        matchers.append(SELECTED_REQUESTS)
    return f"{name}{suffix}{{{', '.join(matchers)}}}"


def _known(name: str) -> tuple[str, tuple[str, ...]]:
    if name in EXTERNAL_METRICS:
        return EXTERNAL_METRICS[name]
    metric = CATALOG[name]
    return metric.kind, tuple(label.name for label in metric.labels)
