from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from capacity.errors import RunError
from capacity.measure.instant import ServerSample, parse_metrics, parse_snapshot
from capacity.measure.window import (
    MissingDataError,
    ServerWindow,
    WorkerWindow,
    client_window,
    mean_ms,
    quantile_ms,
    server_window,
)
from stampede.generator_faults import Fault, FaultKind
from stampede.ledger.counts import DeliveryCounts
from stampede.measure.figures import SendCounts
from stampede.measure.log_linear_histogram import LogLinearHistogram
from stampede.measure.snapshot import Snapshot  # noqa: TC001

EMPTY: dict[str, Any] = {"total": 0, "buckets": {}}


def sparse(*values_ms: float) -> dict[str, object]:
    histogram = LogLinearHistogram()
    for value in values_ms:
        histogram.record(int(value * 1e6))
    return histogram.to_sparse()


def worker(**figures: Any) -> dict[str, Any]:
    own = {
        "id": "w0",
        "pid": 1,
        "index": 0,
        "users": 10,
        "cpu_seconds": 1.0,
        "loop_lag": EMPTY,
        "send_lag": EMPTY,
        "rss_bytes": 1,
        "age_s": 0.0,
        "problems": [],
    }
    return own | figures


def snapshot(**figures: Any) -> Snapshot:
    own: dict[str, Any] = {
        "version": 1,
        "state": "running",
        "monotonic_ns": 0,
        "users": 10,
        "connections": 10,
        "ready": 10,
        "sends": {"intended": 0, "sent": 0, "late": 0, "skipped": 0},
        "deliveries": {"expected": 0, "received": 0, "lost": 0, "duplicated": 0, "reordered": 0, "foreign_clock": 0},
        "latency": {"intended": EMPTY, "sent": EMPTY},
        "rooms": 1,
        "requests": {},
        "drops": {},
        "resynced_by_pong": 0,
        "resync": EMPTY,
        "loop_lag": EMPTY,
        "send_lag": EMPTY,
        "room_size": 10.0,
        "workers": [worker()],
    }
    return parse_snapshot(json.dumps(own | figures).encode())


def deliveries(expected: int, received: int, lost: int = 0) -> dict[str, int]:
    return {"expected": expected, "received": received, "lost": lost, "duplicated": 0, "reordered": 0}


def test_a_window_is_the_difference_of_two_snapshots() -> None:
    before = snapshot(
        deliveries=deliveries(100, 90), latency={"intended": sparse(5), "sent": sparse(5)}, workers=[worker()]
    )
    after = snapshot(
        monotonic_ns=4_000_000_000,
        deliveries=deliveries(500, 480, 2),
        latency={"intended": sparse(5, 80), "sent": sparse(5, 60)},
        requests={"WS connect": {"count": 10, "failures": 1}, "WS send": {"count": 40, "failures": 0}},
        sends={"intended": 44, "sent": 40, "late": 0, "skipped": 4},
        workers=[worker(cpu_seconds=3.0, loop_lag=sparse(20))],
    )
    window = client_window(before, after)
    assert (window.seconds, window.deliveries) == (4.0, DeliveryCounts(expected=400, received=390, lost=2))
    assert window.sends == SendCounts(intended=44, sent=40, skipped=4)
    assert window.latency.intended.quantile(0.5) == pytest.approx(80e6, rel=0.02)
    assert (window.operations, window.failures, window.failing) == (50, 1, {"WS connect": 1})
    assert window.workers[0].cpu == pytest.approx(0.5)
    assert window.workers[0].loop_lag_p99_ms == pytest.approx(20, rel=0.02)
    assert window.keeping_up == pytest.approx(392 / 400)


def test_the_age_of_reports_shifts_the_window() -> None:
    before = snapshot(workers=[worker(age_s=1.0)])
    after = snapshot(monotonic_ns=6_000_000_000, workers=[worker(age_s=0.0, cpu_seconds=8.0)])
    window = client_window(before, after)
    assert window.seconds == pytest.approx(7.0)
    assert window.workers[0].cpu == pytest.approx(1.0)


