from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from capacity.model.scalability import fit_model
from capacity.model.sizing import Demand, size_for
from capacity.report.answer import build_answer
from capacity.search.search import Ending
from tests.capacity import make

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.record.model import Sizing
    from capacity.record.step import StepRecord

STEPS = make.converged()
ANSWER = build_answer(make.question(), STEPS, Ending.CONVERGED)


def test_processes_carry_the_target_with_headroom_and_a_spare() -> None:
    sizing = size_for(Demand(10_000, 0.3), ANSWER, STEPS)
    assert sizing is not None
    assert (sizing.users_per_process, sizing.usable_per_process) == (1400, 980)
    assert (sizing.processes, sizing.with_spare) == (11, 12)
    assert "1 400 users held by one process, less 30 % headroom: 980 users a process" in sizing.arithmetic
    assert any(line.startswith("10 000 / 980 = 10.20, so 11 processes") for line in sizing.arithmetic)


def test_cpu_memory_and_network_come_from_the_lines_through_the_steps() -> None:
    sizing = size_for(Demand(10_000, 0.3), ANSWER, STEPS)
    assert sizing is not None
    # The synthetic steps: 0.02 cores + users / 2000; 60 MiB + 12 000 bytes each; 2 000 bytes a second each.
    assert sizing.cpu_us_per_user == pytest.approx(500)
    assert sizing.cpu_cores == pytest.approx(12 * 0.02 + 5)
    assert sizing.bytes_per_user == pytest.approx(12_000)
    assert sizing.memory_bytes == pytest.approx(12 * ((60 << 20) + 10_000 / 11 * 12_000), rel=1e-6)
    assert sizing.sent_bytes_per_s == pytest.approx(20_000_000)
    assert sizing.headline.startswith("12 processes on a core each, ")


@pytest.mark.parametrize("users", [1, 979, 980])
def test_users_that_fit_one_process_need_one_and_a_spare(users: int) -> None:
    sizing = size_for(Demand(users, 0.3), ANSWER, STEPS)
    assert sizing is not None
    assert (sizing.processes, sizing.with_spare) == (1, 2)


def test_unmeasured_quantities_are_none() -> None:
    bare = [make.step(100, server_cpu=None, server_rss_bytes=None, server_sent_bytes_per_s=None)]
    sizing = size_for(Demand(500, 0.0), build_answer(make.question(), bare, Ending.BUDGET), bare)
    assert sizing is not None
    assert (sizing.cpu_cores, sizing.memory_bytes, sizing.sent_bytes_per_s) == (None, None, None)
    assert sizing.processes == 5


def test_the_assumptions_are_listed() -> None:
    steps = make.generator_first()
    sizing = size_for(Demand(5000, 0.3), build_answer(make.question(), steps, Ending.GENERATOR), steps)
    assert sizing is not None
    assert "one process may hold more: its limit was not reached, so fewer processes may be enough" in sizing.caveats


def test_the_headline_says_that_the_limit_was_not_reached() -> None:
    steps = [make.step(100), make.step(200)]
    sizing = size_for(Demand(5000, 0.3), build_answer(make.question(), steps, Ending.STEPS_DONE), steps)
    assert sizing is not None
    assert sizing.headline.startswith("at most 37 processes on a core each")
    assert sizing.headline.endswith("; limit not reached")
    assert sizing.arithmetic[0].startswith("at least 200 users held by one process")
    reached = size_for(Demand(5000, 0.3), ANSWER, STEPS)
    assert reached is not None
    assert "limit" not in reached.headline
    assert reached.arithmetic[0].startswith("1 400 users")


def test_a_step_without_metrics_does_not_count_all_users_for_one_process() -> None:
    steps = [make.step(users, server_processes=4) for users in (400, 800, 1200)]
    answer = build_answer(make.question(), steps, Ending.BUDGET)
    silent = make.step(
        2400, "invalid", server_processes=1, server_cpu=None, reasons=["silence"], signals=["server metrics"]
    )
    sizing = size_for(Demand(5000, 0.0), answer, [*steps, silent])
    assert sizing is not None
    assert sizing.users_per_process == 300
    assert "measured with 4 processes" in sizing.caveats[0]


def test_the_number_of_processes_comes_from_the_level_that_held() -> None:
    steps = [make.step(400), make.step(800), make.step(1200, server_processes=4)]
    assert sized(5000, steps, 0.0, Ending.BUDGET).users_per_process == 300


def test_without_steps_one_process_is_assumed() -> None:
    sizing = size_for(Demand(10_000, 0.3), ANSWER, [])
    assert sizing is not None
    assert (sizing.users_per_process, sizing.processes, sizing.cpu_cores) == (1400, 11, None)


