from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from capacity.config.settings import read_settings
from capacity.config.slo import parse_slo
from capacity.errors import RunError, UsageError
from capacity.judge.limits import DEFAULT_LIMITS
from capacity.measure.server_sample import ServerSample
from capacity.record.step import Cause, Verdict
from capacity.search.search import Ending, Finished, next_move
from capacity.search.step_measurement import Reading
from capacity.storms import result
from capacity.storms.judge import StormWindow, judge_storm, lag_limit_ms
from capacity.storms.runner import StormRunner
from stampede.generator_faults import Fault, FaultKind
from stampede.measure.storm_results import StormResult
from tests.capacity import make
from tests.capacity.pages import render_html

if TYPE_CHECKING:
    from collections.abc import Callable

    from capacity.record.storm import StormRecord
    from tests.capacity.fixtures import Run

LEVELS = (parse_slo("resync_p95<5s"),)
BOTH = (*LEVELS, parse_slo("deliver_p99<250ms"))


def sample(**figures: Any) -> StormResult:
    """Return a storm of 40 of 100 users that ended within two seconds."""
    over: dict[str, Any] = {
        "id": 1,
        "users": 100,
        "dropped": 40,
        "outages": 40,
        "drop_ns": 3_000_000,
        "resynced": 40,
        "gone": 0,
        "over": True,
        "resync_ns": {"0.5": 0.8e9, "0.95": 1.6e9, "1": 1.9e9},
        "peak_accepts_per_second": 31,
        "unaffected": make.histogram(*[9.0] * 100),
        "at_s": 4.0,
        "missed": 400,
    }
    return StormResult(**(over | figures))


def window(back_ms: float = 1600.0, others_ms: float = 9.0, *, cpu: float = 0.4, **figures: Any) -> StormWindow:
    client = make.client(resync=make.histogram(*[back_ms] * 40), workers=(make.worker(cpu=cpu),))
    storm = sample(unaffected=make.histogram(*[others_ms] * 100), **figures)
    return StormWindow(storm, client, make.server(), 2.1)


def record(share: int, verdict: Verdict | None = None, **figures: Any) -> StormRecord:
    seen = window(**figures) if verdict is not Verdict.FAIL else window(9000.0, **figures)
    return result.storm_record(share, "ramp", seen, judge_storm(seen, LEVELS, DEFAULT_LIMITS))


def test_a_storm_is_judged_by_dropped_and_unaffected_users() -> None:
    assert judge_storm(window(), BOTH, DEFAULT_LIMITS).verdict is Verdict.PASS
    late = judge_storm(window(5200.0), BOTH, DEFAULT_LIMITS)
    assert late.verdict is Verdict.FAIL
    assert late.reasons[0].text.startswith("missed resync_p95<5s: 5.")
    felt = judge_storm(window(others_ms=400.0), BOTH, DEFAULT_LIMITS)
    assert [reason.signal for reason in felt.reasons] == ["deliver_p99"]


def test_users_that_do_not_resync_in_time_fail_the_storm() -> None:
    verdict = judge_storm(window(900.0, resynced=20, over=False), LEVELS, DEFAULT_LIMITS)
    assert verdict.verdict is Verdict.FAIL
    assert verdict.reasons[0].text == "only 20 of 40 dropped users resynced within 2 s"


def test_a_generator_at_its_limit_makes_a_storm_invalid() -> None:
    verdict = judge_storm(window(9000.0, cpu=0.97), LEVELS, DEFAULT_LIMITS)
    assert verdict.verdict is Verdict.INVALID
    assert {reason.cause for reason in verdict.reasons[:1]} == {Cause.GENERATOR}


def lagging(**lags: float) -> StormWindow:
    return replace(window(), client=replace(window().client, workers=(make.worker(**lags),)))


@pytest.mark.parametrize("signal", ["loop", "send"])
def test_generator_lag_makes_a_storm_invalid_from_a_quarter_of_the_resync_threshold(signal: str) -> None:
    """A resync waits for the generator four times: 312 ms of lag can be a quarter of five seconds."""
    limit = lag_limit_ms(LEVELS, DEFAULT_LIMITS)
    assert limit == pytest.approx(5000 / 16)
    for lag, outcome in ((limit, Verdict.PASS), (limit + 1, Verdict.INVALID)):
        verdict = judge_storm(lagging(**{f"{signal}_lag_p99_ms": lag}), LEVELS, DEFAULT_LIMITS)
        assert verdict.verdict is outcome
    assert verdict.reasons[0].text == f"the load generator: {signal} lag p99 314 ms, limit 312 ms"


