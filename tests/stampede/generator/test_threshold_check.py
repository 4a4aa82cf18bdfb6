"""The thresholds of a test that runs without Locust."""

from __future__ import annotations

from stampede.generator.threshold_check import problem_in
from stampede.measure.figures import RequestCounts, no_figures
from stampede.verdict.slo import parse_slo
from tests.figures import histogram


def test_the_error_lists_own_requests_and_says_why_a_threshold_is_unmeasured() -> None:
    figures = no_figures()
    figures.requests["WS look around"] = RequestCounts(3, 1, {"no reply": 1}, histogram(5, 5))
    slos = [parse_slo("look around:errors<1%"), parse_slo("look abound:p99<1s")]
    problem = problem_in(figures, slos, 1.0, [])
    assert problem is not None
    head, failed, unmeasured, requests, *_ = problem.splitlines()
    assert head == "2 of 2 thresholds not met"
    assert failed == "  look around:errors<1% FAILED in 1 of 1 windows: worst 33.3 % (0:00-0:01)"
    assert unmeasured.endswith("unmeasured: no request of this name; did you mean 'look around'?")
    assert requests.startswith("  look around         3 requests, 1 failed  p50 ")
