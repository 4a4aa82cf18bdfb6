from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.costs.engine import BUILT_IN, OWN, Cost, UserLoad, main, measure, own_line, table


@pytest.mark.parametrize(("users", "rate"), [(BUILT_IN, 5), (OWN, 1)])
def test_a_steady_state_is_measured(users: tuple[str, str], rate: int) -> None:
    load = UserLoad(users=20, room_size=10, rate=rate, goal_us=0)
    cost = measure(load, 4.0, users)
    assert 0 < cost.deliveries_per_s <= 1.8 * load.deliveries_per_s
    assert cost.cpu_us > 0
    assert cost.memory_mib > 10


def test_the_cost_of_the_ledger_is_measured_against_a_client_without_it() -> None:
    """Runs in a separate process, because importing Locust patches the threads of the process."""
    command = [sys.executable, "-m", "benchmarks.costs.ledger", "--turns", "2", "--users", "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("900 deliveries/s over 20 users: ledger and statistics add ")


def test_the_table_shows_medians_and_goals() -> None:
    costs = [Cost(18_000, cpu, 90) for cpu in (17.0, 14.0, 15.0)]
    assert table([(UserLoad(2000, 20, 0.5, 15), costs)]).splitlines()[-1] == (
        "| 2,000 users in rooms of 20 | 19,000 | 18,000 | 15.0 us | 14.0-17.0 us | 15 us |"
    )


@pytest.mark.parametrize("flags", [["--rounds", "0"], ["--seconds", "0"]])
def test_invalid_options_are_reported_in_one_line(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(flags) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_line_about_own_scenarios_shows_the_median_ratio() -> None:
    assert own_line([(8.0, 8.8), (10.0, 9.0), (9.0, 10.8)]).strip() == (
        "400 users in rooms of 50, a message per second: ChattingUser 9.0 us of CPU per delivery, own tasks 9.0 us, "
        "1.10 times (0.90-1.20, goal 1.2)"
    )