def test_an_slo_on_unaffected_users_limits_the_lag_as_in_a_step() -> None:
    assert lag_limit_ms(BOTH, DEFAULT_LIMITS) == DEFAULT_LIMITS.lag_ms(BOTH) == pytest.approx(62.5)
    assert lag_limit_ms((parse_slo("resync_p95<100ms"),), DEFAULT_LIMITS) == DEFAULT_LIMITS.lag_floor_ms


def test_a_generator_fault_makes_a_storm_invalid() -> None:
    seen = window(9000.0, resynced=20, over=False)
    seen = replace(seen, client=replace(seen.client, faults=(Fault(FaultKind.PORTS, "", 20),)))
    verdict = judge_storm(seen, LEVELS, DEFAULT_LIMITS)
    assert verdict.verdict is Verdict.INVALID
    assert verdict.reasons[0].text == "load generator fault: local ports, 20 times"


def test_the_latency_of_unaffected_users_is_shown_with_the_generator_lag() -> None:
    def sentence(others_ms: float, lag_ms: float) -> str:
        others = sample(unaffected=make.histogram(*[others_ms] * 100))
        seen = replace(lagging(loop_lag_p99_ms=lag_ms), storm=others)
        made = result.storm_record(10, "ramp", seen, judge_storm(seen, LEVELS, DEFAULT_LIMITS))
        answered: dict[str, Any] = {"users": 100, "slos": ["resync_p95<5s"], "backoff": "none"}
        return result.storm_answer([made] * 3, ending=Ending.CONVERGED, **answered).sentence

    assert sentence(200.0, 15.0).endswith("Latency p99 of the other users was at most 199 ms.")
    assert sentence(200.0, 180.0).endswith(
        "Latency p99 of the other users was at most 199 ms; up to 180 ms of it may be lag of the load generator."
    )


def test_a_storm_that_drops_all_users_needs_no_unaffected_ones() -> None:
    seen = window(dropped=100, resynced=100)
    alone = replace(seen, storm=replace(seen.storm, unaffected=make.histogram()))
    assert judge_storm(alone, BOTH, DEFAULT_LIMITS).verdict is Verdict.PASS
    some = replace(seen, storm=sample(unaffected=make.histogram()))
    assert judge_storm(some, BOTH, DEFAULT_LIMITS).verdict is Verdict.INVALID


@pytest.mark.parametrize("truth", [7, 23, 60, 99])
def test_percentages_are_searched_like_users(truth: int) -> None:
    storms: list[StormRecord] = []
    while True:
        move = next_move(result.PLAN, result.storm_trials(storms), 600 - 10 * len(storms), 10)
        if isinstance(move, Finished):
            break
        storms.append(record(move.users, Verdict.FAIL if move.users > truth else None))
    assert move.ending is Ending.CONVERGED
    answer = result.storm_answer(storms, users=100, slos=["resync_p95<5s"], backoff="none", ending=move.ending)
    assert answer.confirmed
    assert answer.share is not None
    assert answer.failing_share is not None
    assert answer.share <= truth < answer.failing_share
    assert answer.failing_share - answer.share <= max(1, 0.1 * answer.share)
    assert f"Up to {answer.share} % of 100 users" in answer.sentence
    assert f"Fails at {answer.failing_share} %: missed resync_p95<5s: 8.99 s" in answer.sentence


def test_all_users_and_none_have_their_own_sentences() -> None:
    answered: dict[str, Any] = {"users": 100, "slos": ["resync_p95<5s"], "backoff": "none"}
    every = result.storm_answer([record(100)] * 3, ending=Ending.NOT_REACHED, **answered)
    assert every.sentence.startswith("All 100 users may reconnect at once (backoff none) within resync_p95<5s.")
    none = result.storm_answer([record(1, Verdict.FAIL)], ending=Ending.NOTHING_HOLDS, **answered)
    assert none.sentence.startswith("Of 100 users not even 1 % may reconnect at once")
    assert (none.share, none.failing_share) == (None, 1)


def test_the_headline_of_storms_is_the_share() -> None:
    storms = [record(10), *[record(20)] * 3, record(40, Verdict.FAIL)]
    answer = result.storm_answer(storms, users=100, slos=["resync_p95<5s"], backoff="none", ending=Ending.CONVERGED)
    report = make.report([make.step(100)], Ending.STEPS_DONE, storm=answer, levels=["resync_p95<5s"])
    told = result.add_storms(report.answer, answer, 100)
    assert told.headline == "20 %"
    assert told.headline_label == "of 100 users may reconnect at once, measured and confirmed"
    page = render_html(report)
    assert "Storms" in page
    assert "Time until resynced, by share dropped" in page
    assert "20 % dropped: 95 % resynced in 1.60 s, pass" in page