@pytest.mark.parametrize(
    "after",
    [
        {"monotonic_ns": 0},
        {"monotonic_ns": 10**9, "deliveries": deliveries(1, 1)},
        {"monotonic_ns": 10**9, "latency": {"intended": EMPTY, "sent": EMPTY}},
        {"monotonic_ns": 10**9, "workers": []},
        {"monotonic_ns": 10**9, "workers": [worker(id="another")]},
    ],
    ids=["standing still", "counter reset", "histogram reset", "worker gone", "worker replaced"],
)
def test_a_reset_counter_or_a_missing_worker_is_missing_data(after: dict[str, Any]) -> None:
    before = snapshot(deliveries=deliveries(10, 10), latency={"intended": sparse(5), "sent": sparse(5)})
    with pytest.raises(MissingDataError):
        client_window(before, snapshot(**after))


def test_a_worker_that_stopped_reporting_is_missing_data() -> None:
    after = snapshot(monotonic_ns=3_000_000_000, workers=[worker(), worker(id="w1", index=1, age_s=3.0)])
    before = snapshot(workers=[worker(), worker(id="w1", index=1)])
    with pytest.raises(MissingDataError, match="worker 1"):
        client_window(before, after)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"version": 1}', b"<html>"])
def test_another_response_is_not_a_snapshot(body: bytes) -> None:
    with pytest.raises(RunError, match="snapshot cannot be read"):
        parse_snapshot(body)


def test_another_version_is_refused() -> None:
    with pytest.raises(RunError, match="version 2"):
        snapshot(version=2)


PAGE = """\
# TYPE process_cpu_seconds counter
process_cpu_seconds_total 12.5
# TYPE process_open_fds gauge
process_open_fds 120
# TYPE chat_messages_dropped counter
chat_messages_dropped_total{type="userTyping",reason="slow"} 3
chat_messages_dropped_total{type="chatMessage",reason="slow"} 4
chat_messages_dropped_total{type="userLeft",reason="closed"} 535
# TYPE chat_event_loop_lag_seconds histogram
chat_event_loop_lag_seconds_bucket{le="0.001"} 0
chat_event_loop_lag_seconds_bucket{le="0.1"} 100
chat_event_loop_lag_seconds_bucket{le="+Inf"} 100
chat_event_loop_lag_seconds_count 100
chat_event_loop_lag_seconds_sum 5
"""


def test_a_page_is_summed_over_labels_and_missing_series_are_none() -> None:
    sample = parse_metrics(PAGE, at_s=1.0)
    assert (sample.cpu_seconds, sample.fds, sample.dropped) == (12.5, 120, 7)
    assert sample.kills is None
    assert sample.rss_bytes is None


def test_a_page_of_another_program_has_no_figures() -> None:
    sample = parse_metrics("up 1\n", at_s=1.0)
    assert sample == ServerSample(at_s=1.0, page_at_s=1.0)


def test_server_rates_cover_the_window() -> None:
    before = ServerSample(
        at_s=10, cpu_seconds=1, core_busy_s=1, core_steal_s=0, dropped=5, lag_buckets={0.1: 0, 1.0: 0}
    )
    after = ServerSample(
        at_s=12, cpu_seconds=2, core_busy_s=2.6, core_steal_s=0.2, dropped=6, lag_buckets={0.1: 0, 1.0: 100}
    )
    window = server_window(before, after)
    assert window.cpu == pytest.approx(0.5)
    assert window.core_foreign == pytest.approx(0.4)
    assert window.dropped == 1
    assert window.loop_lag_p99_ms == pytest.approx(991)


def test_a_quantile_beyond_the_last_bound_is_that_bound() -> None:
    before = ServerSample(at_s=0, lag_buckets={0.5: 0, float("inf"): 0})
    after = ServerSample(at_s=1, lag_buckets={0.5: 1, float("inf"): 100})
    assert server_window(before, after).loop_lag_p99_ms == pytest.approx(500)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, ServerSample(at_s=1)),
        (ServerSample(at_s=1), None),
    ],
    ids=["no start", "no end"],
)
def test_without_two_samples_nothing_is_known(before: ServerSample | None, after: ServerSample | None) -> None:
    assert server_window(before, after) == ServerWindow()


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        (ServerSample(at_s=1), ServerSample(at_s=1), "stand still"),
        (ServerSample(at_s=1, started_at=5), ServerSample(at_s=2, started_at=6), "restarted"),
        (ServerSample(at_s=1, processes=2), ServerSample(at_s=2), "restarted"),
        (ServerSample(at_s=1, problem="silence"), ServerSample(at_s=2), "silence"),
        (ServerSample(at_s=1), ServerSample(at_s=2, problem="silence"), "silence"),
    ],
)
def test_a_gap_a_restart_and_missing_metrics_are_named_as_problems(
    before: ServerSample, after: ServerSample, problem: str
) -> None:
    window = server_window(before, after)
    assert window.cpu is None
    assert problem in (window.problem or "")


