"""Other processes on the server's core."""

from __future__ import annotations

from typing import Any

import pytest

from capacity.judge.judgement import Reason
from capacity.judge.limits import Limits
from capacity.judge.verdict import judge
from capacity.measure.server_window import ServerWindow
from capacity.record.step import Cause, Verdict
from tests.capacity import make
from tests.capacity.judge.judging import MISSED, SLOS, verdict

DISTURBED = {"cpu": 0.3, "core_busy": 0.7, "core_stolen": 0.1}
NOTES = ("other processes used 0.50 of the server's core", "the hypervisor withheld 10 % of the server's core")


def test_disturbances_are_noted_and_do_not_change_the_verdict() -> None:
    noted = verdict(ServerWindow(cpu=0.5, core_busy=0.8, core_stolen=0.1))
    assert noted.verdict is Verdict.PASS
    assert "0.40 of the server's core" in noted.notes[0]
    assert "hypervisor" in noted.notes[1]


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
    ("server", "figures", "outcome"),
    [
        (DISTURBED, {}, Verdict.PASS),
        (DISTURBED, MISSED, Verdict.FAIL),
        (DISTURBED, {"workers": ()}, Verdict.INVALID),
        (DISTURBED, {"workers": (make.worker(loop_lag_p99_ms=500.0),), **MISSED}, Verdict.INVALID),
        (DISTURBED, {"operations": 0}, Verdict.INVALID),
    ],
)
def test_disturbances_are_noted_whatever_the_outcome(
    server: dict[str, float], figures: dict[str, Any], outcome: Verdict
) -> None:
    found = verdict(make.server(**server), **figures)
    assert (found.verdict, found.notes) == (outcome, NOTES)


@pytest.mark.parametrize(
    ("waited_s", "runnable", "outcome"),
    [
        (0.6, 0.2, Verdict.FAIL),
        (0.7, 0.2, Verdict.INVALID),  # 700 ms explain why 900 ms were not 250
        (0.6, 0.9, Verdict.INVALID),  # a thread that always needs a core has a backlog of earlier waits
        (None, 0.2, Verdict.INVALID),
        (0.6, None, Verdict.INVALID),
    ],
)
def test_a_server_that_hardly_waited_for_its_full_core_failed_by_itself(
    waited_s: float | None, runnable: float | None, outcome: Verdict
) -> None:
    system = make.system(waited_s=waited_s, runnable=runnable)
    found = verdict(make.server(cpu=0.05, core_busy=1.0, system=system), **MISSED)
    assert found.verdict is outcome
    assert found.notes == ("other processes used 0.95 of the server's core",)


def test_a_backlog_longer_than_the_wait_for_a_core_is_the_server_s() -> None:
    late = {"expected": 1000, "received": 800}  # a fifth of six seconds
    for waited_s, outcome in ((1.1, Verdict.FAIL), (1.3, Verdict.INVALID)):
        system = make.system(waited_s=waited_s, runnable=0.5)
        assert verdict(make.server(cpu=0.05, core_busy=1.0, system=system), **late).verdict is outcome


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
