"""Verdicts by SLOs, missing data and the offered load."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from capacity.judge.judgement import Judgement, Reason, missing_window
from capacity.judge.limits import Limits
from capacity.judge.verdict import judge
from capacity.measure.server_window import ServerWindow
from capacity.record.step import Cause, Verdict
from tests.capacity import make
from tests.capacity.judge.judging import SLOS, is_generator_limited, verdict


def test_a_healthy_window_that_meets_every_slo_passes() -> None:
    assert verdict().verdict is Verdict.PASS
    assert verdict().reasons == ()


def test_a_missed_slo_fails_with_its_name_and_value() -> None:
    missed = verdict(latency_intended=make.histogram(*[812.0] * 100))
    assert missed.verdict is Verdict.FAIL
    assert missed.reasons[0].text.startswith("missed deliver_p99<250ms: 8")


@pytest.mark.parametrize(
    "figures",
    [
        {"workers": ()},
        {"workers": (make.worker(age_s=9.0),)},
        {"workers": (make.worker(loop_lag_p99_ms=None),)},
        {"latency_intended": make.histogram()},
        {"operations": 0},
    ],
    ids=["no workers", "stale worker", "no loop lag", "no latency", "no operations"],
)
def test_missing_data_is_invalid_never_pass(figures: dict[str, Any]) -> None:
    found = verdict(**figures)
    assert found.verdict is Verdict.INVALID
    assert all(reason.cause is Cause.MISSING for reason in found.reasons)
    assert not is_generator_limited(found)


def test_users_that_the_server_never_admitted_fail_the_step() -> None:
    assert verdict(ready=80).verdict is Verdict.FAIL


def test_meeting_the_slos_under_less_than_the_intended_load_is_invalid() -> None:
    found = verdict(sent=500, skipped=100)
    assert found.verdict is Verdict.INVALID
    assert is_generator_limited(found)


def test_missing_an_slo_under_less_than_the_intended_load_fails() -> None:
    assert verdict(sent=500, skipped=100, lost=5000).verdict is Verdict.FAIL


def test_a_server_that_falls_behind_fails_even_with_low_latency() -> None:
    behind = verdict(received=9000)
    assert behind.verdict is Verdict.FAIL
    assert "79 %" in behind.reasons[0].text


def test_a_server_that_delivers_nothing_fails() -> None:
    silent = verdict(received=0, latency_intended=make.histogram(), latency_sent=make.histogram())
    assert silent.verdict is Verdict.FAIL


def test_a_server_without_figures_can_pass_on_client_figures() -> None:
    assert verdict(ServerWindow()).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        (
            {"problem": "no metrics at http://server/metrics: timed out"},
            "no metrics at http://server/metrics: timed out",
        ),
        ({"delivered": 0}, "the server's metrics do not change: no delivery counted, 11400 received"),
    ],
    ids=["silent", "still"],
)
def test_missing_or_unchanged_server_figures_never_pass(figures: dict[str, Any], text: str) -> None:
    found = verdict(make.server(**figures))
    assert found == replace(
        verdict(), verdict=Verdict.INVALID, reasons=(Reason(Cause.MISSING, "server metrics", text),)
    )
    assert verdict(make.server(**figures), lost=11_000, received=400).verdict is Verdict.FAIL


SLOW = make.histogram(*[260.0] * 100)
GENERATOR = "the load generator"


@pytest.mark.parametrize(
    ("figures", "outcome", "reason"),
    [
        (
            {"workers": ()},
            Verdict.INVALID,
            Reason(Cause.MISSING, "series", "no load generator worker reports its health"),
        ),
        (
            {"workers": (make.worker(index=3, age_s=9.04),)},
            Verdict.INVALID,
            Reason(Cause.MISSING, "series", f"{GENERATOR} last reported 9.0 s ago", GENERATOR),
        ),
        (
            {"workers": (make.worker(index=3, loop_lag_p99_ms=None),)},
            Verdict.INVALID,
            Reason(Cause.MISSING, "series", f"{GENERATOR} reports no loop lag", GENERATOR),
        ),
        (
            {"workers": (make.worker(cpu=0.951, loop_lag_p99_ms=20.0),), "latency_intended": SLOW},
            Verdict.INVALID,
            Reason(Cause.GENERATOR, "generator cpu", f"{GENERATOR} used 0.95 of its core, limit 0.92", GENERATOR),
        ),
        (
            {"users": 99, "ready": 99},
            Verdict.INVALID,
            Reason(Cause.GENERATOR, "generator users", "the load generator had started 99 of 100 users"),
        ),
        (
            {"workers": (make.worker(loop_lag_p99_ms=63.0),), "latency_intended": SLOW},
            Verdict.INVALID,
            Reason(Cause.GENERATOR, "generator loop lag", f"{GENERATOR}: loop lag p99 63 ms, limit 62 ms", GENERATOR),
        ),
        (
            {
                "workers": (make.worker(), make.worker(index=1, host="b", send_lag_p99_ms=64.0)),
                "latency_intended": SLOW,
            },
            Verdict.INVALID,
            Reason(
                Cause.GENERATOR,
                "generator send lag",
                "load generator worker 1 on b: send lag p99 64 ms, limit 62 ms",
                "load generator worker 1 on b",
            ),
        ),
        (
            {"ready": 98},
            Verdict.FAIL,
            Reason(Cause.SERVER, "admission", "only 98 of 100 users joined their rooms"),
        ),
        (
            {"received": 10_250},
            Verdict.FAIL,
            Reason(Cause.SERVER, "backlog", "only 90 % of the expected deliveries arrived in the window"),
        ),
        (
            {"lost": 114},
            Verdict.FAIL,
            Reason(Cause.SERVER, "loss", "missed loss<0.1%: 1 %"),
        ),
        (
            {"latency_intended": make.histogram()},
            Verdict.INVALID,
            Reason(Cause.MISSING, "deliver_p99", "no data for deliver_p99"),
        ),
        (
            {"sent": 587},
            Verdict.INVALID,
            Reason(Cause.GENERATOR, "offered rate", "only 587 of 600 intended messages were sent (0 skipped)"),
        ),
        (
            {"skipped": 13},
            Verdict.INVALID,
            Reason(Cause.GENERATOR, "offered rate", "only 600 of 600 intended messages were sent (13 skipped)"),
        ),
    ],
)
def test_each_reason_names_its_cause_its_signal_and_the_figures(
    figures: dict[str, Any], outcome: Verdict, reason: Reason
) -> None:
    found = verdict(**figures)
    assert (found.verdict, found.reasons) == (outcome, (reason,))


@pytest.mark.parametrize(
    "figures",
    [
        {"workers": (make.worker(age_s=3.0),)},
        {"workers": (make.worker(cpu=0.9199),)},
        {"workers": (make.worker(loop_lag_p99_ms=62.5, send_lag_p99_ms=62.5),)},
        {"workers": (make.worker(send_lag_p99_ms=None),)},
        {"ready": 99},
        {"received": 10_260},
        {"sent": 588, "skipped": 12},
    ],
    ids=["age", "cpu", "lag", "no sends", "ready", "backlog", "offered"],
)
def test_a_figure_at_its_limit_is_within_it(figures: dict[str, Any]) -> None:
    assert verdict(**figures) == verdict()


def test_a_window_that_could_not_be_measured_is_invalid() -> None:
    assert missing_window("no answer") == Judgement(Verdict.INVALID, (Reason(Cause.MISSING, "series", "no answer"),))


def test_skipped_messages_are_allowed_up_to_the_offered_limit() -> None:
    client = make.client(sent=450, skipped=150)
    found = judge(client, make.server(), target_users=100, slos=SLOS, limits=Limits(offered=0.75))
    assert found.verdict is Verdict.PASS


def test_a_judgement_has_the_figure_of_each_slo() -> None:
    found = verdict()
    assert found.figures == {
        "deliver_p99<250ms": pytest.approx(4.0, rel=0.02),
        "loss<0.1%": 0.0,
        "errors<1%": 0.0,
    }
