from __future__ import annotations

import resource
from dataclasses import replace
from typing import Any

import pytest

from capacity.config.slo import parse_slo
from capacity.judge.generator_health import check_file_limit
from capacity.judge.judgement import Judgement, Reason, missing_window
from capacity.judge.limits import DEFAULT_LIMITS, Limits
from capacity.judge.verdict import judge
from capacity.measure.server_window import ServerWindow
from capacity.record.step import Cause, Verdict, invalid_cause
from server.runtime.rlimits import socket_budget
from server.settings import Settings
from stampede.generator_faults import Fault, FaultKind
from tests.capacity import make

SLOS = tuple(map(parse_slo, make.SLOS))


def is_generator_limited(found: Judgement) -> bool:
    causes = [reason.cause for reason in found.reasons]
    return invalid_cause(found.verdict, causes) is Cause.GENERATOR


def verdict(server: ServerWindow | None = None, **figures: Any) -> Judgement:
    return judge(make.client(**figures), server or make.server(), target_users=100, slos=SLOS)


def test_a_healthy_window_that_meets_every_slo_passes() -> None:
    assert verdict().verdict is Verdict.PASS
    assert verdict().reasons == ()


def test_a_missed_slo_fails_with_its_name_and_value() -> None:
    missed = verdict(latency_intended=make.histogram(*[812.0] * 100))
    assert missed.verdict is Verdict.FAIL
    assert missed.reasons[0].text.startswith("missed deliver_p99<250ms: 8")


@pytest.mark.parametrize(
    ("worker", "latency_ms"),
    [
        ({"cpu": 0.95}, 4.0),
        ({"cpu": 0.95}, 5000.0),
        ({"cpu": 0.95, "loop_lag_p99_ms": 80.0}, 5000.0),
        ({"loop_lag_p99_ms": 80.0}, 4.0),
        ({"loop_lag_p99_ms": 80.0}, 400.0),
        ({"send_lag_p99_ms": 80.0}, 400.0),
    ],
)
def test_a_generator_over_its_limits_is_invalid_even_if_an_slo_is_missed(
    worker: dict[str, float], latency_ms: float
) -> None:
    found = verdict(
        workers=(make.worker(), make.worker(index=1, **worker)),
        latency_intended=make.histogram(*[latency_ms] * 100),
    )
    assert found.verdict is Verdict.INVALID
    assert is_generator_limited(found)
    assert "worker 1" in found.reasons[0].text


def test_lag_that_does_not_explain_the_miss_is_noted() -> None:
    workers = (make.worker(cpu=0.35, loop_lag_p99_ms=190.0, send_lag_p99_ms=150.0),)
    found = verdict(workers=workers, latency_intended=make.histogram(*[3250.0] * 100))
    assert found.verdict is Verdict.FAIL
    assert "loop lag p99 190 ms" in found.notes[0]


def test_lag_does_not_explain_a_tenth_of_missing_deliveries_after_six_seconds() -> None:
    found = verdict(workers=(make.worker(loop_lag_p99_ms=100.0),), received=9000)
    assert found.verdict is Verdict.FAIL


def test_the_lag_limit_follows_the_strictest_latency_slo() -> None:
    assert DEFAULT_LIMITS.lag_ms(SLOS) == pytest.approx(62.5)
    assert DEFAULT_LIMITS.lag_ms((parse_slo("deliver_p99<1ms"),)) == pytest.approx(10)
    assert DEFAULT_LIMITS.lag_ms((parse_slo("loss<1%"),)) == pytest.approx(100)


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


def test_users_that_the_generator_never_started_make_the_step_invalid() -> None:
    found = verdict(users=80, ready=80)
    assert is_generator_limited(found)
    assert "80 of 100" in found.reasons[0].text


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


def test_disturbances_are_noted_and_do_not_change_the_verdict() -> None:
    noted = verdict(ServerWindow(cpu=0.5, core_busy=0.8, core_stolen=0.1))
    assert noted.verdict is Verdict.PASS
    assert "0.40 of the server's core" in noted.notes[0]
    assert "hypervisor" in noted.notes[1]