def test_a_source_that_stops_leaves_none_not_zero() -> None:
    window = server_window(ServerSample(at_s=0, cpu_seconds=1, dropped=0), ServerSample(at_s=1))
    assert window == ServerWindow()


BEFORE: dict[str, Any] = {
    "monotonic_ns": 10**9,
    "sends": {"intended": 101, "sent": 103, "late": 0, "skipped": 5},
    "deliveries": {
        "expected": 1009,
        "received": 1003,
        "lost": 7,
        "duplicated": 11,
        "reordered": 13,
        "foreign_clock": 17,
    },
    "latency": {"intended": sparse(5), "sent": sparse(4)},
    "requests": {
        "WS connect": {"count": 23, "failures": 2},
        "WS send": {"count": 103, "failures": 0},
        "WS deliver": {"count": 1003, "failures": 0},
    },
    "resync": sparse(1000),
    "faults": [
        {"kind": "local ports", "detail": "60 of them", "count": 47},
        {"kind": "open files", "detail": "", "count": 3},
    ],
    "workers": [worker(cpu_seconds=2.0, age_s=0.25, loop_lag=sparse(1), send_lag=sparse(1))],
}
AFTER: dict[str, Any] = {
    "monotonic_ns": 5 * 10**9,
    "users": 31,
    "connections": 32,
    "ready": 33,
    "room_size": 15.5,
    "sends": {"intended": 101 + 41, "sent": 103 + 37, "late": 0, "skipped": 5 + 3},
    "deliveries": {
        "expected": 1009 + 401,
        "received": 1003 + 389,
        "lost": 7 + 2,
        "duplicated": 11 + 5,
        "reordered": 13 + 6,
        "foreign_clock": 17 + 8,
    },
    "latency": {"intended": sparse(5, 80), "sent": sparse(4, 60)},
    "requests": {
        "WS connect": {"count": 23 + 29, "failures": 2 + 4},
        "WS ping": {"count": 19, "failures": 1},
        "WS send": {"count": 103 + 37, "failures": 0},
        "WS deliver": {"count": 1003 + 389, "failures": 9},
    },
    "resync": sparse(1000, 2500),
    "faults": [
        {"kind": "local ports", "detail": "60 of them", "count": 47 + 6},
        {"kind": "open files", "detail": "", "count": 3},
        {"kind": "internal error", "detail": "KeyError: 1", "count": 1},
    ],
    "workers": [
        worker(
            users=31,
            cpu_seconds=4.0,
            age_s=0.75,
            loop_lag=sparse(1, 20),
            send_lag=sparse(1, 30),
            rss_bytes=77,
        )
    ],
}


def mean_of(histogram: LogLinearHistogram) -> float:
    return (histogram.mean() or 0) / 1e6


def test_each_figure_of_a_window_is_the_difference_of_its_own_counter() -> None:
    window = client_window(snapshot(**BEFORE), snapshot(**AFTER))
    (process,) = window.workers
    seconds = 4.0 - (0.75 - 0.25)
    assert process.loop_lag_p99_ms == pytest.approx(20, rel=0.02)
    assert process.send_lag_p99_ms == pytest.approx(30, rel=0.02)
    assert replace(process, loop_lag_p99_ms=None, send_lag_p99_ms=None) == WorkerWindow(
        index=0, users=31, cpu=2.0 / seconds, loop_lag_p99_ms=None, send_lag_p99_ms=None, rss_bytes=77, age_s=0.75
    )
    assert window.seconds == pytest.approx(seconds)
    assert (window.users, window.connections, window.ready, window.room_size) == (31, 32, 33, 15.5)
    assert window.sends == SendCounts(intended=41, sent=37, skipped=3)
    assert window.deliveries == DeliveryCounts(
        expected=401, received=389, lost=2, duplicated=5, reordered=6, foreign_clock=8
    )
    assert (window.operations, window.failures) == (29 + 19 + 37, 4 + 1)
    assert window.failing == {"WS connect": 4, "WS ping": 1}
    assert mean_of(window.latency.intended) == pytest.approx(80, rel=0.02)
    assert mean_of(window.latency.sent) == pytest.approx(60, rel=0.02)
    assert mean_of(window.resync) == pytest.approx(2500, rel=0.02)
    assert window.faults == (Fault(FaultKind.PORTS, "60 of them", 6), Fault(FaultKind.INTERNAL, "KeyError: 1", 1))


