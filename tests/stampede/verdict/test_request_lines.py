"""The summary's lines about requests that are not built in."""

from __future__ import annotations

import pytest

from stampede.measure.figures import RequestCounts, no_figures
from stampede.measure.measures import Measures
from stampede.measure.report import Totals
from stampede.measure.request_names import MAX_OWN_NAMES
from stampede.verdict.request_lines import request_lines, why_unmeasured
from stampede.verdict.slo import parse_slo
from stampede.verdict.summary import RunResult, summary
from stampede.verdict.thresholds import Threshold
from tests.figures import histogram
from tests.stampede.measure.reports import report


def test_each_name_has_a_line_with_counts_and_percentiles() -> None:
    made = no_figures()
    made.requests["WS look around"] = RequestCounts(3, 1, {"no reply": 1}, histogram(5, 20))
    made.requests["GET /login"] = RequestCounts(2, 2, {"HTTPError": 2})
    made.requests["WS forgotten"] = RequestCounts()
    first, second = request_lines(made)
    assert first.startswith("look around         3 requests, 1 failed  p50 ")
    assert second == "GET /login          2 requests, 2 failed  p50 -  p99 -"


def test_built_in_requests_have_no_line() -> None:
    measures = Measures()
    measures.request("join").done(1)
    assert request_lines(measures.figures()) == []


def test_requests_beyond_the_limit_of_names_are_reported() -> None:
    measures = Measures()
    for number in range(MAX_OWN_NAMES):
        measures.request(f"page {number}").done(1)
    assert "counted as" not in request_lines(measures.figures())[-1]
    for number in range(MAX_OWN_NAMES, MAX_OWN_NAMES + 7):
        measures.request(f"page {number}").failed("no reply")
    lines = request_lines(measures.figures())
    assert lines[-2] == "other               7 requests, 7 failed  p50 -  p99 -"
    assert lines[-1] == "7 requests had names beyond the first 100: counted as `other`"


def test_a_scenario_may_use_the_name_other_without_a_note() -> None:
    measures = Measures()
    measures.request("other").done(1_000_000)
    assert len(request_lines(measures.figures())) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("look aroun:p99<1s", "no request of this name; did you mean 'look around'?"),
        ("login:p99<1s", "no request of this name; did you mean 'GET /login'?"),
        ("nothing like it:errors<1%", "no request of this name"),
        ("GET /login:p99<1s", "no request succeeded"),
        ("resync_p99<1s", "no samples"),
    ],
)
def test_an_unmeasured_threshold_says_why(text: str, why: str) -> None:
    made = no_figures()
    made.requests["WS look around"] = RequestCounts(1, 0, {}, histogram(5))
    made.requests["GET /login"] = RequestCounts(2, 2, {"HTTPError": 2})
    assert why_unmeasured(parse_slo(text), made) == why


def test_the_summary_names_a_threshold_on_a_name_that_never_occurred() -> None:
    threshold = Threshold(parse_slo("look aroun:p99<1s"))
    result = RunResult(Totals([report(0)]), thresholds=[threshold])
    lines = summary(result)
    assert "  thresholds  look aroun:p99<1s    unmeasured: no request of this name" in lines
    assert result.exit_code == 98