def test_without_a_passing_level_there_is_no_sizing() -> None:
    steps = [make.failing(100)]
    assert size_for(Demand(500, 0.3), build_answer(make.question(), steps, Ending.NOTHING_HOLDS), steps) is None


def test_the_model_uses_only_steps_that_kept_pace() -> None:
    model = fit_model([*STEPS, make.generator_limited(3200)], strictest_ms=250)
    assert model is not None
    assert len(model.points) == 8  # four of the ramp and four more that passed, without failed and invalid ones
    in_flight, rate = model.points[0]
    assert rate == pytest.approx(1900)
    assert in_flight == pytest.approx(1900 * 0.0013)
    assert any("reaches 250 ms" in line for line in model.lines)


def test_too_few_steps_give_no_model() -> None:
    assert fit_model(STEPS[:4]) is None


def sized(users: int, steps: Sequence[StepRecord], headroom: float = 0.3, ending: Ending = Ending.CONVERGED) -> Sizing:
    sizing = size_for(Demand(users, headroom), build_answer(make.question(), steps, ending), steps)
    assert sizing is not None
    return sizing


ONE_PROCESS = "assumes that the users of a room share a process: fan-out between processes costs more"


def test_the_arithmetic_is_shown_in_full() -> None:
    sizing = sized(10_000, STEPS)
    assert sizing.arithmetic == [
        "1 400 users held by one process, less 30 % headroom: 980 users a process",
        "10 000 / 980 = 10.20, so 11 processes; one more, so that one may fail (N+1): 12",
        "CPU: 10 000 users x 500 us a second each + 12 processes x 20 ms idle = 5.24 cores of work, 44 % of 12 cores",
        "memory: 12 processes x (60 MiB + 909 users x 11.7 KiB) = 845 MiB, sockets' kernel memory not counted",
        "network: 10 000 users x 1.95 KiB/s = 19.1 MiB/s of WebSocket frames (160 Mbit/s)",
        "with all 12 running each carries 833 users",
    ]
    assert sizing.headline == "12 processes on a core each, 845 MiB of memory"
    assert sizing.caveats == [ONE_PROCESS]
    assert (sizing.target_users, sizing.headroom) == (10_000, 0.3)
    assert sizing.cpu_us_per_delivery == pytest.approx(500 / 19)
    assert sizing.cpu_us_per_user == pytest.approx(500, rel=1e-9)


def test_large_costs_are_shown_to_the_last_digit() -> None:
    steps = [
        make.step(users, server_cpu=1.0 + users, server_rss_bytes=None, server_sent_bytes_per_s=users * 125e9)
        for users in (1, 2, 3)
    ]
    sizing = sized(3, steps, 0.0, Ending.BUDGET)
    assert sizing.arithmetic[2].startswith(
        "CPU: 3 users x 1 000 000 us a second each + 2 processes x 1000 ms idle = 5.00"
    )
    assert sizing.arithmetic[3].endswith("of WebSocket frames (3000000 Mbit/s)")


def test_process_is_singular_for_one_and_plural_for_two() -> None:
    assert sized(500, STEPS).arithmetic[1] == (
        "500 / 980 = 0.51, so 1 process; one more, so that one may fail (N+1): 2"
    )
    assert "so 2 processes; one more" in sized(1_500, STEPS).arithmetic[1]


def test_several_measured_processes_share_the_users_and_the_idle_cost() -> None:
    steps = [make.step(users, server_processes=4) for users in (400, 800, 1200)]
    sizing = sized(5_000, steps, 0.0, Ending.BUDGET)
    assert sizing.arithmetic == [
        "at least 300 users held by one process, less 0 % headroom: 300 users a process",
        "5 000 / 300 = 16.67, so 17 processes; one more, so that one may fail (N+1): 18",
        "CPU: 5 000 users x 500 us a second each + 18 processes x 5 ms idle = 2.59 cores of work, 14 % of 18 cores",
        "memory: 18 processes x (15 MiB + 294 users x 11.7 KiB) = 331 MiB, sockets' kernel memory not counted",
        "network: 5 000 users x 1.95 KiB/s = 9.54 MiB/s of WebSocket frames (80 Mbit/s)",
        "with all 18 running each carries 278 users",
    ]
    assert sizing.caveats[0] == (
        "measured with 4 processes and the bus between them; with more processes, each holds less"
    )
    assert (
        sized(500, [make.step(users, server_processes=2) for users in (4, 8, 12)], 0.0)
        .caveats[0]
        .startswith("measured with 2 processes")
    )


