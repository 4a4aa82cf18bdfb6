from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from metrics.catalog import BUS, CATALOG, PARENT, SERVER
from metrics.collectors import BuildCollector, server_collectors
from server.stats import Histogram, IntegerHistogram, ServerStats
from server.uploads.uploads import UploadStore
from stampede.metrics.catalog import GENERATOR
from stampede.metrics.exposition import Exposition
from tests.metrics.pages import series
from tests.metrics.states import FixedAdmission

if TYPE_CHECKING:
    from stampede.metrics.metric import Metric

ALL = (*SERVER, *BUS, *PARENT, *GENERATOR)
IDENTIFYING = {"room", "user", "username", "client", "client_id", "address", "ip", "host", "file"}


@pytest.fixture
def fresh_page(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    stats = ServerStats()
    uploads = UploadStore(tmp_path_factory.mktemp("uploads"), stats)
    collectors = (*server_collectors(stats, {}, uploads, FixedAdmission()), BuildCollector("1", "2", "3", "4"))
    return series(Exposition(collectors, process=False, duration=CATALOG["chat_scrape_duration_seconds"]).render().body)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_names_follow_the_rules_of_prometheus(metric: Metric) -> None:
    assert re.fullmatch(r"(chat|locust|loadtest)_[a-z]+(_[a-z]+)*", metric.name)
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert not metric.name.endswith(("_bucket", "_count", "_sum", "_created"))
    assert not re.search(r"_(ms|us|ns|milliseconds|kb|mb)(_|$)", metric.name)
    assert metric.unit in {"", "seconds", "bytes"}
    assert all(re.fullmatch(r"[a-z]+", label.name) for label in metric.labels)
    assert metric.help.endswith(".")
    assert "\n" not in metric.help


def test_names_are_unique() -> None:
    assert len(CATALOG) == len(ALL) == len({metric.family for metric in ALL})


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_no_label_can_identify_a_room_a_user_or_an_address(metric: Metric) -> None:
    assert not IDENTIFYING & {label.name for label in metric.labels}


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_buckets_ascend_and_only_histograms_have_them(metric: Metric) -> None:
    assert (metric.kind == "histogram") == bool(metric.buckets)
    assert all(low < high for low, high in pairwise(metric.buckets))


def test_the_server_exports_exactly_the_catalog(fresh_page: dict[str, float]) -> None:
    exported = {re.sub(r"_(bucket|sum|count)$", "", key.partition("{")[0]) for key in fresh_page}
    assert exported == {metric.name for metric in SERVER}
    assert not exported & {metric.name for metric in BUS}, "a server without a bus exports no bus metrics"


@pytest.mark.parametrize("metric", [m for m in SERVER if m.labels], ids=lambda metric: metric.name)
def test_every_known_label_value_exists_from_the_start(fresh_page: dict[str, float], metric: Metric) -> None:
    samples = {key: value for key, value in fresh_page.items() if key.partition("{")[0] == metric.name}
    for label in metric.labels:
        present = {found for key in samples for found in re.findall(rf'[{{,]{label.name}="([^"]*)"', key)}
        if label.values:
            assert present == set(label.values)
        else:
            assert len(present) == 1
    if metric.name != "chat_build_info":
        assert set(samples.values()) == {0.0}


def test_the_server_counts_in_the_buckets_of_the_catalog() -> None:
    stats = ServerStats()
    counted: dict[str, Histogram | IntegerHistogram] = {
        "chat_fanout_recipients": stats.fanout_recipients,
        "chat_fanout_duration_seconds": stats.fanout_duration,
        "chat_ping_rtt_seconds": stats.ping_rtt,
        "chat_event_loop_lag_seconds": stats.event_loop_lag,
        "chat_session_duration_seconds": stats.session_duration,
        "chat_upload_duration_seconds": stats.upload_duration,
    }
    for name, state in counted.items():
        assert tuple(state.bounds) == CATALOG[name].buckets, name
