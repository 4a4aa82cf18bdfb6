"""Thresholds are judged window by window, and decide the exit code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stampede.generator_faults import Fault, FaultKind
from stampede.measure.figures import Figures, Latency
from stampede.measure.log_linear_histogram import LogLinearHistogram
from stampede.measure.report import Totals
from stampede.verdict.slo import SloError, parse_slo
from stampede.verdict.summary import FAILED, INVALID, MET, RunResult, summary
from stampede.verdict.thresholds import JudgedWindow, Threshold, describe
from tests.figures import figures
from tests.stampede.measure.reports import report


def latencies(*counted: tuple[int, int]) -> LogLinearHistogram:
    """Return a histogram of deliveries, given as pairs of their number and their milliseconds."""
    histogram = LogLinearHistogram()
    for n, ms in counted:
        for _ in range(n):
            histogram.record(ms * 1_000_000)
    return histogram


def delivered(*counted: tuple[int, int]) -> Figures:
    return figures(latency_intended=latencies(*counted), latency_sent=latencies(*counted))


def test_a_bad_window_fails_although_the_whole_run_would_pass() -> None:
    threshold = Threshold(parse_slo("deliver_p99<250ms"), 10)
    threshold.update(10, delivered((1000, 5)))
    threshold.update(20, delivered((1000, 5), (50, 900), (50, 5)))
    threshold.update(30, delivered((9000, 5), (50, 900), (50, 5)))
    threshold.conclude(40, delivered((19000, 5), (50, 900), (50, 5)))
    assert (threshold.judged, threshold.missed) == (3, 1)
    assert describe(threshold).startswith("deliver_p99<250ms    FAILED in 1 of 3 windows: worst ")
    assert describe(threshold).endswith("(0:10-0:20)")


def test_a_window_is_as_long_as_configured() -> None:
    threshold = Threshold(parse_slo("loss<1%"), 10)
    threshold.update(9.9, figures(expected=1000, lost=500))
    assert threshold.judged == 0
    threshold.update(10, figures(expected=1000, lost=500))
    assert (threshold.judged, threshold.missed) == (1, 1)


def test_a_window_grows_until_it_has_enough_samples() -> None:
    threshold = Threshold(parse_slo("deliver_p99<250ms"), 10)
    threshold.update(10, delivered((49, 5), (1, 900)))
    assert threshold.judged == 0
    threshold.update(20, delivered((149, 5), (1, 900)))
    assert (threshold.judged, threshold.missed) == (1, 0)


def test_the_rest_of_a_run_is_judged_with_the_last_window() -> None:
    threshold = Threshold(parse_slo("loss<1%"), 10)
    threshold.update(10, figures(expected=1000))
    threshold.conclude(11, figures(expected=1000, lost=20))
    assert (threshold.judged, threshold.missed) == (1, 1)
    saved = Threshold(parse_slo("loss<1%"), 10)
    saved.update(10, figures(expected=1000, lost=20))
    saved.conclude(11, figures(expected=9000, lost=20))
    assert (saved.judged, saved.missed) == (1, 1)


def test_a_last_window_that_fails_alone_and_with_the_rest_is_one_failed_window() -> None:
    threshold = Threshold(parse_slo("loss<1%"), 10)
    threshold.update(10, figures(expected=1000))
    threshold.update(20, figures(expected=2000, lost=20))
    assert (threshold.judged, threshold.missed) == (2, 1)
    threshold.conclude(21, figures(expected=2100, lost=40))
    assert (threshold.judged, threshold.missed) == (2, 1)
    assert threshold.worst is not None
    assert (threshold.worst.start, threshold.worst.end) == (10, 21)


def test_the_latest_window_tells_whether_a_threshold_fails_now() -> None:
    threshold = Threshold(parse_slo("loss<1%"), 10)
    assert (threshold.latest, threshold.is_failing) == (None, False)
    threshold.update(10, figures(expected=1000, lost=20))
    assert threshold.is_failing
    threshold.update(20, figures(expected=2000, lost=20))
    assert (threshold.latest, threshold.is_failing) == (JudgedWindow(10, 20, 0.0), False)
    threshold.conclude(21, figures(expected=2100, lost=40))
    assert threshold.is_failing
    assert threshold.latest is not None
    assert (threshold.latest.start, threshold.latest.end) == (10, 21)


def test_windows_begin_where_the_figures_count_from() -> None:
    threshold = Threshold(parse_slo("loss<1%"), 10, 25.0)
    threshold.update(34.9, figures(expected=1000, lost=500))
    assert threshold.judged == 0
    threshold.conclude(35, figures(expected=1000, lost=500))
    assert describe(threshold).endswith("(0:25-0:35)")


def test_a_short_run_is_one_window() -> None:
    threshold = Threshold(parse_slo("errors<=50%"), 10)
    threshold.conclude(2, figures(operations=2, failures=1))
    assert threshold.is_met


def test_the_larger_of_both_latencies_counts() -> None:
    uneven = replace(delivered((100, 5)), latency=Latency(latencies((100, 500)), latencies((100, 5))))
    threshold = Threshold(parse_slo("deliver_p50<250ms"), 10)
    threshold.conclude(2, uneven)
    assert threshold.missed == 1


@pytest.mark.parametrize(
    ("texts", "exceptions", "code", "words"),
    [
        (("loss<1%",), 0, MET, "kept up, the threshold was met"),
        (("loss<1%", "errors<51%"), 0, MET, "kept up, all 2 thresholds met"),
        (("errors<1%",), 0, FAILED, "FAILED: the threshold was not met (exit code 99)"),
        (("loss<1%", "errors<1%"), 0, FAILED, "1 of 2 thresholds not met (exit code 99)"),
        (("resync_p95<5s",), 0, INVALID, "unmeasured: the threshold had no samples (exit code 98)"),
        (("loss<1%", "resync_p95<5s"), 0, INVALID, "1 of 2 thresholds had no samples (exit code 98)"),
        (("errors<1%", "resync_p95<5s"), 0, FAILED, "1 of 2 thresholds not met, 1 unmeasured (exit code 99)"),
        (("loss<1%",), 3, INVALID, "INVALID     user code: exception in user code, 3 times (boom)"),
        ((), 0, None, "verdict     valid"),
    ],
)
def test_thresholds_decide_the_exit_code_and_the_verdict(
    texts: tuple[str, ...], exceptions: int, code: int | None, words: str
) -> None:
    thresholds = [Threshold(parse_slo(text)) for text in texts]
    for threshold in thresholds:
        threshold.conclude(5, figures(expected=100, operations=100, failures=50))
    faults = [Fault(FaultKind.USER_CODE, "boom", exceptions)] if exceptions else []
    result = RunResult(Totals([]), (), thresholds, faults=faults)
    assert result.exit_code == code
    assert words in "\n".join(summary(result))


def test_an_unmeasured_threshold_is_never_met() -> None:
    threshold = Threshold(parse_slo("resync_p95<5s"))
    threshold.conclude(5, figures())
    assert not threshold.is_met
    assert describe(threshold) == "resync_p95<5s        unmeasured: no samples"


def test_a_limited_generator_outweighs_a_failed_threshold() -> None:
    threshold = Threshold(parse_slo("errors<1%"))
    threshold.conclude(5, figures(operations=100, failures=50))
    result = RunResult(Totals([report(0, problems=["CPU: 99% of a core"])]), (), [threshold])
    assert result.exit_code == INVALID
    assert "verdict     invalid: " in "\n".join(summary(result))


@pytest.mark.parametrize("text", ["deliver_p99", "deliver_p99<250", "los<1%", "loss<1ms", "deliver_p99>1ms", ""])
def test_an_invalid_threshold_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(SloError, match=r"^[^\n]*threshold[^\n]*$"):
        parse_slo(text, "threshold")


def test_deliveries_that_are_no_longer_expected_do_not_make_a_window_negative() -> None:
    assert figures(expected=10).since(figures(expected=15)).deliveries.expected == 0


def test_a_run_is_judged_by_the_sum_of_its_reports() -> None:
    whole = Totals([report(0), report(1)]).figures
    assert (whole.deliveries.expected, whole.deliveries.lost) == (21, 5)
    # Of each report: a message sent, a connection, a join; 3 connections refused and a message skipped. Deliveries
    # are no operations.
    assert (whole.operations, whole.failures) == (2 * 3 + 2 * 4, 2 * 4)


def test_a_first_window_that_fails_again_with_the_rest_is_one_failed_window() -> None:
    threshold = Threshold(parse_slo("loss<1%"), 10)
    threshold.update(10, figures(expected=1000, lost=20))
    threshold.conclude(11, figures(expected=1100, lost=40))
    assert (threshold.judged, threshold.missed) == (1, 1)


def test_a_first_window_that_fails_only_with_the_rest_is_a_failed_window() -> None:
    threshold = Threshold(parse_slo("loss<1%"), 10)
    threshold.conclude(3, figures(expected=1000, lost=20))
    assert (threshold.judged, threshold.missed) == (1, 1)


def test_the_first_of_equal_windows_is_the_worst() -> None:
    threshold = Threshold(parse_slo("loss<5%"), 10)
    threshold.update(10, figures(expected=1000, lost=20))
    threshold.update(20, figures(expected=2000, lost=40))
    assert threshold.worst is not None
    assert (threshold.worst.start, threshold.worst.end, threshold.worst.value) == (0, 10, 0.02)
