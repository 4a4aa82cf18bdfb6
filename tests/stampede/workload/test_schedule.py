"""Schedules are absolute, reproducible from a seed, and have the requested rates."""

from __future__ import annotations

from itertools import islice, pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.workload.schedule import (
    SECOND,
    TYPING_INTERVAL,
    Action,
    Arrivals,
    DueTimes,
    ScheduledAction,
    composing,
    messages,
    regular,
)


@given(st.floats(0.01, 1000), st.integers(0, 1 << 32))
def test_constant_messages_are_evenly_spaced_from_a_random_phase(rate: float, seed: int) -> None:
    period = round(SECOND / rate)
    times = [due.at for due in islice(messages(rate, Arrivals.CONSTANT, Random(seed)), 20)]
    assert 0 <= times[0] < period
    assert all(later - earlier == period for earlier, later in pairwise(times))


def test_phases_spread_over_the_whole_period() -> None:
    phases = [next(regular(SECOND, Random(seed), Action.PING)).at for seed in range(200)]
    assert min(phases) < SECOND / 10
    assert max(phases) > SECOND * 9 / 10


def test_poisson_messages_have_the_rate_and_the_spread_of_a_poisson_process() -> None:
    times = [due.at for due in islice(messages(5.0, Arrivals.POISSON, Random(1)), 20_000)]
    gaps = [(later - earlier) / SECOND for earlier, later in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert mean == pytest.approx(0.2, rel=0.05)
    assert variance == pytest.approx(0.04, rel=0.1)


@pytest.mark.parametrize("arrivals", list(Arrivals))
def test_one_seed_gives_one_schedule(arrivals: Arrivals) -> None:
    first, again, other = (list(islice(messages(1.0, arrivals, Random(seed)), 10)) for seed in (1, 1, 2))
    assert first == again != other


@given(st.integers(0, 1 << 32))
def test_composing_users_send_typing_notices_three_seconds_apart_and_then_a_message(seed: int) -> None:
    actions = list(islice(composing(Random(seed)), 100))
    assert all(due.at >= 0 for due in actions)
    for earlier, later in pairwise(actions):
        if earlier.action is Action.TYPE:
            assert later.at - earlier.at == TYPING_INTERVAL
    assert Action.TYPE in {due.action for due in actions}
    assert Action.SAY in {due.action for due in actions}


def due_times(*at: int) -> DueTimes:
    return DueTimes(iter([ScheduledAction(one, Action.UPLOAD) for one in (*at, 10**9)]), 1000)


def test_due_times_are_consumed_one_by_one_by_a_late_caller() -> None:
    due = due_times(0, 10, 20)
    assert [due.pop(), due.pop()] == [1000, 1010]
    assert due.next == 1020


def test_due_times_that_are_too_old_are_skipped_and_counted() -> None:
    due = due_times(0, 10, 20)
    assert due.skip_until(1000) == 0
    assert due.skip_until(1011) == 2
    assert due.pop() == 1020
