"""The summary of a run in Markdown."""

from __future__ import annotations

import pytest

from stampede.measure.report import Totals
from stampede.verdict.step_summary import step_summary
from stampede.verdict.summary import Circumstances, RunResult
from stampede.verdict.summary_data import summary_data
from tests.stampede.verdict.summaries import result


def lines(run: RunResult) -> list[str]:
    return step_summary(summary_data(run)).splitlines()


@pytest.mark.parametrize(
    ("texts", "problems", "words"),
    [
        ((), [], "valid, without thresholds"),
        (("loss<5%",), [], "passed, all thresholds met"),
        (("loss<1%", "errors<1%"), [], "failed, 1 of 2 thresholds not met"),
        (("loss<1%",), ["CPU: 99% of a core"], "invalid, the results are not usable"),
        (("resync_p95<5s",), [], "invalid, the results are not usable"),
    ],
)
def test_the_heading_is_the_verdict(texts: tuple[str, ...], problems: list[str], words: str) -> None:
    assert lines(result(*texts, problems=problems))[0] == f"### Load test: {words}"


def test_thresholds_ledger_and_latency_are_tables() -> None:
    shown = lines(result("loss<1%", circumstances=Circumstances(users=20, seconds=12.5, scenario="ChattingUser=1")))
    assert "20 users, 12.5 s, ChattingUser=1" in shown
    assert "| `loss<1%` | failed in 1 of 2 windows: worst 2 % |" in shown
    assert "| messages | 10 | 8 | 2 | 0 | 0 |" in shown
    assert any(line.startswith("| from actual send | 0.001 ms | ") for line in shown)


def test_what_is_unknown_is_a_dash() -> None:
    shown = lines(RunResult(Totals([])))
    assert "| messages | - | - | - | - | - |" in shown
    assert "| from intended send | - | - | - | - | - |" in shown


def test_a_bar_or_a_line_break_does_not_break_a_table() -> None:
    shown = lines(result("a|b:p95<1s", problems=["one\ntwo"]))
    assert "| `a\\|b:p95<1s` | unmeasured: no window had a sample |" in shown
    assert "- one two" in shown
