"""A load generator at its limits makes a step invalid."""

from __future__ import annotations

import resource
from typing import Any

import pytest

from capacity.config.slo import parse_slo
from capacity.judge.generator_health import check_file_limit
from capacity.judge.judgement import Judgement, Reason
from capacity.judge.limits import DEFAULT_LIMITS, Limits
from capacity.judge.verdict import judge
from capacity.record.step import Cause, Verdict
from server.runtime.rlimits import socket_budget
from server.settings import Settings
from stampede.generator_faults import Fault, FaultKind
from tests.capacity import make
from tests.capacity.judge.judging import SLOS, is_generator_limited, verdict


@pytest.mark.parametrize(
    ("worker", "latency_ms"),
    [
        ({"cpu": 0.95}, 255.0),
        ({"cpu": 0.95, "loop_lag_p99_ms": 80.0}, 400.0),
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


@pytest.mark.parametrize(
    ("delay", "note"),
    [
        ({"loop_lag_p99_ms": 80.0}, "loop lag p99 80 ms, limit 62 ms"),
        ({"send_lag_p99_ms": 80.0}, "send lag p99 80 ms, limit 62 ms"),
        ({"cpu": 0.99}, "used 0.99 of its core, limit 0.92"),
    ],
)
def test_a_step_that_meets_the_slo_on_latency_with_an_overloaded_generator_passes(
    delay: dict[str, float], note: str
) -> None:
    found = verdict(workers=(make.worker(**delay),), latency_intended=make.histogram(*[240.0] * 100))
    assert found.verdict is Verdict.PASS
    assert found.notes[0].endswith(f"{note}; the latency includes the delay")


@pytest.mark.parametrize("delay", [{"loop_lag_p99_ms": 110.0}, {"cpu": 0.99}])
@pytest.mark.parametrize(("slos", "received"), [(("loss<0.1%",), 11_400), (("deliver_p99<250ms",), 11_100)])
def test_a_delay_that_no_measured_latency_includes_makes_the_step_invalid(
    slos: tuple[str, ...], received: int, delay: dict[str, float]
) -> None:
    found = judge(
        make.client(workers=(make.worker(**delay),), received=received),
        make.server(),
        target_users=100,
        slos=tuple(map(parse_slo, slos)),
    )
    assert found.verdict is Verdict.INVALID
    assert is_generator_limited(found)


@pytest.mark.parametrize(
    ("cpu", "notes"), [(0.35, ["loop lag p99 190 ms"]), (0.99, ["used 0.99 of its core", "loop lag p99 190 ms"])]
)
def test_cpu_and_lag_that_do_not_explain_the_miss_are_noted(cpu: float, notes: list[str]) -> None:
    workers = (make.worker(cpu=cpu, loop_lag_p99_ms=190.0),)
    found = verdict(workers=workers, latency_intended=make.histogram(*[3250.0] * 100))
    assert found.verdict is Verdict.FAIL
    for note, text in zip(found.notes, notes, strict=True):
        assert text in note
        assert note.endswith("; the lag does not explain the failure")


def test_a_full_core_explains_missing_deliveries() -> None:
    assert verdict(workers=(make.worker(),), received=9000).verdict is Verdict.FAIL
    assert verdict(workers=(make.worker(cpu=0.95),), received=9000).verdict is Verdict.INVALID


def test_lag_does_not_explain_a_tenth_of_missing_deliveries_after_six_seconds() -> None:
    found = verdict(workers=(make.worker(loop_lag_p99_ms=100.0),), received=9000)
    assert found.verdict is Verdict.FAIL


def test_the_lag_limit_follows_the_strictest_latency_slo() -> None:
    assert DEFAULT_LIMITS.lag_ms(SLOS) == pytest.approx(62.5)
    assert DEFAULT_LIMITS.lag_ms((parse_slo("deliver_p99<1ms"),)) == pytest.approx(10)
    assert DEFAULT_LIMITS.lag_ms((parse_slo("loss<1%"),)) == pytest.approx(100)


def test_users_that_the_generator_never_started_make_the_step_invalid() -> None:
    found = verdict(users=80, ready=80)
    assert is_generator_limited(found)
    assert "80 of 100" in found.reasons[0].text


def test_users_that_waited_for_late_messages_are_no_fault_of_the_server() -> None:
    found = verdict(workers=(make.worker(send_lag_p99_ms=41.0),), users=100, ready=80)
    assert found.verdict is Verdict.INVALID
    assert is_generator_limited(found)
    assert found.reasons[0].text == "the load generator sent messages late (p99 41 ms), so new users waited"
    assert verdict(workers=(make.worker(send_lag_p99_ms=40.0),), users=100, ready=80).verdict is Verdict.FAIL
    workers, late = (make.worker(send_lag_p99_ms=41.0),), make.histogram(*[900.0] * 100)
    assert verdict(workers=workers, latency_intended=late, users=100, ready=80).verdict is Verdict.FAIL


def test_a_worker_whose_machine_does_not_reach_the_server_makes_the_step_invalid() -> None:
    reached = make.worker(users=50, connections=50, host="a")
    cut_off = make.worker(index=1, users=50, connections=0, host="b")
    found = verdict(workers=(reached, cut_off), users=100, ready=50, connections=50)
    assert found.verdict is Verdict.INVALID
    assert is_generator_limited(found)
    assert found.reasons[0].text == "load generator worker 1 on b has no connection to the server, others have"
    assert found.reasons[0].worker == "load generator worker 1 on b"


def test_a_server_to_which_no_worker_is_connected_fails() -> None:
    cut_off = (make.worker(users=50, connections=0), make.worker(index=1, users=50, connections=0))
    assert verdict(workers=cut_off, users=100, ready=0, connections=0, received=0).verdict is Verdict.FAIL


def test_cpu_at_its_limit_is_over_it() -> None:
    late = make.histogram(*[255.0] * 100)
    assert verdict(workers=(make.worker(cpu=0.92),), latency_intended=late).reasons[0].signal == "generator cpu"
    assert verdict(workers=(make.worker(cpu=0.919),), latency_intended=late).verdict is Verdict.FAIL


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


@pytest.mark.parametrize("limit", [353, 354, 368, 428, 480, 481, 512, 728, 1024])
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
