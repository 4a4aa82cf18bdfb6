from __future__ import annotations

import resource
from dataclasses import replace
from typing import Any

import pytest

from capacity.config.slo import parse_level
from capacity.judge.verdict import DEFAULT_LIMITS, Cause, Limits, Outcome, Reason, Verdict, beyond_files, judge, missing
from capacity.measure.window import ServerWindow
from server.runtime.rlimits import socket_budget
from server.settings import Settings
from stampede.generator_faults import Fault, FaultKind
from tests.capacity import kit

LEVELS = tuple(map(parse_level, kit.LEVELS))


def verdict(server: ServerWindow | None = None, **figures: Any) -> Verdict:
    return judge(kit.client(**figures), server or kit.server(), target_users=100, levels=LEVELS)


def test_a_healthy_window_within_every_level_passes() -> None:
    assert verdict().outcome is Outcome.PASS
    assert verdict().reasons == ()


def test_a_missed_level_fails_and_says_which_and_by_how_much() -> None:
    missed = verdict(latency_intended=kit.histogram(*[812.0] * 100))
    assert missed.outcome is Outcome.FAIL
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
def test_a_generator_over_its_limits_is_invalid_also_when_a_level_is_missed(
    worker: dict[str, float], latency_ms: float
) -> None:
    found = verdict(
        workers=(kit.worker(), kit.worker(index=1, **worker)), latency_intended=kit.histogram(*[latency_ms] * 100)
    )
    assert found.outcome is Outcome.INVALID
    assert found.generator_limited
    assert "worker 1" in found.reasons[0].text


def test_lag_that_cannot_explain_the_miss_leaves_the_fail_and_is_noted() -> None:
    workers = (kit.worker(cpu=0.35, loop_lag_p99_ms=190.0, send_lag_p99_ms=150.0),)
    found = verdict(workers=workers, latency_intended=kit.histogram(*[3250.0] * 100))
    assert found.outcome is Outcome.FAIL
    assert "own loop lag p99 190 ms" in found.notes[0]


def test_lag_cannot_explain_that_a_tenth_of_the_deliveries_is_missing_after_six_seconds() -> None:
    found = verdict(workers=(kit.worker(loop_lag_p99_ms=100.0),), received=9000)
    assert found.outcome is Outcome.FAIL


def test_the_generators_lag_is_limited_by_the_strictest_latency_level() -> None:
    assert DEFAULT_LIMITS.lag_ms(LEVELS) == pytest.approx(62.5)
    assert DEFAULT_LIMITS.lag_ms((parse_level("deliver_p99<1ms"),)) == pytest.approx(10)
    assert DEFAULT_LIMITS.lag_ms((parse_level("loss<1%"),)) == pytest.approx(100)


@pytest.mark.parametrize(
    "figures",
    [
        {"workers": ()},
        {"workers": (kit.worker(age_s=9.0),)},
        {"workers": (kit.worker(loop_lag_p99_ms=None),)},
        {"latency_intended": kit.histogram()},
        {"operations": 0},
    ],
    ids=["no workers", "stale worker", "no loop lag", "no latency", "no operations"],
)
def test_missing_data_is_invalid_never_pass(figures: dict[str, Any]) -> None:
    found = verdict(**figures)
    assert found.outcome is Outcome.INVALID
    assert all(reason.cause is Cause.MISSING for reason in found.reasons)
    assert not found.generator_limited


def test_users_that_the_generator_never_started_make_the_step_invalid() -> None:
    found = verdict(users=80, ready=80)
    assert found.generator_limited
    assert "80 of 100" in found.reasons[0].text


def test_users_that_the_server_never_let_in_fail_it() -> None:
    assert verdict(ready=80).outcome is Outcome.FAIL


def test_meeting_the_levels_under_less_than_the_intended_load_proves_nothing() -> None:
    found = verdict(sent=500, skipped=100)
    assert found.outcome is Outcome.INVALID
    assert found.generator_limited


def test_missing_a_level_under_less_than_the_intended_load_still_fails() -> None:
    assert verdict(sent=500, skipped=100, lost=5000).outcome is Outcome.FAIL


def test_a_server_that_falls_behind_fails_even_when_what_came_was_quick() -> None:
    behind = verdict(received=9000)
    assert behind.outcome is Outcome.FAIL
    assert "79 %" in behind.reasons[0].text


def test_a_server_that_delivers_nothing_fails() -> None:
    silent = verdict(received=0, latency_intended=kit.histogram(), latency_sent=kit.histogram())
    assert silent.outcome is Outcome.FAIL


