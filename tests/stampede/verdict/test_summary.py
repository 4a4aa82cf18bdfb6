"""The summary at the end of a run."""

from __future__ import annotations

from stampede.ledger.counts import DeliveryCounts, OrderCounts
from stampede.measure.report import Totals
from stampede.verdict.summary import RunResult, summary
from tests.stampede.measure.reports import report


def test_the_summary_puts_the_ledger_before_the_percentiles() -> None:
    lines = "\n".join(summary(RunResult(Totals([report(0)]))))
    assert "10 expected, 8 received, 2 lost, 0 duplicated, 0 reordered" in lines
    assert lines.index("expected") < lines.index("p99")
    assert "does not send fileReady" in lines
    assert "verdict     valid" in lines


def test_a_problem_of_one_worker_makes_the_whole_run_invalid() -> None:
    totals = Totals([report(0), report(1, problems=["CPU: 99% of a core"])])
    assert RunResult(totals).problems == ["worker 1: CPU: 99% of a core"]
    assert "INVALID     worker 1: CPU: 99% of a core" in "\n".join(summary(RunResult(totals)))


def test_a_run_without_any_delivery_has_no_percentiles() -> None:
    assert "p99 -" in "\n".join(summary(RunResult(Totals([]))))


def test_a_run_without_a_join_is_invalid_and_says_why() -> None:
    alone = report(0)
    alone.figures.requests["WS join"].count = 0
    assert RunResult(Totals([alone])).problems == ["no user joined a room; most often: connection refused"]


def test_a_run_without_users_of_the_chat_needs_no_join() -> None:
    alone = report(0)
    alone.figures.requests["WS join"].count = 0
    assert RunResult(Totals([alone]), has_chat_users=False).problems == []


def test_late_and_churned_deliveries_are_shown_beside_the_ledger() -> None:
    one = report(0)
    one.figures.deliveries.late, one.figures.deliveries.churned, one.figures.deliveries.foreign_clock = 3, 4, 5
    lines = "\n".join(summary(RunResult(Totals([one]))))
    assert "3 lost deliveries arrived late" in lines
    assert "not counted: 4 in flight when sender or receiver disconnected, 5 of another run" in lines


def test_losses_are_told_apart_by_address_if_there_are_several() -> None:
    one, words = report(0), "lost 0 of 10 within an address, 2 of 2 from a to b, 0 of 0 from b to a"
    assert "within an address" not in "\n".join(summary(RunResult(Totals([one]))))
    one.figures.address_pairs = {
        "a": {"a": DeliveryCounts(expected=10, received=10), "b": DeliveryCounts(expected=2, lost=2)},
    }
    assert words in "\n".join(summary(RunResult(Totals([one]))))


def test_the_summary_says_how_many_members_were_compared_and_divergent() -> None:
    lines = "\n".join(summary(RunResult(Totals([report(0), report(1)]))))
    assert "order       20 members compared over 12 messages in 2 samples of a room: 5 divergent" in lines
    assert "verdict     valid" in lines


def test_divergent_members_of_a_server_that_promises_no_order_are_no_fault() -> None:
    line = "no fault by itself: the dialect promises no common order"
    unordered, same = report(0), report(0)
    unordered.keeps_order = same.keeps_order = False
    same.figures.order = OrderCounts(samples=1, members=10, messages=6)
    assert line in "\n".join(summary(RunResult(Totals([unordered, report(1)]))))
    assert line not in "\n".join(summary(RunResult(Totals([report(0)]))))
    assert line not in "\n".join(summary(RunResult(Totals([same]))))


def test_a_run_in_which_no_order_was_compared_says_so_and_is_not_failed_by_it() -> None:
    one = report(0)
    one.figures.order = OrderCounts()
    lines = "\n".join(summary(RunResult(Totals([one]))))
    assert "order       not compared: " in lines
    assert "divergent" not in lines
    assert "verdict     valid" in lines


def test_a_dead_worker_is_shown_apart_with_its_last_figures() -> None:
    dead = report(1)
    lines = "\n".join(summary(RunResult(Totals([report(0)], dead=[dead]))))
    assert "10 expected, 8 received, 2 lost" in lines
    assert "dead        worker 1 (w1), not included above: 4 users, 1 sent, 11 expected, 8 received, 3 lost" in lines