@pytest.mark.parametrize("part", ["sends.intended", "sends.sent", "deliveries.received", "deliveries.lost"])
def test_a_falling_counter_is_missing_data(part: str) -> None:
    group, _, counter = part.partition(".")
    fallen = AFTER | {group: AFTER[group] | {counter: BEFORE[group][counter] - 1}}
    if counter == "intended":
        fallen["sends"] = fallen["sends"] | {"intended": 100}
    with pytest.raises(MissingDataError) as caught:
        client_window(snapshot(**BEFORE), snapshot(**fallen))
    assert str(caught.value) == "a counter of the load generator went down: it was restarted"


@pytest.mark.parametrize(
    "counts", [{"count": 52, "failures": 1}, {"count": 0, "failures": 2}], ids=["failures", "count"]
)
def test_a_falling_request_counter_is_missing_data(counts: dict[str, int]) -> None:
    still = AFTER | {"sends": BEFORE["sends"], "requests": {"WS connect": counts}}
    with pytest.raises(MissingDataError, match=r"^a counter of the load generator went down: it was restarted$"):
        client_window(snapshot(**BEFORE), snapshot(**still))


def test_an_unchanged_counter_is_not_missing_data() -> None:
    window = client_window(snapshot(**BEFORE), snapshot(**(BEFORE | {"monotonic_ns": 10**9 + 5 * 10**8})))
    assert (window.seconds, window.sends, window.deliveries, window.operations) == (
        0.5,
        SendCounts(),
        DeliveryCounts(),
        0,
    )
    assert window.workers[0].cpu == 0


def test_missing_data_has_a_reason() -> None:
    before = snapshot(**BEFORE)
    with pytest.raises(MissingDataError, match=r"^the load generator's figures stand still$"):
        client_window(before, before)
    with pytest.raises(MissingDataError, match=r"^the load generator's processes changed during the window$"):
        client_window(before, snapshot(**(AFTER | {"workers": []})))
    with pytest.raises(MissingDataError, match=r"went down"):
        client_window(before, snapshot(**(AFTER | {"resync": EMPTY})))


def test_an_empty_histogram_has_neither_quantile_nor_mean() -> None:
    assert quantile_ms(LogLinearHistogram(), 0.5) is None
    assert mean_ms(LogLinearHistogram()) is None


def test_quantiles_and_means_are_in_milliseconds() -> None:
    histogram = LogLinearHistogram()
    histogram.record(2_000_000)
    histogram.record(4_000_000)
    assert mean_ms(histogram) == 3.0
    assert quantile_ms(histogram, 1.0) == (histogram.quantile(1.0) or 0) / 1e6
    assert quantile_ms(histogram, 1.0) == pytest.approx(4.0, rel=0.02)


SAMPLE_BEFORE = ServerSample(
    at_s=10.0,
    page_at_s=9.5,
    cpu_seconds=3.0,
    cpu_parts=(1.0, 2.0),
    core_busy_s=4.0,
    core_steal_s=0.5,
    delivered=100,
    dropped=7,
    kills=3,
    sent_bytes=1000,
    processes=2,
)
SAMPLE_AFTER = ServerSample(
    at_s=14.0,
    page_at_s=12.0,
    cpu_seconds=6.0,
    cpu_parts=(2.0, 4.5),
    core_busy_s=8.0,
    core_steal_s=0.9,
    rss_bytes=71,
    memory_bytes=72,
    fds=73,
    fds_limit=74,
    connections=75,
    delivered=150,
    dropped=9,
    kills=8,
    sent_bytes=6000,
    processes=2,
)


def test_each_figure_of_the_server_is_the_difference_of_its_own_sample() -> None:
    window = server_window(SAMPLE_BEFORE, SAMPLE_AFTER)
    assert window.core_stolen == pytest.approx(0.1)
    assert replace(window, core_stolen=None) == ServerWindow(
        cpu=0.75,
        core_busy=1.0,
        core_stolen=None,
        loop_lag_p99_ms=None,
        rss_bytes=71,
        memory_bytes=72,
        fds=73,
        fds_limit=74,
        connections=75,
        delivered=50,
        dropped=2,
        kills=5,
        sent_bytes_per_s=2000.0,
        processes=2,
        cpu_busiest=1.0,
        problem=None,
    )