def test_what_disturbed_the_servers_core_is_noted_and_changes_nothing() -> None:
    noted = verdict(ServerWindow(cpu=0.5, core_busy=0.8, core_stolen=0.1))
    assert noted.outcome is Outcome.PASS
    assert "0.40 of the server's core" in noted.notes[0]
    assert "hypervisor" in noted.notes[1]


def test_a_server_of_which_nothing_is_known_can_still_pass_on_client_figures() -> None:
    assert verdict(ServerWindow()).outcome is Outcome.PASS


def test_a_miss_while_others_hold_the_full_core_is_invalid_and_says_so() -> None:
    missed = {"latency_intended": kit.histogram(*[900.0] * 100)}
    found = verdict(kit.server(cpu=0.45, core_busy=1.0), **missed)
    assert found.outcome is Outcome.INVALID
    assert found.reasons[0].cause is Cause.OTHERS
    assert found.reasons[0].text == "others held 55 % of the server's core, which was full; the server got 45 %"


@pytest.mark.parametrize(
    "figures", [{"cpu": 0.85, "core_busy": 1.1}, {"cpu": 0.3, "core_busy": 0.6}, {"cpu": 0.6, "core_busy": 0.75}]
)
def test_a_miss_that_others_do_not_explain_stays_a_fail(figures: dict[str, float]) -> None:
    found = verdict(kit.server(**figures), latency_intended=kit.histogram(*[900.0] * 100))
    assert found.outcome is Outcome.FAIL


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
def test_a_server_whose_figures_fell_silent_or_stand_still_never_passes(figures: dict[str, Any], text: str) -> None:
    found = verdict(kit.server(**figures))
    assert found == replace(
        verdict(), outcome=Outcome.INVALID, reasons=(Reason(Cause.MISSING, "server metrics", text),)
    )
    assert verdict(kit.server(**figures), lost=11_000, received=400).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("figures", "outcome", "reason"),
    [
        (
            {"workers": ()},
            Outcome.INVALID,
            Reason(Cause.MISSING, "series", "no process of the load generator reports its health"),
        ),
        (
            {"workers": (kit.worker(index=3, age_s=9.04),)},
            Outcome.INVALID,
            Reason(Cause.MISSING, "series", "worker 3 last reported 9.0 s ago"),
        ),
        (
            {"workers": (kit.worker(index=3, loop_lag_p99_ms=None),)},
            Outcome.INVALID,
            Reason(Cause.MISSING, "series", "worker 3 reports no loop lag"),
        ),
        (
            {"workers": (kit.worker(cpu=0.951),)},
            Outcome.INVALID,
            Reason(Cause.GENERATOR, "generator cpu", "the load generator used 0.95 of its core, limit 0.92"),
        ),
        (
            {"users": 99, "ready": 99},
            Outcome.INVALID,
            Reason(Cause.GENERATOR, "generator users", "the load generator had started 99 of 100 users"),
        ),
        (
            {"workers": (kit.worker(loop_lag_p99_ms=63.0),)},
            Outcome.INVALID,
            Reason(Cause.GENERATOR, "generator loop lag", "the load generator: own loop lag p99 63 ms, limit 62 ms"),
        ),
        (
            {"workers": (kit.worker(), kit.worker(index=1, send_lag_p99_ms=64.0))},
            Outcome.INVALID,
            Reason(
                Cause.GENERATOR, "generator send lag", "load generator worker 1: own send lag p99 64 ms, limit 62 ms"
            ),
        ),
        (
            {"ready": 98},
            Outcome.FAIL,
            Reason(Cause.SERVER, "admission", "only 98 of 100 users got into their rooms"),
        ),
        (
            {"received": 10_250},
            Outcome.FAIL,
            Reason(Cause.SERVER, "backlog", "only 90 % of the expected deliveries came within the window"),
        ),
        (
            {"lost": 114},
            Outcome.FAIL,
            Reason(Cause.SERVER, "loss", "missed loss<0.1%: 1 %"),
        ),
        (
            {"latency_intended": kit.histogram()},
            Outcome.INVALID,
            Reason(Cause.MISSING, "deliver_p99", "nothing in the window tells deliver_p99"),
        ),
        (
            {"sent": 587},
            Outcome.INVALID,
            Reason(Cause.GENERATOR, "offered rate", "only 587 of 600 intended messages were sent (0 skipped)"),
        ),
        (
            {"skipped": 13},
            Outcome.INVALID,
            Reason(Cause.GENERATOR, "offered rate", "only 600 of 600 intended messages were sent (13 skipped)"),
        ),
    ],
)
def test_each_reason_names_its_cause_its_signal_and_the_figures(
    figures: dict[str, Any], outcome: Outcome, reason: Reason
) -> None:
    found = verdict(**figures)
    assert (found.outcome, found.reasons) == (outcome, (reason,))


