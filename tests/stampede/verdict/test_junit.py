"""The summary of a run as a JUnit report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stampede.verdict.junit import junit_report
from stampede.verdict.summary_data import summary_data
from tests.stampede.verdict.junit_schema import cases, problems
from tests.stampede.verdict.summaries import result

if TYPE_CHECKING:
    from stampede.verdict.summary import RunResult


def outcomes(run: RunResult) -> dict[str, tuple[str, str]]:
    """Return what became of each test case, by name: the element in it and its message."""
    body = junit_report(summary_data(run), ["the summary"])
    assert problems(body) == []
    return {
        name: next(((one.tag, one.attrib["message"]) for one in found), ("passed", ""))
        for name, found in cases(body).items()
    }


def test_thresholds_that_are_met_pass() -> None:
    names = ("verdict", "loss<5%", "errors<1%")
    assert outcomes(result("loss<5%", "errors<1%")) == dict.fromkeys(names, ("passed", ""))


def test_a_threshold_that_is_not_met_is_a_failure_with_its_figures() -> None:
    found = outcomes(result("loss<1%", "errors<1%"))
    assert found["loss<1%"] == ("failure", "failed in 1 of 2 windows: worst 2 %")
    assert found["verdict"] == found["errors<1%"] == ("passed", "")


def test_an_unmeasured_threshold_is_an_error() -> None:
    found = outcomes(result("loss<1%", "resync_p95<5s"))
    assert found["resync_p95<5s"] == ("error", "unmeasured: no window had a sample")
    assert found["loss<1%"][0] == "failure"


def test_an_invalid_run_is_an_error_and_fails_no_threshold() -> None:
    found = outcomes(result("loss<1%", "errors<1%", problems=["CPU: 99% of a core"]))
    assert found["verdict"] == ("error", "CPU: 99% of a core")
    assert found["loss<1%"] == ("skipped", "the run is invalid; failed in 1 of 2 windows: worst 2 %")
    assert found["errors<1%"][0] == "skipped"


@pytest.mark.parametrize("text", ["nul \x00", "escape \x1b[1m", "half \ud800", "<&\"'>", "\ufffe"])
def test_a_text_of_a_server_does_not_break_the_report(text: str) -> None:
    (_, message) = outcomes(result(problems=[text]))["verdict"]
    assert message.isprintable()