def test_the_core_share_of_several_processes_is_that_of_the_busiest() -> None:
    window = server_window(SAMPLE_BEFORE, SAMPLE_AFTER)
    assert window.core_share == 1.0
    assert replace(window, cpu_busiest=None).core_share == pytest.approx(0.75 / 2)
    assert replace(window, cpu_busiest=None, cpu=None).core_share is None
    assert window.core_foreign == pytest.approx((1.0 - 0.75 + 0.1) / 2)
    assert replace(window, core_busy=0.5).core_foreign == pytest.approx(0.1 / 2)
    assert replace(window, core_busy=None).core_foreign is None
    assert replace(window, cpu=None).core_foreign is None


@pytest.mark.parametrize(
    ("before", "after"),
    [({"page_at_s": None}, {}), ({}, {"page_at_s": None}), ({}, {"page_at_s": 9.5}), ({}, {"page_at_s": 9.0})],
    ids=["no first page", "no last page", "the same page", "an older page"],
)
def test_without_two_pages_page_figures_are_unknown(before: dict[str, Any], after: dict[str, Any]) -> None:
    window = server_window(replace(SAMPLE_BEFORE, **before), replace(SAMPLE_AFTER, **after))
    assert (window.sent_bytes_per_s, window.cpu_busiest) == (None, None)
    assert window.cpu == 0.75


@pytest.mark.parametrize(("before", "after"), [({"cpu_parts": None}, {}), ({}, {"cpu_parts": None})])
def test_without_the_cpu_of_each_process_the_busiest_is_unknown(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert server_window(replace(SAMPLE_BEFORE, **before), replace(SAMPLE_AFTER, **after)).cpu_busiest is None


@pytest.mark.parametrize("counter", ["delivered", "dropped", "kills", "cpu_seconds", "sent_bytes"])
def test_a_falling_server_counter_is_missing_and_an_unchanged_one_is_zero(counter: str) -> None:
    figure = {"cpu_seconds": "cpu", "sent_bytes": "sent_bytes_per_s"}.get(counter, counter)
    start = getattr(SAMPLE_BEFORE, counter)
    fallen = server_window(SAMPLE_BEFORE, replace(SAMPLE_AFTER, **{counter: start - 1}))
    assert getattr(fallen, figure) is None
    still = server_window(SAMPLE_BEFORE, replace(SAMPLE_AFTER, **{counter: start}))
    assert getattr(still, figure) == 0


def test_server_problems_have_full_texts() -> None:
    before = ServerSample(at_s=1)
    assert (
        server_window(before, replace(before, processes=2, at_s=2)).problem
        == "the server was restarted during the window"
    )
    assert server_window(before, before).problem == "the server's metrics stand still: no new sample in the window"


INF = float("inf")


@pytest.mark.parametrize(
    ("before", "after", "p99_ms"),
    [
        ({0.1: 5, 1.0: 10}, {0.1: 5, 1.0: 10}, None),
        ({0.1: 5, 1.0: 10}, {0.1: 5, 1.0: 11}, (0.1 + 0.9 * 0.99) * 1000),
        ({0.1: 0, INF: 0}, {0.1: 100, INF: 100}, 99),
        ({0.1: 0, 0.2: 0, INF: 0}, {0.1: 98, 0.2: 100, INF: 100}, (0.1 + 0.1 * 0.5) * 1000),
        ({0.1: 0, 0.2: 0, INF: 0}, {0.1: 99, 0.2: 100, INF: 100}, 100),
        ({0.1: 0, 0.2: 0, INF: 0}, {0.1: 0, 0.2: 50, INF: 100}, 200),
        ({}, {0.1: 1}, None),
        ({0.1: 1}, {}, None),
        ({0.1: 0}, {0.2: 9}, None),
        (None, {0.1: 1}, None),
        ({0.1: 1}, None, None),
    ],
)
def test_the_p99_of_loop_lag_is_interpolated_within_its_bucket(
    before: dict[float, float] | None, after: dict[float, float] | None, p99_ms: float | None
) -> None:
    window = server_window(ServerSample(at_s=0, lag_buckets=before), ServerSample(at_s=1, lag_buckets=after))
    assert window.loop_lag_p99_ms == (None if p99_ms is None else pytest.approx(p99_ms))
