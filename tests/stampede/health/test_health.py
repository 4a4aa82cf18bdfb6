"""The limits beyond which a run is invalid."""

from __future__ import annotations

import re

import pytest

from stampede.generator_faults import FaultKind
from stampede.health.health import (
    PROBE_INTERVAL_NS,
    WINDOW_SECONDS,
    CpuUse,
    Health,
    cause_of,
    limits_reached,
    probe_lags,
)
from stampede.health.limits import RUN_LAG_NS
from stampede.health.machine import Usage
from stampede.measure.measures import Measures


class Watched:
    """A health check of a process, window by window."""

    def __init__(self) -> None:
        self.measures = Measures()
        self.health = Health(0.0, 0.0)
        self.at = self.cpu = 0.0

    def window(self, *, cpu: float = 0.1, send_lag: int = 0, loop_lag: int = 0) -> list[str]:
        for _ in range(200):
            self.measures.send_lag.record(send_lag)
            self.measures.loop_lag.record(loop_lag)
        self.at += WINDOW_SECONDS
        self.cpu += cpu * WINDOW_SECONDS
        return self.health.end_window(self.at, self.cpu, self.measures)


def test_a_generator_that_keeps_up_has_no_problems() -> None:
    watched = Watched()
    for _ in range(20):
        assert watched.window(cpu=0.9, send_lag=RUN_LAG_NS // 2, loop_lag=RUN_LAG_NS // 2) == []


def test_one_bad_window_is_no_problem() -> None:
    watched = Watched()
    for _ in range(5):
        assert watched.window(cpu=1.0, send_lag=2 * RUN_LAG_NS, loop_lag=2 * RUN_LAG_NS) == []
        assert watched.window() == []


def test_two_bad_windows_in_a_row_are_one_problem_for_each_signal() -> None:
    for limit, words in (
        ({"cpu": 0.97}, "CPU: 97% of a core"),
        ({"send_lag": 2 * RUN_LAG_NS}, "send lag: p99 199"),
        ({"loop_lag": 2 * RUN_LAG_NS}, "loop lag: p99 199"),
    ):
        watched = Watched()
        watched.window(**limit)
        (problem,) = watched.window(**limit)
        assert problem.startswith(words)
        assert watched.window(**limit) == []
        assert watched.health.problems == [problem]


def test_a_few_late_samples_are_no_percentile() -> None:
    watched = Watched()
    for _ in range(4):
        watched.measures.send_lag.record(10 * RUN_LAG_NS)
        watched.at += WINDOW_SECONDS
        assert watched.health.end_window(watched.at, watched.cpu, watched.measures) == []


def test_a_stall_counts_for_all_expiries_that_it_delayed() -> None:
    assert list(probe_lags(0)) == [0]
    assert list(probe_lags(-5)) == [0]
    assert list(probe_lags(3)) == [3]
    assert list(probe_lags(3 * PROBE_INTERVAL_NS + 7)) == [
        3 * PROBE_INTERVAL_NS + 7,
        2 * PROBE_INTERVAL_NS + 7,
        PROBE_INTERVAL_NS + 7,
        7,
    ]


@pytest.mark.parametrize(("samples", "problems"), [(99, 0), (100, 1)])
def test_a_percentile_needs_a_hundred_samples(samples: int, problems: int) -> None:
    measures = Measures()
    for _ in range(samples):
        measures.loop_lag.record(2 * RUN_LAG_NS)
    assert len(Health(0.0, 0.0).conclude(3.0, 0.1, measures)) == problems


@pytest.mark.parametrize(("cpu", "over"), [(0.9499, False), (0.95, True)])
def test_the_cpu_limit_itself_is_exceeded(cpu: float, over: bool) -> None:
    assert bool(Health(0.0, 0.0).conclude(10.0, cpu * 10.0, Measures())) == over


def test_a_run_without_length_has_used_no_cpu() -> None:
    assert Health(1.0, 0.0).conclude(1.0, 5.0, Measures()) == []
    assert Health(1.0, 0.0).conclude(1.5, 0.6, Measures()) == ["CPU: 120% of a core over the whole run"]


def test_a_stall_of_one_interval_counts_twice() -> None:
    assert list(probe_lags(PROBE_INTERVAL_NS)) == [PROBE_INTERVAL_NS, 0]
    assert list(probe_lags(PROBE_INTERVAL_NS - 1)) == [PROBE_INTERVAL_NS - 1]


def test_a_lag_problem_shows_milliseconds_and_its_window() -> None:
    watched = Watched()
    watched.window(send_lag=3 * RUN_LAG_NS)
    (problem,) = watched.window(send_lag=3 * RUN_LAG_NS)
    found = re.fullmatch(r"send lag: p99 (\d+) ms in the window 0:05-0:10", problem)
    assert found is not None
    assert 290 <= int(found[1]) <= 310


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (CpuUse(0.5, 2, 1.0, 0.2), "The hypervisor withheld 10% of the CPU"),
        (CpuUse(0.5, 2, 1.0, 0.19), "so it was not short of CPU"),
        (CpuUse(0.37, 2, 0.2), "No CPU is left on this machine (all 2 cores are busy, 37% of one with this process)"),
        (
            CpuUse(0.37, 2, 0.2, 0.5, 0.01, 0.5),
            "The CPU quota of the control group (0.50 cores) stopped the process for 1%",
        ),
        (CpuUse(0.37, 2, 0.2, 0.0, 0.009, 0.5), "No CPU is left on this machine"),
        (CpuUse(0.37, 2, 0.2, 0.0, 0.5, None), "No CPU is left on this machine"),
        (CpuUse(0.37, 2, 0.21), "so it was not short of CPU"),
        (CpuUse(0.5, 1, 0.0), "(its only core is busy, 50% of one with this process)"),
        (CpuUse(0.9, 2, 1.0), "The process uses its whole core, and other cores are free: use more --processes."),
        (CpuUse(0.89, 2, 1.0), "The process used 89% of a core, so it was not short of CPU"),
        (CpuUse(0.97), "The process uses its whole core"),
    ],
)
def test_the_cause_is_the_one_that_can_be_fixed(load: CpuUse, words: str) -> None:
    assert words in cause_of(load)


