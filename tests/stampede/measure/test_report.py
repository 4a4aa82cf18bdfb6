"""The reports of all processes add up, even over the wire, and count from a reset on."""

from __future__ import annotations

import json
from dataclasses import replace

from stampede.measure.figures import RequestCounts
from stampede.measure.report import Totals, WorkerReport
from stampede.measure.request_names import CONNECT
from stampede.verdict.summary import RunResult
from tests.stampede.measure.reports import measured, report


def test_totals_are_sums_and_merged_histograms_even_over_the_wire() -> None:
    sent = [WorkerReport.from_message(json.loads(json.dumps(report(index).to_message()))) for index in (1, 0)]
    totals = Totals(sent)
    figures = totals.figures
    assert figures.deliveries.expected == 21
    assert (figures.sends.intended, figures.sends.sent, figures.sends.skipped) == (4, 2, 2)
    assert figures.latency.intended.count == figures.latency.sent.count == 16
    assert figures.request(CONNECT).reasons == {"connection refused": 6}
    assert figures.mean_room_size == 2.5
    assert [one.index for one in totals.reports] == [0, 1]


def test_deliveries_in_flight_at_a_reset_count_with_the_later_ones() -> None:
    before, after = measured(0), measured(0)
    for measures, counted in ((before, (30, 20, 4)), (after, (50, 45, 5))):
        counts = measures.address_pairs.between("", "")
        counts.expected, counts.received, counts.lost = counted
    after.sends.sent, after.drops["churn"] = 7, 2
    after.requests[CONNECT].failed("connection lost: 1006")
    earlier, later = replace(report(0), figures=before.figures()), replace(report(0), figures=after.figures(users=4))
    since = later.since(earlier)
    for ledger in (since.figures.deliveries, since.figures.address_pairs[""][""]):
        assert (ledger.expected, ledger.received, ledger.lost) == (26, 25, 1)
    assert (since.figures.sends.sent, since.figures.sends.skipped) == (6, 0)
    assert since.figures.drops == {"storm_user": 0, "storm": 0, "churn": 2}
    assert since.figures.request(CONNECT).reasons == {"connection refused": 0, "connection lost: 1006": 1}
    assert since.figures.latency.sent.count == 0
    assert (since.figures.users, since.joined_before) == (4, 1)


def test_users_that_joined_before_a_reset_count_as_joined() -> None:
    earlier = report(0)
    assert not any("no user joined" in problem for problem in RunResult(Totals([earlier.since(earlier)])).problems)


def test_a_drained_process_keeps_its_counts_and_updates_its_gauges() -> None:
    final, now = report(0), report(1)
    kept = now.with_counts_of(final)
    assert kept.figures.deliveries == final.figures.deliveries
    assert kept.figures.ready == now.figures.ready
    assert kept.index == 1


def test_a_drained_process_still_counts_requests_of_other_clients() -> None:
    final, now = report(0), report(1)
    now.figures.requests["GET /login"] = RequestCounts(3)
    assert now.with_counts_of(final).figures.requests["GET /login"].count == 3
