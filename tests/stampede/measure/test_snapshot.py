"""Merging reports is adding, and the snapshot has the form that others rely on."""

from __future__ import annotations

import json

import msgspec

from stampede.measure.log_linear_histogram import LogLinearHistogram
from stampede.measure.measures import CONNECT, JOIN, NAMES, Measures
from stampede.measure.snapshot import Report, Totals, deliveries_of, requests_of, sends_of, since, snapshot
from stampede.measure.summary import Outcome, summary


def report(index: int, *, problems: list[str] | None = None) -> Report:
    measures = Measures()
    measures.deliveries.expected = 10 + index
    measures.deliveries.received = 8
    measures.deliveries.lost = 2 + index
    for ns in range(8):
        measures.delivered(1_000_000 * (ns + index), 1_000)
    measures.sent_after(5)
    measures.skip("skipped: too late")
    measures.requests[CONNECT].done(7)
    measures.requests[JOIN].done(7)
    measures.requests[CONNECT].failed("connection refused", 3)
    return Report(
        run=1,
        id=f"w{index}",
        index=index,
        pid=100 + index,
        final=True,
        users=4,
        connections=3,
        ready=2,
        rooms=1,
        members=2 + index,
        cpu_seconds=1.5,
        cpu_share=0.25,
        rss_bytes=1000,
        sends=sends_of(measures),
        deliveries=deliveries_of(measures),
        by_sent=measures.by_sent.to_sparse(),
        loop_lag=measures.loop_lag.to_sparse(),
        requests=requests_of(measures),
        drops={"storm": 1},
        storms=[],
        lacking=["fileReady"],
        problems=problems or [],
    )


def test_totals_are_sums_and_merged_histograms_even_over_the_wire() -> None:
    sent = [msgspec.convert(json.loads(msgspec.json.encode(report(index))), Report) for index in (1, 0)]
    totals = Totals(sent)
    assert totals.deliveries.expected == 21
    assert (totals.sends.intended, totals.sends.sent, totals.sends.skipped) == (4, 2, 2)
    assert totals.by_intended.count == totals.by_sent.count == 16
    assert totals.failures[CONNECT] == {"connection refused": 6}
    assert totals.room_size == 2.5
    assert [one.index for one in totals.reports] == [0, 1]


def test_what_was_in_flight_at_a_reset_counts_with_what_came_after_it() -> None:
    earlier = report(0)
    earlier.deliveries.expected, earlier.deliveries.received, earlier.deliveries.lost = 30, 20, 4
    later = report(0)
    later.deliveries.expected, later.deliveries.received, later.deliveries.lost = 50, 45, 5
    later.sends.sent, later.drops["churn"] = 7, 2
    later.requests[CONNECT].failures["connection lost: 1006"] = 1
    counted = since(later, earlier)
    assert (counted.deliveries.expected, counted.deliveries.received, counted.deliveries.lost) == (26, 25, 1)
    assert (counted.sends.sent, counted.sends.skipped) == (6, 0)
    assert counted.drops == {"storm": 0, "churn": 2}
    assert counted.requests[CONNECT].failures == {"connection lost: 1006": 1}
    assert LogLinearHistogram.from_sparse(counted.by_sent).count == 0
    assert (counted.users, counted.joined_before) == (4, 1)


def test_a_run_whose_users_joined_before_a_reset_is_not_one_in_which_nobody_joined() -> None:
    earlier = report(0)
    times = LogLinearHistogram()
    times.record(5)
    earlier.requests[JOIN].times = times.to_sparse()
    assert not any("nobody joined" in problem for problem in Outcome(Totals([since(earlier, earlier)])).problems)


def test_the_snapshot_is_json_with_the_documented_keys() -> None:
    made = json.loads(json.dumps(snapshot(Totals([report(0)]), state="running", now=5, ages={"w0": 0.25})))
    assert set(made) == {
        *("version", "state", "monotonic_ns", "users", "connections", "ready", "sends", "deliveries", "latency"),
        *("requests", "resync", "send_lag", "room_size", "workers", "dead_workers", "drops", "storms", "addresses"),
        "faults",
    }
    assert set(made["sends"]) == {"intended", "sent", "late", "skipped", "held"}
    assert set(made["deliveries"]) == {"expected", "received", "lost", "duplicated", "reordered", "foreign_clock"}
    assert made["requests"]["WS connect"] == {"count": 4, "failures": 3}
    assert set(made["requests"]) == {f"WS {name}" for name in NAMES}
    assert LogLinearHistogram.from_sparse(made["latency"]["intended"]).count == 8
    (worker,) = made["workers"]
    assert set(worker) == {
        *("id", "pid", "index", "users", "cpu_seconds", "loop_lag", "send_lag", "rss_bytes", "age_s", "problems"),
    }
    assert worker["age_s"] == 0.25


def test_the_summary_puts_the_ledger_before_the_percentiles() -> None:
    lines = "\n".join(summary(Outcome(Totals([report(0)]))))
    assert "10 expected, 8 received, 2 lost, 0 duplicated, 0 reordered" in lines
    assert lines.index("expected") < lines.index("p99")
    assert "never answers with fileReady" in lines
    assert "verdict     valid" in lines


def test_one_worker_s_problem_makes_the_whole_run_invalid_and_names_it() -> None:
    totals = Totals([report(0), report(1, problems=["CPU: 99% of a core"])])
    assert Outcome(totals).problems == ["worker 1: CPU: 99% of a core"]
    assert "INVALID     worker 1: CPU: 99% of a core" in "\n".join(summary(Outcome(totals)))


def test_a_run_without_any_delivery_has_no_percentiles() -> None:
    assert "p99 -" in "\n".join(summary(Outcome(Totals([]))))


def test_extreme_latencies_are_counted_like_others() -> None:
    measures = Measures()
    for by_intended, by_sent in ((0, 0), (63, 63), (64, 0), (1 << 50, 1 << 49), ((1 << 43) - 1, 64), (1 << 43, 5)):
        measures.delivered(by_intended, by_sent)
        expected = LogLinearHistogram()
        expected.record(by_intended)
        assert measures.by_intended.since(expected).count == measures.by_intended.count - 1
    assert measures.by_sent.count == 6