def test_a_server_without_figures_can_pass_on_client_figures() -> None:
    assert verdict(ServerWindow()).verdict is Verdict.PASS


def test_a_miss_while_others_use_the_full_core_is_invalid() -> None:
    missed = {"latency_intended": make.histogram(*[900.0] * 100)}
    found = verdict(make.server(cpu=0.45, core_busy=1.0), **missed)
    assert found.verdict is Verdict.INVALID
    assert found.reasons[0].cause is Cause.OTHERS
    assert (
        found.reasons[0].text == "other processes used 55 % of the server's core, which was full; the server got 45 %"
    )


@pytest.mark.parametrize(
    "figures", [{"cpu": 0.85, "core_busy": 1.1}, {"cpu": 0.3, "core_busy": 0.6}, {"cpu": 0.6, "core_busy": 0.75}]
)
def test_a_miss_that_others_do_not_explain_stays_a_fail(figures: dict[str, float]) -> None:
    found = verdict(make.server(**figures), latency_intended=make.histogram(*[900.0] * 100))
    assert found.verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        (
            {"problem": "no metrics at http://server/metrics: timed out"},
            "no metrics at http://server/metrics: timed out",
        ),
        ({"delivered": 0}, "the server's metrics stand still: no delivery counted, 11400 received"),
    ],
    ids=["silent", "still"],
)
def test_missing_or_unchanged_server_figures_never_pass(figures: dict[str, Any], text: str) -> None:
    found = verdict(make.server(**figures))
    assert found == replace(
        verdict(), verdict=Verdict.INVALID, reasons=(Reason(Cause.MISSING, "server metrics", text),)
    )
    assert verdict(make.server(**figures), lost=11_000, received=400).verdict is Verdict.FAIL


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
            Reason(Cause.MISSING, "series", "worker 3 last reported 9.0 s ago"),
        ),
        (
            {"workers": (make.worker(index=3, loop_lag_p99_ms=None),)},
            Verdict.INVALID,
            Reason(Cause.MISSING, "series", "worker 3 reports no loop lag"),
        ),
        (
            {"workers": (make.worker(cpu=0.951),)},
            Verdict.INVALID,
            Reason(Cause.GENERATOR, "generator cpu", "the load generator used 0.95 of its core, limit 0.92"),
        ),
        (
            {"users": 99, "ready": 99},
            Verdict.INVALID,
            Reason(Cause.GENERATOR, "generator users", "the load generator had started 99 of 100 users"),
        ),
        (
            {"workers": (make.worker(loop_lag_p99_ms=63.0),)},
            Verdict.INVALID,
            Reason(Cause.GENERATOR, "generator loop lag", "the load generator: loop lag p99 63 ms, limit 62 ms"),
        ),
        (
            {"workers": (make.worker(), make.worker(index=1, send_lag_p99_ms=64.0))},
            Verdict.INVALID,
            Reason(Cause.GENERATOR, "generator send lag", "load generator worker 1: send lag p99 64 ms, limit 62 ms"),
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


def test_cpu_at_its_limit_is_over_it() -> None:
    assert verdict(workers=(make.worker(cpu=0.92),)).reasons[0].signal == "generator cpu"


def test_a_window_that_could_not_be_measured_is_invalid() -> None:
    assert missing_window("no answer") == Judgement(Verdict.INVALID, (Reason(Cause.MISSING, "series", "no answer"),))


MISSED = {"latency_intended": make.histogram(*[900.0] * 100)}
DISTURBED = {"cpu": 0.3, "core_busy": 0.7, "core_stolen": 0.1}
NOTES = ("other processes used 0.50 of the server's core", "the hypervisor withheld 10 % of the server's core")


@pytest.mark.parametrize(
    ("server", "figures", "outcome"),
    [
        (DISTURBED, {}, Verdict.PASS),
        (DISTURBED, MISSED, Verdict.FAIL),
        (DISTURBED, {"workers": (make.worker(cpu=0.99),)}, Verdict.INVALID),
        (DISTURBED, {"workers": (make.worker(loop_lag_p99_ms=99.0),)}, Verdict.INVALID),
        (DISTURBED, {"operations": 0}, Verdict.INVALID),
    ],
)
def test_disturbances_are_noted_whatever_the_outcome(
    server: dict[str, float], figures: dict[str, Any], outcome: Verdict
) -> None:
    found = verdict(make.server(**server), **figures)
    assert (found.verdict, found.notes) == (outcome, NOTES)


def test_disturbances_are_noted_beside_the_reason() -> None:
    found = verdict(make.server(cpu=0.1875, core_busy=0.1875, core_stolen=0.75), **MISSED)
    assert found.reasons[0] == Reason(
        Cause.OTHERS,
        "others on the server's core",
        "other processes used 75 % of the server's core, which was full; the server got 19 %",
    )
    assert found.notes == (
        "other processes used 0.75 of the server's core",
        "the hypervisor withheld 75 % of the server's core",
    )
    found = verdict(make.server(cpu=0.75, core_busy=1.0), **MISSED)
    assert (
        found.reasons[0].text == "other processes used 25 % of the server's core, which was full; the server got 75 %"
    )


def test_other_processes_disturb_at_the_limits_themselves() -> None:
    limits = Limits(disturbed=0.25, disturbing=0.25, core_full=0.75)
    found = judge(
        make.client(**MISSED),
        make.server(cpu=0.5, core_busy=0.75, core_stolen=0.0),
        target_users=100,
        slos=SLOS,
        limits=limits,
    )
    assert found.verdict is Verdict.INVALID
    assert found.notes == ("other processes used 0.25 of the server's core",)


def test_as_many_skipped_messages_as_may_be_missing_are_allowed() -> None:
    client = make.client(sent=450, skipped=150)
    found = judge(client, make.server(), target_users=100, slos=SLOS, limits=Limits(offered=0.75))
    assert found.verdict is Verdict.PASS


@pytest.mark.parametrize("lags", [(100.0, None), (0.0, 100.0)])
@pytest.mark.parametrize(("latency_ms", "outcome"), [(450.0, Verdict.INVALID), (450.5, Verdict.FAIL)])
def test_a_miss_is_explained_by_exactly_as_much_lag_as_was_measured(
    lags: tuple[float, float | None], latency_ms: float, outcome: Verdict
) -> None:
    workers = (make.worker(loop_lag_p99_ms=lags[0], send_lag_p99_ms=lags[1]),)
    found = judge(
        make.client(workers=workers),
        make.server(),
        target_users=100,
        slos=SLOS,
        values={"deliver_p99<250ms": latency_ms},
        limits=Limits(lag_factor=2.0),
    )
    assert found.verdict is outcome


@pytest.mark.parametrize(("seconds", "outcome"), [(0.8, Verdict.INVALID), (0.801, Verdict.FAIL)])
def test_a_backlog_is_explained_by_exactly_as_much_lag_as_was_measured(seconds: float, outcome: Verdict) -> None:
    workers = (make.worker(loop_lag_p99_ms=100.0, send_lag_p99_ms=0.0),)
    client = make.client(workers=workers, seconds=seconds, received=8550)  # a quarter is missing: 200 ms
    found = judge(client, make.server(), target_users=100, slos=SLOS, limits=Limits(lag_factor=2.0))
    assert found.verdict is outcome


@pytest.mark.parametrize(
    ("server", "notes"),
    [
        ({"cpu": 0.25, "core_busy": 0.25 + 0.125}, 1),
        ({"cpu": 0.25, "core_busy": 0.25 + 0.0625}, 0),
        ({"cpu": 0.3, "core_busy": 0.3, "core_stolen": 0.05}, 1),
        ({"cpu": 0.3, "core_busy": 0.3, "core_stolen": 0.04}, 0),
        ({"cpu": 0.3, "core_busy": 0.3, "core_stolen": None}, 0),
    ],
)
def test_a_small_disturbance_is_not_noted(server: dict[str, float], notes: int) -> None:
    assert len(verdict(make.server(**server)).notes) == notes


@pytest.mark.parametrize(
    ("server", "outcome"),
    [
        ({"cpu": 0.75, "core_busy": 1.0}, Verdict.INVALID),
        ({"cpu": 0.75, "core_busy": 0.9375}, Verdict.FAIL),
        ({"cpu": 0.8, "core_busy": 1.1}, Verdict.FAIL),
        ({"cpu": 0.5, "core_busy": 0.890625}, Verdict.FAIL),
        ({"cpu": 0.5, "core_busy": 0.90625}, Verdict.INVALID),
        ({"cpu": 0.5, "core_busy": None}, Verdict.FAIL),
        ({"cpu": None, "core_busy": 1.0}, Verdict.FAIL),
    ],
)
def test_a_miss_is_excused_only_by_a_full_core_with_a_fifth_used_by_others(
    server: dict[str, float | None], outcome: Verdict
) -> None:
    assert verdict(make.server(**server), **MISSED).verdict is outcome


@pytest.mark.parametrize(
    ("lag_ms", "latency_ms", "outcome"),
    [(100.0, 460.0, Verdict.INVALID), (100.0, 500.0, Verdict.FAIL)],
)
def test_a_miss_counts_only_beyond_what_the_lag_can_explain(lag_ms: float, latency_ms: float, outcome: Verdict) -> None:
    # 250 ms and 2.2 times the lag: 470 ms.
    workers = (make.worker(loop_lag_p99_ms=lag_ms, send_lag_p99_ms=None),)
    assert verdict(workers=workers, latency_intended=make.histogram(*[latency_ms] * 100)).verdict is outcome


@pytest.mark.parametrize(
    ("seconds", "received", "outcome"),
    [
        (6.0, 9_120, Verdict.FAIL),  # a fifth of 6 s is 1 200 ms, the lag explains 220
        (1.0, 9_120, Verdict.INVALID),  # a fifth of 1 s is 200 ms
        (6.0, 10_260, Verdict.INVALID),  # nine tenths arrived: the server kept pace
    ],
)
def test_missing_deliveries_count_only_beyond_the_lag(seconds: float, received: int, outcome: Verdict) -> None:
    workers = (make.worker(loop_lag_p99_ms=100.0, send_lag_p99_ms=0.0),)
    assert verdict(workers=workers, seconds=seconds, received=received).verdict is outcome


def test_a_judgement_has_the_figure_of_each_slo() -> None:
    found = verdict()
    assert found.figures == {
        "deliver_p99<250ms": pytest.approx(4.0, rel=0.02),
        "loss<0.1%": 0.0,
        "errors<1%": 0.0,
    }


@pytest.mark.parametrize(
    "figures",
    [
        {},
        {"latency_intended": make.histogram(*[5000.0] * 100)},
        {"ready": 60, "failures": 40},
        {
            "workers": (make.worker(loop_lag_p99_ms=190.0),),
            "latency_intended": make.histogram(*[3250.0] * 100),
        },
    ],
    ids=["else healthy", "level missed", "not all in their rooms", "lag beside it"],
)
def test_a_generator_fault_always_makes_a_step_invalid(figures: dict[str, Any]) -> None:
    found = verdict(faults=(Fault(FaultKind.PORTS, "40000 to 40059", 40), Fault(FaultKind.INTERNAL, "", 1)), **figures)
    assert found.verdict is Verdict.INVALID
    assert is_generator_limited(found)
    assert list(found.reasons[:2]) == [
        Reason(Cause.GENERATOR, "generator fault", f"load generator fault: {text}")
        for text in ("local ports, 40 times (40000 to 40059)", "internal error, once")
    ]


@pytest.mark.parametrize("limit", [225, 226, 240, 300, 352, 353, 384, 600, 1024])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_level_for_which_this_machine_allows_the_server_too_few_files_is_invalid(limit: int, workers: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        most = workers * socket_budget(0, Settings().max_uploads).connections
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert check_file_limit(most, workers, limit) is None
    found = check_file_limit(most + 1, workers, limit)
    text = f"open files, this machine lets each server process open {limit} (ulimit -n): enough for {most} users"
    reason = Reason(Cause.GENERATOR, "generator fault", f"load generator fault: {text}")
    assert found == Judgement(Verdict.INVALID, (reason,))