@pytest.mark.parametrize(
    "figures",
    [
        {"workers": (kit.worker(age_s=3.0),)},
        {"workers": (kit.worker(cpu=0.9199),)},
        {"workers": (kit.worker(loop_lag_p99_ms=62.5, send_lag_p99_ms=62.5),)},
        {"workers": (kit.worker(send_lag_p99_ms=None),)},
        {"ready": 99},
        {"received": 10_260},
        {"sent": 588, "skipped": 12},
    ],
    ids=["age", "cpu", "lag", "no sends", "ready", "backlog", "offered"],
)
def test_a_figure_at_its_limit_is_within_it(figures: dict[str, Any]) -> None:
    assert verdict(**figures) == verdict()


def test_cpu_at_its_limit_is_over_it() -> None:
    assert verdict(workers=(kit.worker(cpu=0.92),)).reasons[0].signal == "generator cpu"


def test_a_window_that_could_not_be_taken_is_invalid() -> None:
    assert missing("no answer") == Verdict(Outcome.INVALID, (Reason(Cause.MISSING, "series", "no answer"),))


MISSED = {"latency_intended": kit.histogram(*[900.0] * 100)}
DISTURBED = {"cpu": 0.3, "core_busy": 0.7, "core_stolen": 0.1}
NOTES = ("others used 0.50 of the server's core", "the hypervisor withheld 10 % of the server's core")


@pytest.mark.parametrize(
    ("server", "figures", "outcome"),
    [
        (DISTURBED, {}, Outcome.PASS),
        (DISTURBED, MISSED, Outcome.FAIL),
        (DISTURBED, {"workers": (kit.worker(cpu=0.99),)}, Outcome.INVALID),
        (DISTURBED, {"workers": (kit.worker(loop_lag_p99_ms=99.0),)}, Outcome.INVALID),
        (DISTURBED, {"operations": 0}, Outcome.INVALID),
    ],
)
def test_disturbances_are_noted_whatever_the_outcome(
    server: dict[str, float], figures: dict[str, Any], outcome: Outcome
) -> None:
    found = verdict(kit.server(**server), **figures)
    assert (found.outcome, found.notes) == (outcome, NOTES)


def test_disturbances_are_noted_beside_the_reason_that_others_held_the_core() -> None:
    found = verdict(kit.server(cpu=0.1875, core_busy=0.1875, core_stolen=0.75), **MISSED)
    assert found.reasons[0] == Reason(
        Cause.OTHERS,
        "others on the server's core",
        "others held 75 % of the server's core, which was full; the server got 19 %",
    )
    assert found.notes == (
        "others used 0.75 of the server's core",
        "the hypervisor withheld 75 % of the server's core",
    )
    found = verdict(kit.server(cpu=0.75, core_busy=1.0), **MISSED)
    assert found.reasons[0].text == "others held 25 % of the server's core, which was full; the server got 75 %"


def test_others_at_the_limits_themselves_disturb() -> None:
    limits = Limits(disturbed=0.25, disturbing=0.25, core_full=0.75)
    found = judge(
        kit.client(**MISSED),
        kit.server(cpu=0.5, core_busy=0.75, core_stolen=0.0),
        target_users=100,
        levels=LEVELS,
        limits=limits,
    )
    assert found.outcome is Outcome.INVALID
    assert found.notes == ("others used 0.25 of the server's core",)


def test_as_many_skipped_messages_as_may_be_missing_are_allowed() -> None:
    client = kit.client(sent=450, skipped=150)
    found = judge(client, kit.server(), target_users=100, levels=LEVELS, limits=Limits(offered=0.75))
    assert found.outcome is Outcome.PASS


@pytest.mark.parametrize("lags", [(100.0, None), (0.0, 100.0)])
@pytest.mark.parametrize(("latency_ms", "outcome"), [(450.0, Outcome.INVALID), (450.5, Outcome.FAIL)])
def test_a_miss_is_explained_by_exactly_as_much_lag_as_was_measured(
    lags: tuple[float, float | None], latency_ms: float, outcome: Outcome
) -> None:
    workers = (kit.worker(loop_lag_p99_ms=lags[0], send_lag_p99_ms=lags[1]),)
    found = judge(
        kit.client(workers=workers),
        kit.server(),
        target_users=100,
        levels=LEVELS,
        values={"deliver_p99<250ms": latency_ms},
        limits=Limits(lag_factor=2.0),
    )
    assert found.outcome is outcome


