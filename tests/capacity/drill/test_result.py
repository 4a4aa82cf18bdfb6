from __future__ import annotations

import pytest

from capacity.drill.judge import CommandOutcome
from capacity.drill.result import drill_answer
from capacity.drill.timeline import Timeline
from capacity.errors import UsageError
from capacity.report.compare import compare
from tests.capacity import make
from tests.capacity.drill.make_drill import QUESTION, client, lost_twice, record, report, sentence, untouched, watch
from tests.capacity.pages import render_html


def test_the_sentence_says_who_was_dropped_when_they_were_back_and_what_the_others_felt() -> None:
    assert sentence(record()) == (
        "The command dropped 40 of 100 chatting users (rooms of 20, one message a second each); "
        "95 % were back in 1.60 s, all in 1.90 s; they missed 400 messages; the others' p99 was 9.04 ms. "
        "All was as before 3.00 s after the command had started."
    )


def test_users_that_were_dropped_again_are_counted_once_beside_their_outages() -> None:
    assert "The command dropped 40 of 100 chatting users (rooms of 20, one message a second each), in 55 outages;" in (
        sentence(record(lost_twice(watch())))
    )


def test_nobody_dropped_is_said_without_resync_times() -> None:
    text = sentence(record(untouched(), clients=make.client()))
    assert text.startswith("Nobody was dropped: all 100 chatting users (rooms of 20, one message a second each) stayed")
    assert "back in" not in text
    assert "missed" not in text


def test_users_that_are_not_back_are_said_with_the_slo() -> None:
    unknown = {"0.5": 0.8e9, "0.95": None, "1": None}
    text = sentence(record(watch(resynced=30, over=False, resync_ns=unknown)))
    assert "only 30 of them were back at the end" in text
    assert "SLOs not met: only 30 of 40 dropped users resynced within 5 s." in text


def test_times_are_from_the_start_of_the_command() -> None:
    drill = record()
    assert (drill.first_drop_seconds, drill.last_drop_seconds, drill.seconds_begin) == (0.5, 1.1, -0.4)
    assert (drill.resync_p50_seconds, drill.resync_p95_seconds, drill.resync_all_seconds) == (0.8, 1.6, 1.9)
    assert (drill.reconnects, drill.reconnects_busiest_second) == (40, 31)


def test_nobody_is_unaffected_if_all_were_dropped() -> None:
    assert record(watch(dropped=100, outages=100, resynced=100)).unaffected_p99_ms is None


def test_a_drill_whose_command_did_not_run_says_why() -> None:
    answer = drill_answer(QUESTION, None, "missed deliver_p99<250ms: 1.84 s", complete=True)
    assert answer.headline == "?"
    assert answer.sentence == (
        "The command did not run. Before it, with 100 chatting users (rooms of 20, one message a second each): "
        "missed deliver_p99<250ms: 1.84 s."
    )


def test_the_page_has_the_figures_the_chart_and_the_output_of_the_command() -> None:
    failed = CommandOutcome(3, None, "no such image <b>")
    page = render_html(report(record(outcome=failed, output=("deploying", "no such image <b>"))))
    for text in (
        "40 of 100",
        "Users, connections and latency during the drill",
        "Of 100 users at least 70 were in their rooms; at most 30 connections were lost in a second, 31 were opened",
        "no such image &lt;b&gt;",
        "connection lost: 1012",
        "31 in the busiest second",
    ):
        assert text in page.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " "), text
    assert page.count("<svg") == 2
    assert "<title>40 of 100 chatting users were dropped - drill</title>" in page


def test_a_page_of_an_interrupted_drill_without_readings_is_complete() -> None:
    page = render_html(report(record(untouched(), clients=client(), time=Timeline(100, 250.0))))
    assert "Of 100 users at least 100 were in their rooms" in page.replace("\N{NO-BREAK SPACE}", " ")


def test_a_drill_is_not_compared_with_a_run_of_another_kind() -> None:
    with pytest.raises(UsageError, match="one of the reports is of a drill, another is not"):
        compare([report(record())], [make.report([make.step(100)])], 0.1)


def test_drills_are_compared_by_what_their_users_felt() -> None:
    found = compare([report(record(untouched()))], [report(record())], 0.1)
    rows = {row.name: (row.before, row.after, row.change) for row in found.rows}
    assert rows["drill: users dropped"] == ("0", "40", "worse")
    assert rows["drill: messages missed"] == ("0", "400", "worse")
    assert not any(name.startswith("capacity") for name in rows)
    assert found.worse == ()


def test_a_drill_that_passed_and_now_fails_is_decisive() -> None:
    found = compare([report(record())], [report(record(clients=client(6000.0)))], 0.1)
    assert found.worse == ("drill: verdict: pass before, fail after",)
