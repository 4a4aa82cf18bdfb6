"""The verdict on a run in few words, while it lasts and at its end."""

from __future__ import annotations

import pytest

from stampede.measure.report import Totals
from stampede.verdict.slo import parse_slo
from stampede.verdict.summary import Circumstances, RunResult
from stampede.verdict.thresholds import Threshold
from stampede.verdict.verdict_words import State, threshold_words, verdict_words
from tests.figures import figures
from tests.stampede.measure.reports import report
from tests.stampede.verdict.summaries import result

LASTS = Circumstances(has_ended=False, seconds=20)


def recovered() -> Threshold:
    """Return a threshold that its first window missed, and its second one met."""
    threshold = Threshold(parse_slo("loss<1%"), 10)
    threshold.update(10, figures(expected=1000, lost=20))
    threshold.update(20, figures(expected=2000, lost=20))
    return threshold


@pytest.mark.parametrize(
    ("texts", "problems", "state", "words"),
    [
        ((), [], State.GOOD, "valid, without thresholds"),
        (("loss<5%",), [], State.GOOD, "passed, all thresholds met"),
        (("loss<1%", "errors<1%"), [], State.BAD, "failed, 1 of 2 thresholds not met"),
        (("loss<1%",), ["CPU"], State.INVALID, "invalid, the results are not usable"),
        (("resync_p95<5s",), [], State.INVALID, "invalid, the results are not usable"),
    ],
)
def test_the_verdict_of_a_run_that_has_ended(
    texts: tuple[str, ...], problems: list[str], state: State, words: str
) -> None:
    assert verdict_words(result(*texts, problems=problems)) == (state, words)


@pytest.mark.parametrize(
    ("texts", "problems", "state", "words"),
    [
        ((), [], State.OPEN, "valid, without thresholds"),
        (("loss<5%",), [], State.GOOD, "all thresholds met"),
        (("loss<1%", "errors<1%"), [], State.BAD, "failing now: loss<1%"),
        (("loss<5%",), ["CPU"], State.INVALID, "invalid, the results are not usable"),
        (("loss<1%",), ["CPU"], State.INVALID, "invalid, the results are not usable; failing now: loss<1%"),
        (("resync_p95<5s",), [], State.OPEN, "valid, no threshold judged yet"),
        (("loss<5%", "resync_p95<5s"), [], State.OPEN, "1 of 2 thresholds met, the others not judged yet"),
        (("loss<1%",) * 5, [], State.BAD, "failing now: loss<1%, loss<1%, loss<1% and 2 more"),
    ],
)
def test_the_verdict_so_far_of_a_run_that_lasts(
    texts: tuple[str, ...], problems: list[str], state: State, words: str
) -> None:
    assert verdict_words(result(*texts, problems=problems, circumstances=LASTS)) == (state, words)


def test_a_threshold_that_is_met_again_stays_failed() -> None:
    run = RunResult(Totals([report(0)]), (), [recovered()], circumstances=LASTS)
    assert verdict_words(run) == (State.BAD, "failed: loss<1%, met in the latest window")


def test_nobody_needs_to_have_joined_in_the_first_seconds() -> None:
    one = report(0)
    one.figures.requests["WS join"].count = 0
    for seconds, state in ((1, State.OPEN), (11, State.INVALID)):
        circumstances = Circumstances(has_ended=False, seconds=seconds)
        assert verdict_words(RunResult(Totals([one]), circumstances=circumstances))[0] is state
    assert verdict_words(RunResult(Totals([one]), circumstances=Circumstances(seconds=1)))[0] is State.INVALID


def test_a_threshold_fails_now_or_has_failed() -> None:
    (failing, unmeasured) = result("loss<1%", "resync_p95<5s").thresholds
    assert threshold_words(failing, has_ended=False) == (State.BAD, "failing now")
    assert threshold_words(recovered(), has_ended=False) == (State.BAD, "failed")
    assert threshold_words(failing, has_ended=True) == (State.BAD, "failed")
    assert threshold_words(unmeasured, has_ended=False) == (State.OPEN, "not judged yet")
    assert threshold_words(unmeasured, has_ended=True) == (State.INVALID, "unmeasured")


def test_a_threshold_is_met_only_at_the_end() -> None:
    (threshold,) = result("loss<5%").thresholds
    assert threshold_words(threshold, has_ended=False) == (State.GOOD, "met so far")
    assert threshold_words(threshold, has_ended=True) == (State.GOOD, "met")
