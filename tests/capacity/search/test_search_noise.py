"""The search against servers with noise, plateaus, cliffs, hysteresis and dips."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.record.step import Verdict
from capacity.search.bracket import bounds, confirmed_bounds
from capacity.search.search import Ending, Plan
from tests.capacity.search.test_search import ENOUGH_S, STEP_S, knee, search

if TYPE_CHECKING:
    from collections.abc import Callable

PASS, FAIL = Verdict.PASS, Verdict.FAIL
CASES = 400


def noisy(knee_at: float, spread: float, rng: Random) -> Callable[[int], Verdict]:
    """Fail at random: with probability 0.5 at the limit, 0.7 one `spread` above it, 0.3 below."""

    def respond(users: int) -> Verdict:
        z = (users / knee_at - 1) / spread
        return FAIL if rng.random() < 1 / (1 + math.exp(-max(-50.0, min(50.0, z)))) else PASS

    return respond


@pytest.mark.parametrize("spread", [0.003, 0.01, 0.02, 0.03])
def test_in_99_of_100_noisy_searches_the_interval_contains_the_limit(spread: float) -> None:
    rng = Random(7)
    held = 0
    for _ in range(CASES):
        knee_at = rng.uniform(60, 15_000)
        trials, ending, _ = search(Plan(grain=20), noisy(knee_at, spread, rng))
        found = bounds(trials)
        assert len(trials) * STEP_S <= ENOUGH_S
        assert ending is Ending.CONVERGED
        assert found.fails_at is not None
        held += found.low <= knee_at * (1 + spread) and knee_at * (1 - spread) <= found.fails_at
    assert held >= 0.99 * CASES


@pytest.mark.parametrize("spread", [0.003, 0.01, 0.02])
def test_the_default_budget_confirms_the_answer_despite_noise(spread: float) -> None:
    """165 s are enough for fourteen steps."""
    rng = Random(7)
    held = confirmed = 0
    for _ in range(CASES):
        knee_at = rng.uniform(500, 4000)
        trials, _, _ = search(Plan(grain=20), noisy(knee_at, spread, rng), budget_s=14 * STEP_S)
        found = confirmed_bounds(trials, Plan().confirmations)
        confirmed += found.passes > Plan().confirmations
        held += found.low <= knee_at * (1 + spread) and knee_at * (1 - spread) <= (found.fails_at or math.inf)
    assert held >= 0.99 * CASES
    assert confirmed >= 0.95 * CASES


def test_noise_widens_the_interval_and_a_sharp_limit_keeps_it_narrow() -> None:
    def width(spread: float) -> float:
        rng = Random(7)
        widths = []
        for _ in range(100):
            found = bounds(search(Plan(grain=20), noisy(rng.uniform(500, 9000), spread, rng))[0])
            assert found.fails_at is not None
            widths.append(found.fails_at / found.low - 1)
        return sum(widths) / len(widths)

    assert width(1e-6) < 0.1 < width(0.03) < 0.25


@given(edge=st.integers(100, 6600), length=st.floats(1.05, 3), seed=st.integers(0, 2**32))
def test_on_a_plateau_of_random_verdicts_the_interval_touches_it(edge: int, length: float, seed: int) -> None:
    """Between two levels below the cap the verdict is random: the interval must not lie outside of them."""
    rng = Random(seed)

    def respond(users: int) -> Verdict:
        if users <= edge:
            return PASS
        return FAIL if users > edge * length or rng.random() < 0.5 else PASS

    trials, _, _ = search(Plan(), respond)
    found = bounds(trials)
    assert 0.8 * edge <= found.low <= edge * length
    assert found.high is not None
    assert edge < found.high <= 1.25 * edge * length


@given(edge=st.integers(100, 9000), depth=st.floats(0.3, 0.95))
def test_a_server_that_recovers_slowly_is_not_overrated(edge: int, depth: float) -> None:
    """Hysteresis: after a fail the next step fails too, unless it is far below."""
    hurt = [False]

    def respond(users: int) -> Verdict:
        failed = users > edge * (depth if hurt[0] else 1)
        hurt[0] = failed
        return FAIL if failed else PASS

    trials, _, _ = search(Plan(), respond)
    found = bounds(trials)
    assert 0.8 * edge * depth <= found.low <= edge
    assert found.fails_at is not None
    assert edge * depth < found.fails_at <= 1.25 * edge


@given(dip=st.integers(250, 2000), width=st.floats(1.02, 1.6), edge=st.integers(3000, 9000))
def test_a_measured_dip_below_the_limit_bounds_the_answer(dip: int, width: float, edge: int) -> None:
    """A failing range between passing ones bounds the answer: users may reach that level."""

    def respond(users: int) -> Verdict:
        return FAIL if dip <= users <= dip * width or users > edge else PASS

    trials, _, _ = search(Plan(), respond)
    found = bounds(trials)
    seen = any(dip <= trial.users <= dip * width for trial in trials)
    if seen:
        assert found.low < dip
        assert found.fails_at is not None
        assert dip <= found.fails_at <= dip * width
    else:
        assert found.low <= edge < (found.fails_at or math.inf)


@given(edge=st.integers(40, 15_000), budget_s=st.floats(10, 400))
def test_a_cliff_is_found_within_any_budget_or_bounded_from_below(edge: int, budget_s: float) -> None:
    trials, _, _ = search(Plan(), knee(edge), budget_s=budget_s)
    found = bounds(trials)
    assert len(trials) * STEP_S <= budget_s
    assert found.low <= edge < (found.fails_at or math.inf)


def test_a_mixed_level_lies_inside_the_interval() -> None:
    seen: dict[int, int] = {}

    def respond(users: int) -> Verdict:
        seen[users] = seen.get(users, 0) + 1
        return PASS if users < 1000 or (users < 1100 and seen[users] % 2) else FAIL

    found = bounds(search(Plan(grain=20), respond)[0])
    assert found.mixed_at is not None
    assert found.fails_at is not None
    assert found.low < 1000 <= found.mixed_at < 1100 <= found.fails_at
