from __future__ import annotations

import json
from typing import Any

import pytest

from capacity.errors import RunError
from capacity.measure import ServerSample, Snapshot, parse_metrics, parse_snapshot
from capacity.window import MissingDataError, ServerWindow, client_window, server_window
from metrics.loglinear import LogLinear

EMPTY: dict[str, Any] = {"total": 0, "buckets": {}}


def sparse(*values_ms: float) -> dict[str, object]:
    histogram = LogLinear()
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
        "requests": {},
        "resync": EMPTY,
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
        requests={"WS connect": {"count": 10, "failures": 1}},
        sends={"intended": 44, "sent": 40, "late": 0, "skipped": 4},
        workers=[worker(cpu_seconds=3.0, loop_lag=sparse(20))],
    )
    window = client_window(before, after)
    assert (window.seconds, window.expected, window.received, window.lost) == (4.0, 400, 390, 2)
    assert (window.intended, window.sent, window.skipped) == (44, 40, 4)
    assert window.latency_intended.quantile(0.5) == pytest.approx(80e6, rel=0.02)
    assert (window.operations, window.failures, window.failing) == (50, 1, {"WS connect": 1})
    assert window.workers[0].cpu == pytest.approx(0.5)
    assert window.workers[0].loop_lag_p99_ms == pytest.approx(20, rel=0.02)
    assert window.keeping_up == pytest.approx(392 / 400)


def test_the_age_of_reports_moves_the_window_not_its_figures() -> None:
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
def test_a_reset_or_a_vanished_worker_is_missing_data(after: dict[str, Any]) -> None:
    before = snapshot(deliveries=deliveries(10, 10), latency={"intended": sparse(5), "sent": sparse(5)})
    with pytest.raises(MissingDataError):
        client_window(before, snapshot(**after))


def test_a_worker_that_stopped_reporting_is_missing_data() -> None:
    after = snapshot(monotonic_ns=3_000_000_000, workers=[worker(), worker(id="w1", index=1, age_s=3.0)])
    before = snapshot(workers=[worker(), worker(id="w1", index=1)])
    with pytest.raises(MissingDataError, match="worker 1"):
        client_window(before, after)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"version": 1}', b"<html>"])
def test_another_answer_is_no_snapshot(body: bytes) -> None:
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
# TYPE chat_event_loop_lag_seconds histogram
chat_event_loop_lag_seconds_bucket{le="0.001"} 0
chat_event_loop_lag_seconds_bucket{le="0.1"} 100
chat_event_loop_lag_seconds_bucket{le="+Inf"} 100
chat_event_loop_lag_seconds_count 100
chat_event_loop_lag_seconds_sum 5
"""


def test_a_page_is_summed_over_labels_and_what_it_lacks_is_none() -> None:
    sample = parse_metrics(PAGE, at_s=1.0)
    assert (sample.cpu_seconds, sample.fds, sample.dropped) == (12.5, 120, 7)
    assert sample.kills is None
    assert sample.rss_bytes is None


def test_a_page_of_something_else_tells_nothing() -> None:
    sample = parse_metrics("up 1\n", at_s=1.0)
    assert sample == ServerSample(at_s=1.0, page_at_s=1.0)


def test_server_rates_are_of_the_window() -> None:
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
def test_without_two_instants_of_one_server_nothing_is_known(
    before: ServerSample | None, after: ServerSample | None
) -> None:
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
def test_a_gap_a_reset_and_silence_are_problems_by_name(
    before: ServerSample, after: ServerSample, problem: str
) -> None:
    window = server_window(before, after)
    assert window.cpu is None
    assert problem in (window.problem or "")


def test_a_source_that_falls_silent_leaves_none_not_zero() -> None:
    window = server_window(ServerSample(at_s=0, cpu_seconds=1, dropped=0), ServerSample(at_s=1))
    assert window == ServerWindow()
