from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from metrics.catalog import CATALOG
from server.stats import Histogram
from stampede.measure.log_linear_histogram import LogLinearHistogram
from stampede.metrics.families import Families
from tests.metrics.pages import series

families = Families(CATALOG)


class Fixed(Collector):
    def __init__(self, *families: object) -> None:
        self.families = families

    def collect(self) -> object:  # type: ignore[override] # what comes in goes out
        return self.families


def exported(*families: object) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(Fixed(*families))
    return series(generate_latest(registry))


def test_name_kind_and_help_come_from_the_catalog() -> None:
    registry = CollectorRegistry()
    registry.register(Fixed(families.scalar("chat_received_bytes_total", 7)))
    assert generate_latest(registry).decode().splitlines() == [
        f"# HELP chat_received_bytes_total {CATALOG['chat_received_bytes_total'].help}",
        "# TYPE chat_received_bytes_total counter",
        "chat_received_bytes_total 7.0",
    ]


def test_labels_are_given_alone_or_as_a_tuple_in_the_catalogs_order() -> None:
    assert exported(
        families.labelled("chat_uploads_total", {"saved": 2}),
        families.labelled("chat_http_requests_total", {("/health", 200): 3}),
    ) == {'chat_uploads_total{outcome="saved"}': 2, 'chat_http_requests_total{code="200",path="/health"}': 3}


def test_a_histogram_is_cumulative_with_inclusive_bounds() -> None:
    state = Histogram(CATALOG["chat_upload_duration_seconds"].buckets)
    for value in (0.01, 0.011, 0.05, 1000.0):
        state.observe(value)
    samples = exported(families.histogram("chat_upload_duration_seconds", {(): state}))
    assert samples['chat_upload_duration_seconds_bucket{le="0.01"}'] == 1
    assert samples['chat_upload_duration_seconds_bucket{le="0.05"}'] == 3
    assert samples['chat_upload_duration_seconds_bucket{le="300.0"}'] == 3
    assert samples['chat_upload_duration_seconds_bucket{le="+Inf"}'] == 4
    assert samples["chat_upload_duration_seconds_count"] == 4
    assert samples["chat_upload_duration_seconds_sum"] == pytest.approx(1000.071)


def test_a_log_linear_histogram_is_exported_in_seconds() -> None:
    recorded = LogLinearHistogram()
    for ns in (400_000, 2_000_000, 60_000_000_000):
        recorded.record(ns)
    samples = exported(
        families.loglinear_histogram(
            "loadtest_delivery_duration_seconds", {"sent": recorded, "intended": LogLinearHistogram()}
        )
    )
    name = "loadtest_delivery_duration_seconds"
    assert samples[f'{name}_bucket{{clock="sent",le="0.0005"}}'] == 1
    assert samples[f'{name}_bucket{{clock="sent",le="0.0025"}}'] == 2
    assert samples[f'{name}_bucket{{clock="sent",le="5.0"}}'] == 2
    assert samples[f'{name}_bucket{{clock="sent",le="+Inf"}}'] == samples[f'{name}_count{{clock="sent"}}'] == 3
    assert samples[f'{name}_sum{{clock="sent"}}'] == pytest.approx(60.0024)
    assert samples[f'{name}_count{{clock="intended"}}'] == 0


def test_metrics_outside_of_the_catalog_cannot_be_exported() -> None:
    with pytest.raises(KeyError, match="chat_nonsense"):
        families.scalar("chat_nonsense", 1)
    with pytest.raises(KeyError, match="histogram"):
        families.scalar("chat_ping_rtt_seconds", 1)
    with pytest.raises(KeyError, match="chat_rooms"):
        families.histogram("chat_rooms", {})
    with pytest.raises(ValueError, match="1 labels"):
        families.labelled("chat_uploads_total", {("saved", "twice"): 1})
    with pytest.raises(ValueError, match="zip"):
        families.histogram("chat_ping_rtt_seconds", {(): Histogram((1, 2))})
