"""Queries of names in the catalog: each function returns PromQL for the servers that the viewer has picked.

A name that is not in the catalog is a KeyError, a label that the metric does not have, or a function that does not fit
its kind, a ValueError: a dashboard that cannot be filled is not built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from metrics.catalog import CATALOG

if TYPE_CHECKING:
    from collections.abc import Iterable

PICKED: Final = 'job=~"$job", instance=~"$instance"'
TARGET: Final = ("job", "instance")
# What Prometheus and prometheus-client add, with kind and labels.
FOREIGN: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
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
# Every process exports these; a server, a generator, or a parent of workers, is what also exports its own mark.
SERVER: Final = "chat_build_info"
GENERATOR: Final = "locust_test_running"
PARENT: Final = "chat_workers"

By = tuple[str, ...]


def gauge(name: str, **values: str) -> str:
    """Return a selector of a gauge."""
    return _selector(name, "gauge", (), values)


def rate(name: str, *, by: By = (), **values: str) -> str:
    """Return what a counter gains in a second, summed by some of its labels."""
    return f"{_sum(by)}(rate({_selector(name, 'counter', by, values)}[$__rate_interval]))"


def gained(name: str, *, by: By = (), **values: str) -> str:
    """Return what a counter has gained over the whole time shown."""
    return f"{_sum(by)}(increase({_selector(name, 'counter', by, values)}[$__range]))"


def buckets(name: str, **values: str) -> str:
    """Return what each bucket of a histogram gains in a second, for a heatmap."""
    return f"sum by (le) (rate({_selector(name, 'histogram', (), values, '_bucket')}[$__rate_interval]))"


def quantile(q: float, name: str, *, by: By = (), **values: str) -> str:
    """Return a quantile of a histogram's recent values, estimated within its buckets."""
    selector = _selector(name, "histogram", by, values, "_bucket")
    return f"histogram_quantile({q:g}, {_sum((*by, 'le'))}(rate({selector}[$__rate_interval])))"


def quantile_of_all(q: float, name: str, *, by: By = ()) -> str:
    """Return a quantile of what a histogram has taken in over the whole time shown."""
    selector = _selector(name, "histogram", by, {}, "_bucket")
    return f"histogram_quantile({q:g}, {_sum((*by, 'le'))}(increase({selector}[$__range])))"


def mean(name: str, *, by: By = ()) -> str:
    """Return the mean of a histogram's recent values."""
    total, count = (_selector(name, "histogram", by, {}, part) for part in ("_sum", "_count"))
    return f"{_sum(by)}(rate({total}[$__rate_interval])) / {_sum(by)}(rate({count}[$__rate_interval]))"


def of(mark: str, query: str) -> str:
    """Return a query of something that every process exports, for those processes only that have a mark."""
    return f"{query} and on (job, instance) {gauge(mark)}"


def _sum(by: Iterable[str]) -> str:
    return f"sum by ({', '.join(by)}) " if by else "sum"


def _selector(name: str, kind: str, by: Iterable[str], values: dict[str, str], suffix: str = "") -> str:
    found, labels = _known(name)
    if found != kind:
        raise ValueError(f"{name} is a {found}, not a {kind}")
    strays = {*by, *values} - {*labels, *TARGET}
    if strays:
        raise ValueError(f"{name} has no label {', '.join(sorted(strays))}")
    wanted = "".join(f', {label}="{value}"' for label, value in values.items())
    return f"{name}{suffix}{{{PICKED}{wanted}}}"


def _known(name: str) -> tuple[str, tuple[str, ...]]:
    if name in FOREIGN:
        return FOREIGN[name]
    metric = CATALOG[name]
    return metric.kind, tuple(label.name for label in metric.labels)
