"""The counts and durations of a process."""

from __future__ import annotations

import pytest

from stampede.measure.log_linear_histogram import LogLinearHistogram
from stampede.measure.measures import Measures
from stampede.measure.request_names import DELIVER, MAX_OWN_NAMES, NAMES


def test_extreme_latencies_are_counted_like_others() -> None:
    measures = Measures()
    for by_intended, by_sent in ((0, 0), (63, 63), (64, 0), (1 << 50, 1 << 49), ((1 << 43) - 1, 64), (1 << 43, 5)):
        measures.delivered(by_intended, by_sent)
        expected = LogLinearHistogram()
        expected.record(by_intended)
        assert (measures.latency.intended - expected).count == measures.latency.intended.count - 1
    assert measures.latency.sent.count == 6


def test_requests_of_other_clients_are_rows_but_not_part_of_what_locust_s_table_gets() -> None:
    measures = Measures()
    login = measures.request_of_other_client("GET", "/login")
    login.done(5_000_000)
    login.done(None)
    login.failed("HTTPError")
    row = measures.figures().requests["GET /login"]
    assert (row.count, row.failures, row.reasons, row.times.count) == (3, 1, {"HTTPError": 1}, 1)
    assert set(measures.requests) == set(NAMES)


def test_another_client_with_our_method_and_a_known_name_is_added_to_the_row() -> None:
    measures = Measures()
    measures.request("join").done(1)
    measures.request_of_other_client("WS", "join").done(1)
    assert measures.figures().request("join").count == 2


def test_names_of_scenarios_and_of_other_clients_share_one_limit() -> None:
    measures = Measures()
    for number in range(MAX_OWN_NAMES):
        measures.request(f"page {number}").done(1)
        measures.request_of_other_client("GET", f"/{number}").done(1)
    rows = measures.figures().requests
    assert len(rows) == len(NAMES) + MAX_OWN_NAMES + 1
    assert rows["WS other"].count == MAX_OWN_NAMES
    assert sum(row.count for row in rows.values()) == 2 * MAX_OWN_NAMES


def test_names_of_thresholds_are_kept_beyond_the_limit() -> None:
    measures = Measures(["late", "GET /late"])
    for number in range(2 * MAX_OWN_NAMES):
        measures.request(f"page {number}").done(1)
    measures.request("late").done(1)
    measures.request_of_other_client("GET", "/late").done(1)
    rows = measures.figures().requests
    assert (rows["WS late"].count, rows["GET /late"].count, rows["WS other"].count) == (1, 1, MAX_OWN_NAMES)


def test_after_the_end_only_requests_of_other_clients_are_counted() -> None:
    measures = Measures()
    measures.request("search").done(1)
    measures.finish()
    measures.request("search").done(1)
    measures.request_of_other_client("GET", "/").done(1)
    rows = measures.figures().requests
    assert (rows["WS search"].count, rows["GET /"].count) == (1, 1)


@pytest.mark.parametrize("name", ["send", "deliver", "resync"])
def test_a_row_that_the_ledger_fills_repeats_no_durations(name: str) -> None:
    measures = Measures()
    measures.requests[name].done(1)
    measures.address_pairs.between("", "").received += name == DELIVER
    figures = measures.figures()
    assert figures.request(name).times.count == 0
    times = figures.times_of(name)
    assert times is not None
    assert times.count == figures.request(name).count == 1
