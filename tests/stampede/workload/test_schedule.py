"""Schedules are absolute, reproducible from a seed, and have the requested rates."""

from __future__ import annotations

from itertools import islice, pairwise
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.workload.schedule import poisson, rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class User:
    """A user whose random generators depend on a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def rng(self, purpose: str) -> Random:
        return Random(f"{self.seed}/{purpose}")


@given(st.floats(0.01, 1000), st.integers(0, 1 << 32))
def test_due_times_of_a_rate_are_evenly_spaced_from_a_random_phase(per_second: float, seed: int) -> None:
    times = list(islice(rate(per_second)(User(seed)), 20))
    assert 0 <= times[0] <= 1 / per_second
    assert all(later - earlier == pytest.approx(1 / per_second) for earlier, later in pairwise(times))


def test_phases_spread_over_the_whole_period() -> None:
    phases = [next(rate(1)(User(seed))) for seed in range(200)]
    assert min(phases) < 0.1
    assert max(phases) > 0.9


def test_poisson_due_times_have_the_rate_and_the_spread_of_a_poisson_process() -> None:
    times = list(islice(poisson(5.0)(User(1)), 20_000))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert mean == pytest.approx(0.2, rel=0.05)
    assert variance == pytest.approx(0.04, rel=0.1)


@pytest.mark.parametrize("schedule", [rate, poisson])
def test_one_seed_gives_one_schedule(schedule: Callable[[float], Callable[[User], Iterator[float]]]) -> None:
    first, again, other = (list(islice(schedule(1.0)(User(seed)), 10)) for seed in (1, 1, 2))
    assert first == again != other