def test_an_interrupted_run_claims_only_what_it_measured() -> None:
    answered: dict[str, Any] = {"users": 100, "slos": ["resync_p95<5s"], "backoff": "none", "ending": None}
    held = make.report([make.step(100)], Ending.STEPS_DONE).answer
    some = result.add_storms(held, result.storm_answer([record(10)], **answered), 100)
    assert some.headline == "≥ 10 %"
    assert "Interrupted; so far: Up to 10 % of 100 users" in some.sentence
    none = result.add_storms(held, None, 100)
    assert (none.headline, none.headline_label) == ("?", "of 100 users may reconnect at once: not measured")
    assert none.sentence.endswith("No storm was measured.")
    unfit = result.add_storms(held, result.storm_answer([record(10, cpu=0.97)], **answered), 100)
    assert unfit.headline == "?"
    assert "No valid measurement, not even of a storm of 10 %: the load generator used 0.97" in unfit.sentence
    failed = result.add_storms(held, result.storm_answer([record(10, Verdict.FAIL)], **answered), 100)
    assert failed.headline == "< 10 %"


def test_storms_accept_slos_on_resync_and_delivery_latency_only() -> None:
    assert [level.text for level in read_settings(["--storm", "100"], {}).slos] == ["resync_p95<5s"]
    for flags in (["--slo", "loss<0.1%"], ["--slo", "deliver_p99<1s"], ["--steps", "10"], ["--workers-list", "1,2"]):
        with pytest.raises(UsageError, match="--storm"):
            read_settings(["--storm", "100", *flags], {})


class UnreportedStorm:
    """Held users, and a generator that never reports a storm."""

    now = 0.0

    def hold(self, users: int) -> bool:
        return True

    def read(self) -> Reading:
        return Reading(self.now, empty_snapshot(), ServerSample(at_s=self.now))

    def storm(self, share: float) -> int:
        return 1

    def clock(self) -> float:
        self.now += 0.5
        return self.now


def empty_snapshot() -> Any:
    class Told:
        ready = 100
        workers = ()
        storms = ()

    return Told()


def test_a_storm_that_is_never_reported_ends_the_run() -> None:
    held = UnreportedStorm()
    runner = StormRunner(held, held, users=100, threshold_s=5, clock=held.clock, sleep=lambda _: None)
    with pytest.raises(RunError, match="did not report the requested storm"):
        runner.run(10)


# The second SLO raises the lag limit of the load generator, for slow machines.
TOLERANT = (
    "--slo",
    "resync_p95<60s",
    "--slo",
    "deliver_p99<60s",
    "--backoff",
    "none",
    "--window",
    "1",
    "--settle",
    "1",
)
LASTING = ("--storm", "20", *TOLERANT)


def test_interrupted_storms_keep_their_report_and_resume(
    capacity: Callable[..., Run],
) -> None:
    run = capacity(*LASTING)
    run.await_line("resynced:")
    run.process.send_signal(signal.SIGINT)
    assert run.wait() == 130
    assert run.error == "capacity: interrupted by Ctrl-C"
    before = run.report.storm
    assert run.report.status == "partial"
    assert before is not None
    assert before.ending == "cut short"
    assert "Interrupted; so far: " in run.report.answer.sentence
    again = capacity("--resume", str(run.folder), "--max-duration", "1")  # no time for another storm
    assert again.wait() == 0, again.errors
    after = again.report.storm
    assert after is not None
    assert after.storms[: len(before.storms)] == before.storms
    assert again.report.steps == run.report.steps
    assert again.report.status == "complete"


def test_a_server_that_ends_during_storms_ends_the_run_with_a_report(capacity: Callable[..., Run]) -> None:
    run = capacity(*LASTING)
    run.await_line("resynced:")
    run.child("server").kill()
    assert run.wait() == 98
    assert run.error == "capacity: the server was ended by SIGKILL"
    assert run.report.status == "partial"
    assert run.report.storm is not None
    assert run.report.storm.storms[0].verdict == "pass"


def test_a_real_run_finds_the_share_that_may_reconnect_within_a_minute(capacity: Callable[..., Run]) -> None:
    run = capacity("--storm", "40", *TOLERANT, "--max-duration", "120")
    assert run.wait() == 0, run.errors
    answer = run.report.storm
    assert answer is not None
    assert answer.share is not None
    assert answer.share >= 10
    assert answer.backoff == "none"
    for taken in answer.storms:
        if taken.verdict == "invalid" and taken.invalid_cause is Cause.GENERATOR:
            continue  # the generator was disturbed, and the storm repeated
        assert taken.verdict == "pass", taken.reasons
        assert taken.dropped == round(taken.share / 100 * taken.users)
        assert taken.resynced == taken.dropped
        assert taken.resync95_ms is not None
    assert f"{answer.share} %" in run.report.answer.headline
    assert "Storms" in (run.folder / "report.html").read_text()
