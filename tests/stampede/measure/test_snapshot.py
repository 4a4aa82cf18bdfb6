"""The snapshot has the JSON form that others rely on."""

from __future__ import annotations

import json
from dataclasses import replace

from stampede.measure.drop_causes import DROP_CAUSES
from stampede.measure.log_linear_histogram import LogLinearHistogram
from stampede.measure.report import Totals, WorkerReport
from stampede.measure.request_names import NAMES
from stampede.measure.snapshot import Snapshot, WorkerState, snapshot
from tests.stampede.measure.reports import report


def test_the_snapshot_is_json_with_the_documented_keys() -> None:
    made = json.loads(snapshot(Totals([report(0)]), state="running", now=5, ages={"w0": 0.25}).to_json())
    assert set(made) == {
        *("version", "state", "monotonic_ns", "users", "connections", "ready", "rooms", "sends", "deliveries"),
        *(
            "latency",
            "requests",
            "resync",
            "resynced_by_pong",
            "unconfirmed_joins",
            "cut_off",
            "members",
            "timed_users",
            "other_users",
            "send_lag",
            "loop_lag",
            "room_size",
            "dialect",
            "workers",
        ),
        *("dead_workers", "drops", "storms", "addresses", "faults", "order", "address_pairs"),
    }
    assert made["order"] == {"samples": 1, "members": 10, "messages": 6, "divergent": 2}
    assert set(made["sends"]) == {"intended", "sent", "late", "skipped", "held"}
    assert set(made["deliveries"]) == {
        *("expected", "received", "lost", "duplicated", "reordered", "foreign_clock", "late", "churned"),
    }
    assert made["requests"]["WS connect"] == {
        "count": 4,
        "failures": 3,
        "reasons": {"connection refused": 3},
        "times": {"total": 7, "buckets": {"7": 1}},
    }
    assert set(made["requests"]) == {f"WS {name}" for name in NAMES}
    assert LogLinearHistogram.from_sparse(made["latency"]["intended"]).count == 8
    (worker,) = made["workers"]
    assert set(worker) == {
        *("id", "pid", "index", "users", "cpu_seconds", "loop_lag", "send_lag", "rss_bytes", "age_s", "problems"),
        *("host", "failure", "state", "connections"),
    }
    assert worker["age_s"] == 0.25


def test_a_snapshot_is_read_as_it_was_written() -> None:
    made = snapshot(Totals([report(0)], dead=[report(1)]), state="running", now=5, ages={"w0": 0.25})
    read = Snapshot.from_json(made.to_json())
    assert [worker.id for worker in read.dead_workers] == ["w1"]
    assert (read.instant_s, read.room_size, read.deliveries) == (5e-9 - 0.25, 2.0, made.deliveries)
    assert read.workers[0].send_lag.count == made.workers[0].send_lag.count == 1


def test_a_snapshot_has_the_host_of_each_process_and_the_state_of_its_connection() -> None:
    reports = [replace(report(0), host="a"), replace(report(1), host="b")]
    states = {"w1": WorkerState.ENDED}
    made = Snapshot.from_json(snapshot(Totals(reports), state="running", now=5, ages={}, states=states).to_json())
    assert [(worker.host, worker.state) for worker in made.workers] == [("a", "connected"), ("b", "ended")]


def test_a_report_without_a_host_is_read() -> None:
    message = report(0).to_message()
    del message["host"]
    assert WorkerReport.from_message(message).host == ""


def test_a_snapshot_without_reports_has_all_requests_and_drop_causes() -> None:
    made = snapshot(Totals([]), state="ready", now=5, ages={})
    assert set(made.requests) == {f"WS {name}" for name in NAMES}
    assert made.drops == dict.fromkeys(DROP_CAUSES, 0)


def test_the_moment_of_a_snapshot_without_workers_is_that_of_the_merge() -> None:
    assert snapshot(Totals([]), state="ready", now=7_000_000_000, ages={}).instant_s == 7.0