@pytest.mark.parametrize(("seconds", "outcome"), [(0.8, Outcome.INVALID), (0.801, Outcome.FAIL)])
def test_a_backlog_is_explained_by_exactly_as_much_lag_as_was_measured(seconds: float, outcome: Outcome) -> None:
    workers = (kit.worker(loop_lag_p99_ms=100.0, send_lag_p99_ms=0.0),)
    client = kit.client(workers=workers, seconds=seconds, received=8550)  # a quarter is missing: 200 ms
    found = judge(client, kit.server(), target_users=100, levels=LEVELS, limits=Limits(lag_factor=2.0))
    assert found.outcome is outcome


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
    assert len(verdict(kit.server(**server)).notes) == notes


@pytest.mark.parametrize(
    ("server", "outcome"),
    [
        ({"cpu": 0.75, "core_busy": 1.0}, Outcome.INVALID),
        ({"cpu": 0.75, "core_busy": 0.9375}, Outcome.FAIL),
        ({"cpu": 0.8, "core_busy": 1.1}, Outcome.FAIL),
        ({"cpu": 0.5, "core_busy": 0.890625}, Outcome.FAIL),
        ({"cpu": 0.5, "core_busy": 0.90625}, Outcome.INVALID),
        ({"cpu": 0.5, "core_busy": None}, Outcome.FAIL),
        ({"cpu": None, "core_busy": 1.0}, Outcome.FAIL),
    ],
)
def test_a_miss_is_excused_only_by_a_full_core_of_which_others_held_a_fifth(
    server: dict[str, float | None], outcome: Outcome
) -> None:
    assert verdict(kit.server(**server), **MISSED).outcome is outcome


@pytest.mark.parametrize(
    ("lag_ms", "latency_ms", "outcome"),
    [(100.0, 460.0, Outcome.INVALID), (100.0, 500.0, Outcome.FAIL)],
)
def test_a_miss_counts_only_beyond_what_the_lag_can_explain(lag_ms: float, latency_ms: float, outcome: Outcome) -> None:
    # 250 ms and 2.2 times the lag: 470 ms.
    workers = (kit.worker(loop_lag_p99_ms=lag_ms, send_lag_p99_ms=None),)
    assert verdict(workers=workers, latency_intended=kit.histogram(*[latency_ms] * 100)).outcome is outcome


@pytest.mark.parametrize(
    ("seconds", "received", "outcome"),
    [
        (6.0, 9_120, Outcome.FAIL),  # a fifth of 6 s is 1 200 ms, the lag explains 220
        (1.0, 9_120, Outcome.INVALID),  # a fifth of 1 s is 200 ms
        (6.0, 10_260, Outcome.INVALID),  # nine tenths came: the server kept pace
    ],
)
def test_deliveries_that_are_missing_count_only_beyond_the_lag(seconds: float, received: int, outcome: Outcome) -> None:
    workers = (kit.worker(loop_lag_p99_ms=100.0, send_lag_p99_ms=0.0),)
    assert verdict(workers=workers, seconds=seconds, received=received).outcome is outcome


def test_a_verdict_carries_the_figure_of_each_level() -> None:
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
        {"latency_intended": kit.histogram(*[5000.0] * 100)},
        {"ready": 60, "failures": 40},
        {"workers": (kit.worker(loop_lag_p99_ms=190.0),), "latency_intended": kit.histogram(*[3250.0] * 100)},
    ],
    ids=["else healthy", "level missed", "not all in their rooms", "lag beside it"],
)
def test_a_fault_of_the_generators_own_side_is_invalid_whatever_else_was_measured(figures: dict[str, Any]) -> None:
    found = verdict(faults=(Fault(FaultKind.PORTS, "40000 to 40059", 40), Fault(FaultKind.INTERNAL, "", 1)), **figures)
    assert found.outcome is Outcome.INVALID
    assert found.generator_limited
    assert list(found.reasons[:2]) == [
        Reason(Cause.GENERATOR, "generator fault", f"the load generator's own fault: {text}")
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
    assert beyond_files(most, workers, limit) is None
    found = beyond_files(most + 1, workers, limit)
    text = f"open files, this machine lets each server process open {limit} (ulimit -n): enough for {most} users"
    reason = Reason(Cause.GENERATOR, "generator fault", f"the load generator's own fault: {text}")
    assert found == Verdict(Outcome.INVALID, (reason,))
