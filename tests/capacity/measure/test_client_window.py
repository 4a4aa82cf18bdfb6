from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from capacity.config.slo import parse_slo
from capacity.errors import RunError
from capacity.measure.client_window import (
    ClientWindow,
    MissingDataError,
    WorkerWindow,
    client_window,
    mean_ms,
    parse_snapshot,
    quantile_ms,
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
        "unconfirmed_joins": 0,
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
    assert (window.operations, window.failures, failures_of(window)) == (50, 1, {"WS connect": 1})
    assert window.workers[0].cpu == pytest.approx(0.5)
    assert window.workers[0].loop_lag_p99_ms == pytest.approx(20, rel=0.02)
    assert window.keeping_up == pytest.approx(392 / 400)


def test_requests_that_scenarios_name_may_appear_during_a_window_and_slos_may_bound_them() -> None:
    old, new = {"count": 3, "failures": 1, "times": sparse(9, 9)}, {"count": 5, "failures": 1, "times": sparse(40)}
    before = snapshot(requests={"WS look around": old})
    after = snapshot(
        monotonic_ns=4_000_000_000,
        requests={"WS look around": {"count": 4, "failures": 1, "times": sparse(9, 9, 70)}, "GET /login": new},
    )
    window = client_window(before, after)
    assert parse_slo("look around:p99<1s").value(window) == pytest.approx(70, rel=0.02)
    assert parse_slo("look around:errors<1%").value(window) == 0
    assert parse_slo("GET /login:max<1s").value(window) == pytest.approx(40, rel=0.02)
    assert parse_slo("GET /login:errors<1%").value(window) == pytest.approx(0.2)
    assert parse_slo("never used:p99<1s").value(window) is None
    assert (window.operations, window.failures) == (6, 1)


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
    ids=["unchanged", "counter reset", "histogram reset", "worker gone", "worker replaced"],
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
def test_a_response_of_another_form_is_not_a_snapshot(body: bytes) -> None:
    with pytest.raises(RunError, match="snapshot cannot be read"):
        parse_snapshot(body)


def test_a_snapshot_of_another_version_is_refused() -> None:
    with pytest.raises(RunError, match="version 2"):
        snapshot(version=2)


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
    "workers": [worker(cpu_seconds=2.0, age_s=0.25, loop_lag=sparse(500), send_lag=sparse(600))],
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
            loop_lag=sparse(500, 20),
            send_lag=sparse(600, 30),
            rss_bytes=77,
        )
    ],
}


def failures_of(window: ClientWindow) -> dict[str, int]:
    return {name: counts.failures for name, counts in window.requests.items() if counts.failures}


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
    assert failures_of(window) == {"WS connect": 4, "WS ping": 1, "WS deliver": 9}
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


@pytest.mark.parametrize("lag", ["loop_lag", "send_lag"])
def test_a_falling_lag_histogram_is_missing_data(lag: str) -> None:
    fallen = AFTER | {"workers": [AFTER["workers"][0] | {lag: EMPTY}]}
    with pytest.raises(MissingDataError, match=r"^a histogram count went down: the process behind it was restarted$"):
        client_window(snapshot(**BEFORE), snapshot(**fallen))


def test_missing_data_has_a_reason() -> None:
    before = snapshot(**BEFORE)
    with pytest.raises(MissingDataError, match=r"^the load generator's figures do not change$"):
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