@pytest.mark.parametrize(
    ("load", "text"),
    [
        (
            CpuUse(0.5, 2, 1.0, 0.5, 0.25, 1.5),
            "The CPU quota of the control group (1.50 cores) stopped the process for 25% of the time: raise the quota.",
        ),
        (CpuUse(0.5, 2, 1.0, 0.5), "The hypervisor withheld 25% of the CPU: use a dedicated machine."),
        (
            CpuUse(0.37, 2, 0.2),
            (
                "No CPU is left on this machine (all 2 cores are busy, 37% of one with this process): move the server "
                "or the load generator to another machine; more --processes do not help."
            ),
        ),
        (CpuUse(0.9, 2, 1.0), "The process uses its whole core, and other cores are free: use more --processes."),
        (
            CpuUse(0.5, 2, 1.0),
            (
                "The process used 50% of a core, so it was not short of CPU. Possible causes: blocking user code, "
                "swapping, a suspended machine."
            ),
        ),
    ],
)
def test_a_cause_is_a_full_sentence_with_a_remedy(load: CpuUse, text: str) -> None:
    assert cause_of(load) == text


def late(ns: int) -> Measures:
    measures = Measures()
    for _ in range(100):
        measures.loop_lag.record(ns)
    return measures


@pytest.mark.parametrize(
    ("before", "after", "cause"),
    [
        (
            Usage(cores=2, idle=100.0),
            Usage(cores=2, idle=101.9),
            "No CPU is left on this machine (all 2 cores are busy, 30% of one with this process)",
        ),
        (Usage(cores=2), Usage(cores=2, idle=101.9), "The process used 30% of a core, so it was not short of CPU"),
        (Usage(cores=2, idle=100.0), Usage(cores=2), "The process used 30% of a core, so it was not short of CPU"),
        (
            Usage(cores=2, idle=100.0, stolen=50.0),
            Usage(cores=2, idle=101.9, stolen=55.0),
            "The hypervisor withheld 25% of the CPU",
        ),
    ],
)
def test_the_cause_follows_from_the_use_of_the_machine_in_the_window(before: Usage, after: Usage, cause: str) -> None:
    health = Health(0.0, 2.0, before)
    (problem,) = health.conclude(10.0, 5.0, late(10**12), after)
    (found,) = health.causes
    assert found.startswith(cause)
    shown = (late(10**12).loop_lag.quantile(0.99) or 0) / 1e6
    assert problem == f"loop lag: p99 {shown:.0f} ms over the whole run"


def test_the_cpu_of_a_run_of_half_a_second_is_a_part_of_that_time() -> None:
    health = Health(1.0, 0.0)
    health.conclude(1.5, 0.6, Measures())
    assert health.causes == ["The process uses its whole core, and other cores are free: use more --processes."]


def test_windows_are_shown_relative_to_the_start_of_the_run() -> None:
    health = Health(100.0, 0.0)
    assert (health.problems, health.causes, health.reached) == ([], [], [])
    assert health.end_window(105.0, 5.0, Measures()) == []
    assert health.end_window(110.0, 10.0, Measures()) == ["CPU: 100% of a core in the window 0:05-0:10"]


