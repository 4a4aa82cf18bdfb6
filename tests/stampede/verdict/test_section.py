"""The verdict as a section of a page: its texts and tables have the figures of the terminal."""

from __future__ import annotations

import re

from stampede.measure.report import Totals
from stampede.measure.storm import Storm
from stampede.measure.storm_results import results
from stampede.verdict.section import Section, section
from stampede.verdict.summary import Circumstances, RunResult, summary
from tests.stampede.measure.reports import report
from tests.stampede.verdict.summaries import result

SECOND = 1_000_000_000


def texts(shown: Section) -> list[str]:
    """Return each text of a section that has figures, as the terminal shows it."""
    return [
        *shown.problems,
        *shown.advice,
        *shown.delivery_notes,
        *shown.notes,
        *(cell for table in (shown.latency, shown.generator) for row in table.rows for cell in row[1:5]),
        *(cell for row in shown.storms.rows for cell in row),
    ]


def test_every_figure_is_one_of_the_terminal() -> None:
    storm = Storm(1, 10 * SECOND, 4.0, 8)
    for index in range(4):
        storm.drop(10 * SECOND + 1_000_000 * index)
    totals = Totals([report(0, problems=["CPU: 99% of a core"]), report(1)])
    run = RunResult(totals, results([storm.part(13 * SECOND)]), notes=["statistics were reset"])
    terminal = "\n".join(summary(run))
    shown = texts(section(run))
    assert len(shown) > 25
    assert [text for text in shown if text.removeprefix("order: ") not in terminal] == []


def test_a_failed_threshold_has_its_windows() -> None:
    (row,) = section(result("loss<1%")).thresholds
    assert (row.expression, row.words) == ("loss<1%", "failed")
    assert row.windows == "missed in 1 of 2 windows; worst 2 % (0:10-0:20)"


def test_a_run_that_lasts_has_its_latest_window_and_what_is_in_flight() -> None:
    shown = section(result("loss<1%", circumstances=Circumstances(has_ended=False, users=3, seconds=61, dialect="x")))
    assert shown.is_so_far
    assert shown.thresholds[0].windows.endswith("; latest 2 % (0:10-0:20)")
    assert shown.deliveries.titles[-1] == "in flight"
    assert shown.facts == "3 users, 1:01 min, dialect x"


def test_a_threshold_without_a_window_says_what_a_window_takes_or_why_there_was_none() -> None:
    (row,) = section(result("search:p95<1s")).thresholds
    assert row.windows == "no request of this name"
    (row,) = section(result("search:p95<1s", circumstances=Circumstances(has_ended=False, seconds=9))).thresholds
    assert row.windows == "a window takes 10 s and 20 samples"


def test_an_unmeasured_threshold_is_a_reason_why_the_run_is_invalid() -> None:
    assert section(result("search:p95<1s")).problems == ["search:p95<1s unmeasured: no request of this name"]


def test_nothing_is_known_of_a_run_without_a_report() -> None:
    shown = section(RunResult(Totals([])))
    assert {cell for row in (*shown.deliveries.rows, *shown.latency.rows) for cell in row[1:]} == {"-"}
    assert list(shown.generator_notes) == ["no process has reported"]


def test_a_single_user_is_in_the_singular() -> None:
    assert section(result(circumstances=Circumstances(users=1))).facts == "1 user"


def test_the_users_whose_deliveries_were_timed_are_told_if_they_are_not_all() -> None:
    assert section(result(circumstances=Circumstances(users=20, timed_users=20))).latency_notes == []
    notes = section(result(circumstances=Circumstances(users=20, timed_users=5))).latency_notes
    assert notes == ["timed: the deliveries of 5 of 20 users"]


def test_what_locust_s_aggregated_row_mixes_is_told_with_its_numbers() -> None:
    run = RunResult(Totals([report(0)]))
    (note,) = section(run).notes
    found = re.fullmatch(r"Locust's row Aggregated mixes (\d+) deliveries with (\d+) requests: .*", note)
    assert found is not None
    rows = run.totals.figures.requests
    assert int(found[1]) == rows["WS deliver"].count
    assert int(found[1]) + int(found[2]) == sum(row.count for row in rows.values())
