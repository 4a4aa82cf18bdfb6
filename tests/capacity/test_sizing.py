from __future__ import annotations

import pytest

from capacity.answer import answer_of
from capacity.model import fit_model
from capacity.search import Ending
from capacity.sizing import Demand, size_for
from tests.capacity import kit

STEPS = kit.converged()
ANSWER = answer_of(kit.question(), STEPS, Ending.CONVERGED)


def test_processes_are_those_that_carry_the_target_with_headroom_and_one_more() -> None:
    sizing = size_for(Demand(10_000, 0.3), ANSWER, STEPS)
    assert sizing is not None
    assert (sizing.users_per_process, sizing.usable_per_process) == (1400, 980)
    assert (sizing.processes, sizing.with_spare) == (11, 12)
    assert "1 400 users held by one process, less 30 % headroom: 980 users a process" in sizing.arithmetic
    assert any(line.startswith("10 000 / 980 = 10.20, so 11 processes") for line in sizing.arithmetic)


def test_cpu_memory_and_network_come_from_the_lines_through_the_steps() -> None:
    sizing = size_for(Demand(10_000, 0.3), ANSWER, STEPS)
    assert sizing is not None
    # The kit's steps: 0.02 cores + users / 2000; 60 MiB + 12 000 bytes each; 2 000 bytes a second each.
    assert sizing.cpu_us_per_user == pytest.approx(500)
    assert sizing.cpu_cores == pytest.approx(12 * 0.02 + 5)
    assert sizing.bytes_per_user == pytest.approx(12_000)
    assert sizing.memory_bytes == pytest.approx(12 * ((60 << 20) + 10_000 / 11 * 12_000), rel=1e-6)
    assert sizing.sent_bytes_per_s == pytest.approx(20_000_000)
    assert sizing.headline.startswith("12 processes on a core each, ")


@pytest.mark.parametrize("users", [1, 979, 980])
def test_whoever_fits_into_one_process_needs_one_and_a_spare(users: int) -> None:
    sizing = size_for(Demand(users, 0.3), ANSWER, STEPS)
    assert sizing is not None
    assert (sizing.processes, sizing.with_spare) == (1, 2)


def test_what_was_not_measured_is_not_made_up() -> None:
    bare = [kit.step(100, server_cpu=None, server_rss_bytes=None, server_sent_bytes_per_s=None)]
    sizing = size_for(Demand(500, 0.0), answer_of(kit.question(), bare, Ending.BUDGET), bare)
    assert sizing is not None
    assert (sizing.cpu_cores, sizing.memory_bytes, sizing.sent_bytes_per_s) == (None, None, None)
    assert sizing.processes == 5


def test_its_assumptions_are_said() -> None:
    steps = kit.generator_first()
    sizing = size_for(Demand(5000, 0.3), answer_of(kit.question(), steps, Ending.GENERATOR), steps)
    assert sizing is not None
    assert "one process holds at least the users counted: fewer processes may do" in sizing.caveats


def test_a_limit_that_was_not_reached_is_said_in_the_headline() -> None:
    steps = [kit.step(100), kit.step(200)]
    sizing = size_for(Demand(5000, 0.3), answer_of(kit.question(), steps, Ending.STEPS_DONE), steps)
    assert sizing is not None
    assert sizing.headline.startswith("at most 37 processes on a core each")
    assert sizing.headline.endswith("; limit not reached")
    assert sizing.arithmetic[0].startswith("at least 200 users held by one process")
    reached = size_for(Demand(5000, 0.3), ANSWER, STEPS)
    assert reached is not None
    assert "limit" not in reached.headline
    assert reached.arithmetic[0].startswith("1 400 users")


def test_a_step_that_lost_its_metrics_does_not_credit_one_process_with_the_users_of_all() -> None:
    steps = [kit.step(users, server_processes=4) for users in (400, 800, 1200)]
    answer = answer_of(kit.question(), steps, Ending.BUDGET)
    silent = kit.step(
        2400, "invalid", server_processes=1, server_cpu=None, reasons=["silence"], signals=["server metrics"]
    )
    sizing = size_for(Demand(5000, 0.0), answer, [*steps, silent])
    assert sizing is not None
    assert sizing.users_per_process == 300
    assert "measured over 4 processes" in sizing.caveats[0]


def test_without_a_level_that_held_there_is_no_sizing() -> None:
    steps = [kit.failing(100)]
    assert size_for(Demand(500, 0.3), answer_of(kit.question(), steps, Ending.NOTHING_HOLDS), steps) is None


def test_the_model_takes_the_steps_that_kept_pace_only() -> None:
    model = fit_model([*STEPS, kit.generator_limited(3200)], strictest_ms=250)
    assert model is not None
    assert len(model.points) == 8  # four of the ramp, four more that passed; neither fails nor invalid ones
    in_flight, rate = model.points[0]
    assert rate == pytest.approx(1900)
    assert in_flight == pytest.approx(1900 * 0.0013)
    assert any("would reach 250 ms" in line for line in model.lines)


def test_too_few_steps_are_no_model() -> None:
    assert fit_model(STEPS[:4]) is None