def test_processes_that_the_kernel_killed_are_reported() -> None:
    for before, after, detail in ((2, 3, "the kernel killed 1 process"), (1, 3, "the kernel killed 2 processes")):
        found = limits_reached(Usage(killed=before), Usage(killed=after), 1.0)
        assert list(found) == [(FaultKind.MEMORY_LIMIT, detail)]
    assert list(limits_reached(Usage(killed=2), Usage(killed=2), 1.0)) == []


QUOTA = Usage(throttled=1.0, quota=0.5, memory=95 << 20, memory_limit=100 << 20, tracked=95, tracked_limit=100)


def test_limits_of_the_machine_are_reported_with_their_values() -> None:
    assert list(limits_reached(Usage(throttled=0.4), QUOTA, 10.0)) == [
        (FaultKind.CPU_QUOTA, "0.50 cores"),
        (FaultKind.MEMORY_LIMIT, "100 MiB"),
        (FaultKind.CONNTRACK, "net.netfilter.nf_conntrack_max is 100"),
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Usage(throttled=0.5), Usage(throttled=1.0, quota=0.5)),
        (Usage(), Usage(throttled=5.0)),
        (Usage(), Usage(memory=94 << 20, memory_limit=100 << 20)),
        (Usage(), Usage(memory=95 << 20)),
        (Usage(), Usage(tracked=94, tracked_limit=100)),
        (Usage(), Usage(tracked=95)),
    ],
)
def test_a_limit_that_is_not_reached_is_not_reported(before: Usage, after: Usage) -> None:
    assert list(limits_reached(before, after, 10.0)) == []


def test_a_problem_of_a_window_is_not_repeated_for_the_whole_run() -> None:
    watched = Watched()
    watched.window(send_lag=2 * RUN_LAG_NS)
    (old,) = watched.window(send_lag=2 * RUN_LAG_NS)
    (new,) = watched.health.conclude(watched.at, 2 * WINDOW_SECONDS, watched.measures)
    assert watched.health.problems == [old, new]
    assert new == "CPU: 100% of a core over the whole run"


def test_a_few_stalls_of_a_long_run_are_not_its_p99() -> None:
    watched = Watched()
    for _ in range(50):
        watched.window()
    watched.window(send_lag=5 * RUN_LAG_NS, loop_lag=5 * RUN_LAG_NS)
    assert watched.health.conclude(watched.at, 1.0, watched.measures) != []
    for _ in range(60):
        watched.window()
    idle = Health(0.0, 0.0)
    assert idle.conclude(watched.at, 1.0, watched.measures) == []


def test_a_cause_appears_once_for_all_its_signals() -> None:
    watched = Watched()
    for _ in range(3):
        watched.window(send_lag=2 * RUN_LAG_NS, loop_lag=2 * RUN_LAG_NS)
    assert len(watched.health.problems) == 2
    assert len(watched.health.causes) == 1


def test_the_machine_s_figures_are_those_of_the_same_seconds() -> None:
    measures = Measures()
    health = Health(0.0, 0.0, Usage(cores=2, idle=100.0, throttled=3.0, quota=0.5))
    for _ in range(200):
        measures.loop_lag.record(2 * RUN_LAG_NS)
    usage = Usage(cores=2, idle=105.0, throttled=3.5, quota=0.5)
    assert health.end_window(10.0, 5.0, measures, usage) == []
    assert health.reached == []  # half a second of ten is the limit
    for _ in range(200):
        measures.loop_lag.record(2 * RUN_LAG_NS)
    assert health.end_window(20.0, 10.0, measures, Usage(cores=2, idle=110.0, throttled=4.5, quota=0.5)) != []
    assert health.causes == [
        "The CPU quota of the control group (0.50 cores) stopped the process for 10% of the time: raise the quota."
    ]
    assert health.reached == [(FaultKind.CPU_QUOTA, "0.50 cores")]


def test_the_whole_run_is_judged_from_its_beginning_with_the_machine_s_figures() -> None:
    measures = Measures()
    health = Health(5.0, 1.0, Usage(cores=2, idle=1.0, throttled=1.0, quota=0.5))
    assert health.conclude(15.0, 10.6, measures, Usage(cores=2, idle=11.0, throttled=1.6, quota=0.5)) == [
        "CPU: 96% of a core over the whole run"
    ]
    assert health.reached == [(FaultKind.CPU_QUOTA, "0.50 cores")]
    assert health.causes == [
        "The CPU quota of the control group (0.50 cores) stopped the process for 6% of the time: raise the quota."
    ]