def test_doubts_about_the_capacity_are_caveats() -> None:
    answer = build_answer(make.question(), STEPS, Ending.CONVERGED)
    doubtful = msgspec.structs.replace(answer, confirmed=False, disturbance="others used the server's core")
    sizing = size_for(Demand(10_000, 0.3), doubtful, STEPS)
    assert sizing is not None
    assert sizing.caveats == [
        ONE_PROCESS,
        f"the capacity of one process was {doubtful.confirmation}",
        "the machine was not quiet during the measurement",
    ]


def test_a_process_that_holds_one_user_keeps_at_least_one() -> None:
    sizing = sized(3, [make.step(1)], 0.5, Ending.BUDGET)
    assert (sizing.users_per_process, sizing.usable_per_process) == (1, 1)


@pytest.mark.parametrize("levels", [2, 3])
def test_a_line_needs_three_levels(levels: int) -> None:
    sizing = sized(500, [make.step(100 * level) for level in range(1, levels + 1)], ending=Ending.BUDGET)
    assert (sizing.cpu_cores is not None) == (levels == 3)
    assert (sizing.memory_bytes is not None) == (levels == 3)
    if levels == 2:
        assert sizing.headline == "at most 5 processes on a core each; limit not reached"
        assert len(sizing.arithmetic) == 3


def test_only_passing_levels_count_for_the_cost_of_a_user() -> None:
    costly = make.step(1400, "invalid", server_cpu=9.0)
    above = make.step(1600, server_cpu=9.0)
    answer = build_answer(make.question(), STEPS, Ending.CONVERGED)
    sizing = size_for(Demand(10_000, 0.3), answer, [*STEPS, costly, above])
    assert sizing is not None
    assert sizing.cpu_us_per_user == pytest.approx(500)


@pytest.mark.parametrize("cpu", [0.3, None])
def test_a_cost_that_does_not_grow_has_no_line(cpu: float | None) -> None:
    sizing = sized(500, [make.step(users, server_cpu=cpu) for users in (100, 200, 300)], ending=Ending.BUDGET)
    assert (sizing.cpu_cores, sizing.cpu_us_per_user) == (None, None)
    assert not any(line.startswith("CPU") for line in sizing.arithmetic)


def test_a_base_below_zero_counts_as_zero_in_the_sum_and_in_its_arithmetic() -> None:
    steps = [make.step(users, server_cpu=users / 1000 - 0.05) for users in (100, 200, 300)]
    sizing = sized(1_000, steps, 0.0, Ending.BUDGET)
    assert sizing.cpu_cores == pytest.approx(1.0)
    assert "+ 5 processes x 0 ms idle = 1.00 cores of work, 20 % of 5 cores" in sizing.arithmetic[2]


UNKNOWN = "the server unknown, so not computed; see --server-pid and --metrics"


def test_a_server_with_unknown_cpu_is_sized_by_users_and_the_sizing_says_what_it_misses() -> None:
    dark: dict[str, Any] = {"server_cpu": None, "server_rss_bytes": None, "server_sent_bytes_per_s": None}
    sizing = sized(500, [make.step(users, **dark) for users in (100, 200, 300)], ending=Ending.BUDGET)
    assert sizing.headline == "at most 4 processes; limit not reached"
    assert sizing.arithmetic[1].endswith("(N+1): 4")
    assert f"CPU, memory and network of {UNKNOWN}" in sizing.caveats
    half = sized(500, [make.step(users, server_sent_bytes_per_s=None) for users in (100, 200, 300)], 0.3, Ending.BUDGET)
    assert f"network of {UNKNOWN}" in half.caveats
    few = sized(500, [make.step(users) for users in (100, 200)], 0.3, Ending.BUDGET)
    assert few.caveats[-1].startswith("CPU, memory and network per user not computed: that needs 3 levels")


def test_a_process_that_used_several_cores_needs_as_many() -> None:
    sizing = sized(500, [make.step(users, server_cpu=users / 100) for users in (100, 200, 300)], ending=Ending.BUDGET)
    assert sizing.headline.startswith("at most 4 processes on 3 cores each")
    assert sizing.arithmetic[1].endswith("(N+1): 4")
    assert "5.00 cores of work, 42 % of 12 cores" in sizing.arithmetic[2]
    noisy = sized(500, [make.step(users, server_cpu=users / 290) for users in (100, 200, 300)], ending=Ending.BUDGET)
    assert noisy.headline.startswith("at most 4 processes on a core each")  # 1.03 cores, by the error of the clocks
