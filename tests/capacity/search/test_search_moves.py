"""Single moves of the search after given trials, with exact levels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.record.step import Cause, Verdict
from capacity.search.bracket import Trial, confirmed_bounds
from capacity.search.search import Ending, Finished, Plan, Purpose, Step, next_move
from tests.capacity.search.test_bracket import taken
from tests.capacity.search.test_search import ENOUGH_S, STEP_S

PASS, FAIL, INVALID = Verdict.PASS, Verdict.FAIL, Verdict.INVALID


def move(trials: list[Trial], plan: Plan | None = None, *, steps: float = ENOUGH_S / STEP_S) -> Step | Finished:
    return next_move(plan or Plan(), trials, steps * STEP_S, STEP_S)


@pytest.mark.parametrize(
    ("plan", "users"), [(Plan(), 200), (Plan(first=500, largest=300), 300), (Plan(first=300, largest=500), 300)]
)
def test_the_first_step_is_never_above_the_cap(plan: Plan, users: int) -> None:
    assert move([], plan, steps=1) == Step(users, Purpose.RAMP)


@pytest.mark.parametrize(
    ("trials", "ending"),
    [
        ([], Ending.BUDGET),
        (taken((20_000, "PPP")), Ending.NOT_REACHED),
        (taken((20_000, "PP")), Ending.BUDGET),
        (taken((200, "PPP")), Ending.BUDGET),
        (taken((1000, "PPP"), (1100, "F")), Ending.CONVERGED),
        (taken((1000, "PPP"), (1101, "F")), Ending.BUDGET),
        (taken((1000, "PP"), (1100, "F")), Ending.BUDGET),
        (taken((1000, "P"), (1100, "II")), Ending.GENERATOR),
        (taken((1000, "PPP"), (1200, "II"), (1100, "F")), Ending.CONVERGED),
        (taken((1, "FFF")), Ending.BUDGET),
        # Server CPU does not decide whether the bracket is narrow enough.
        ([Trial(1000, PASS, core_share=0.9)] * 3 + [Trial(20_000, FAIL)], Ending.BUDGET),
    ],
)
def test_without_time_for_a_step_the_search_ends_with_its_state(trials: list[Trial], ending: Ending) -> None:
    assert move(trials, steps=0.99) == Finished(ending)


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        (taken((1000, "P"), (1100, "F")), Step(1000, Purpose.CONFIRM)),
        (taken((1000, "PP"), (1100, "F")), Step(1000, Purpose.CONFIRM)),
        (taken((1000, "PPP"), (1100, "F")), Step(1100, Purpose.RECHECK)),
        (taken((1000, "PPP"), (1100, "FF")), Step(1100, Purpose.RECHECK)),
        (taken((1000, "PPP"), (1100, "FFF")), Finished(Ending.CONVERGED)),
        (taken((1100, "II"), (1000, "PPP")), Finished(Ending.GENERATOR)),
        (taken((1200, "II"), (1000, "PPP"), (1100, "F")), Step(1100, Purpose.RECHECK)),
        (taken((1200, "F"), (1100, "II"), (1000, "PPP")), Finished(Ending.GENERATOR)),
        (taken((20_000, "PPP")), Finished(Ending.NOT_REACHED)),
        (taken((1, "F")), Step(1, Purpose.RECHECK)),
        (taken((1, "FFF")), Finished(Ending.NOTHING_HOLDS)),
        (taken((5, "PPP"), (6, "FFF")), Finished(Ending.CONVERGED)),
    ],
)
def test_a_narrow_bracket_is_confirmed_at_both_ends_before_the_search_ends(
    trials: list[Trial], expected: Step | Finished
) -> None:
    assert move(trials) == expected


@pytest.mark.parametrize(
    ("trials", "plan", "expected"),
    [
        (taken((200, "P")), Plan(), Step(400, Purpose.RAMP)),
        (taken((200, "P")), Plan(factor=3), Step(600, Purpose.RAMP)),
        (taken((200, "P")), Plan(factor=1.001), Step(201, Purpose.RAMP)),
        (taken((15_000, "P")), Plan(), Step(20_000, Purpose.RAMP)),
        (taken((19_999, "P")), Plan(), Step(20_000, Purpose.RAMP)),
        (taken((20_000, "P")), Plan(), Step(20_000, Purpose.CONFIRM)),
        (taken((200, "F")), Plan(), Step(100, Purpose.BISECT)),
        (taken((200, "F")), Plan(factor=4), Step(50, Purpose.BISECT)),
        (taken((2, "F")), Plan(), Step(1, Purpose.BISECT)),
        (taken((200, "P"), (400, "F")), Plan(), Step(300, Purpose.BISECT)),
        (taken((1000, "P"), (1101, "F")), Plan(), Step(1050, Purpose.BISECT)),
        (taken((200, "P"), (400, "PF"), (300, "PF")), Plan(), Step(300, Purpose.RECHECK)),
        (taken((200, "PFF")), Plan(), Step(100, Purpose.BISECT)),
        # One width below a mixed level, instead of half way down.
        (taken((800, "P"), (1600, "F"), (1200, "PFF")), Plan(), Step(1091, Purpose.BISECT)),
    ],
)
def test_each_further_step_grows_the_ramp_or_halves_the_bracket(
    trials: list[Trial], plan: Plan, expected: Step
) -> None:
    assert move(trials, plan) == expected


@pytest.mark.parametrize(
    ("trials", "plan", "expected"),
    [
        (taken((1000, "P"), (1100, "PFF")), Plan(), Step(2200, Purpose.BISECT)),
        (taken((1000, "P"), (1100, "PFF")), Plan(largest=1100), Step(1000, Purpose.CONFIRM)),
        (taken((1000, "P"), (1100, "PFF"), (2200, "F")), Plan(), Step(1650, Purpose.BISECT)),
        (taken((1000, "P"), (1100, "PFF"), (1211, "F")), Plan(), Step(1156, Purpose.BISECT)),
        (taken((1000, "P"), (1100, "PFF"), (1210, "F")), Plan(), Step(1000, Purpose.CONFIRM)),
        (taken((1000, "P"), (2000, "PFF"), (2500, "F"), (1100, "PFF")), Plan(), Step(2250, Purpose.BISECT)),
        # If the generator was the limit, no level above a mixed level can be measured.
        (taken((1000, "P"), (2000, "I"), (1100, "PFF")), Plan(), Step(1000, Purpose.CONFIRM)),
    ],
)
def test_the_failing_end_moves_nearer_to_a_mixed_level(trials: list[Trial], plan: Plan, expected: Step) -> None:
    assert move(trials, plan) == expected


@given(shares=st.lists(st.one_of(st.none(), st.floats(0.0, 1.0)), min_size=1, max_size=6))
def test_the_ramp_grows_at_most_by_two_steps_at_once(shares: list[float | None]) -> None:
    """A server that waits fails with an idle core. Far above its limit, its backlog would outlast the step."""
    plan = Plan(grain=20)
    trials = [Trial(200 * 2**index, PASS, core_share=share) for index, share in enumerate(shares)]
    step = next_move(plan, trials, ENOUGH_S, STEP_S)
    assert isinstance(step, Step)
    assert step.users <= trials[-1].users * plan.factor**2


def test_a_level_slightly_above_an_undecided_one_comes_before_its_third_measurement() -> None:
    trials = [
        Trial(1000, PASS, latency_ms=200.0),
        Trial(1080, FAIL, latency_ms=280.0),
        Trial(1080, PASS, latency_ms=240.0),
    ]
    plan = Plan(latency_ms=250.0)
    assert move(trials, plan) == Step(1166, Purpose.BISECT)
    assert move([*trials, Trial(1166, FAIL, latency_ms=300.0)], plan) == Step(1080, Purpose.RECHECK)
    # Without a latency the level above would be far away.
    assert move(trials) == Step(1080, Purpose.RECHECK)


def test_a_level_below_a_mixed_one_is_never_next_to_the_one_that_passed() -> None:
    assert move(taken((1000, "P"), (1101, "PFF"), (1200, "F"))) == Step(1020, Purpose.BISECT)


def test_the_failing_end_is_searched_slightly_above_a_mixed_level() -> None:
    """Both its verdicts come from a latency near the SLO, so a level twice as high would widen the interval."""
    slow = [
        Trial(1080, verdict, latency_ms=latency) for verdict, latency in ((FAIL, 280.0), (PASS, 240.0), (FAIL, 260.0))
    ]
    trials = [*[Trial(1000, PASS, latency_ms=200.0)] * 3, *slow]
    plan = Plan(latency_ms=250.0)
    assert move(trials, plan) == Step(1166, Purpose.BISECT)
    assert move([*trials, Trial(1166, PASS, latency_ms=240.0)], plan) == Step(1259, Purpose.BISECT)
    assert move([*trials, Trial(1166, FAIL, latency_ms=300.0)], plan) == Step(1166, Purpose.RECHECK)


@pytest.mark.parametrize(
    ("trials", "plan", "users"),
    [
        # The ramp: half a width above the full core, but at least one width further.
        ([Trial(350, PASS, core_share=0.35)], Plan(factor=4), 1050),
        ([Trial(350, PASS, core_share=0.199)], Plan(factor=4), 1400),
        ([Trial(100, PASS, core_share=0.9), Trial(350, PASS, core_share=0.35)], Plan(factor=4), 1050),
        ([Trial(350, PASS), Trial(350, PASS, core_share=0.35)], Plan(factor=4), 1050),
        ([Trial(1000, PASS, core_share=1.0)], Plan(), 1500),
        # Bisection: half a width below the full core, and a fifth of the bracket from its ends.
        ([Trial(800, PASS, core_share=0.7), Trial(1600, FAIL)], Plan(), 1086),
        ([Trial(800, PASS, core_share=0.8), Trial(1600, FAIL)], Plan(), 960),
        ([Trial(800, PASS, core_share=0.5), Trial(1600, FAIL)], Plan(), 1440),
        # A full core outside the bracket is ignored.
        ([Trial(800, PASS, core_share=0.45), Trial(1600, FAIL)], Plan(), 1200),
        ([Trial(800, PASS, core_share=1.0), Trial(1600, FAIL)], Plan(), 1200),
        ([Trial(950, PASS, core_share=0.95), Trial(1600, FAIL)], Plan(), 1275),
        ([Trial(1000, PASS, core_share=0.5), Trial(1900, FAIL)], Plan(), 1450),
        ([Trial(800, FAIL, core_share=0.7)], Plan(), 400),
        # The guess rounds to the lower end, which has been measured: take the next level.
        ([Trial(5, PASS, core_share=0.91), Trial(7, FAIL)], Plan(), 6),
    ],
)
def test_cpu_at_the_highest_passing_level_predicts_the_full_core(trials: list[Trial], plan: Plan, users: int) -> None:
    found = move(trials, plan)
    assert isinstance(found, Step)
    assert found.users == users


@pytest.mark.parametrize(
    ("low", "plan", "users"),
    [
        (50, Plan(grain=20), 100),
        (52, Plan(grain=20, factor=1.98), 100),  # 102.96 is less than three percent off
        (52, Plan(grain=20, factor=2.02), 105),  # 105.04 is more
        (1000, Plan(grain=970), 1940),  # 2000 is exactly three percent off
        (50, Plan(grain=1000), 100),
    ],
)
def test_levels_are_multiples_of_the_grain_unless_that_moves_them_by_more_than_three_percent(
    low: int, plan: Plan, users: int
) -> None:
    assert move(taken((low, "P")), plan) == Step(users, Purpose.RAMP)


def test_a_level_is_not_rounded_out_of_the_bracket() -> None:
    plan = Plan(width=0.01, grain=100)
    assert move(taken((1000, "P"), (1040, "F")), plan) == Step(1020, Purpose.BISECT)
    assert move(taken((960, "P"), (1000, "F")), plan) == Step(980, Purpose.BISECT)


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        (taken((1000, "P"), (1500, "I")), Step(1500, Purpose.REPEAT)),
        (taken((1000, "P"), (3000, "F"), (1500, "I")), Step(1500, Purpose.REPEAT)),
        (taken((1000, "P"), (1500, "II")), Step(1250, Purpose.BISECT)),
        # Below an abandoned level, one invalid step lowers the bound.
        (taken((2000, "II"), (1000, "P"), (1500, "I")), Step(1250, Purpose.BISECT)),
        (taken((200, "I")), Step(200, Purpose.REPEAT)),
        (taken((200, "II")), Finished(Ending.GENERATOR)),
        ([Trial(200, INVALID, invalid_cause=Cause.OTHERS)] * 3, Step(200, Purpose.REPEAT)),
        ([Trial(200, INVALID, invalid_cause=Cause.OTHERS)] * 4, Step(100, Purpose.BISECT)),
        ([Trial(200, INVALID, invalid_cause=Cause.MISSING)], Step(200, Purpose.REPEAT)),
        ([Trial(200, INVALID, invalid_cause=Cause.MISSING)] * 2, Finished(Ending.UNMEASURABLE)),
        (
            [Trial(200, PASS), Trial(400, INVALID), *[Trial(400, INVALID, invalid_cause=Cause.MISSING)] * 2],
            Finished(Ending.UNMEASURABLE),
        ),
    ],
)
def test_an_invalid_step_is_repeated_or_ends_the_ramp_or_the_search(
    trials: list[Trial], expected: Step | Finished
) -> None:
    assert move(trials) == expected


@pytest.mark.parametrize(
    ("held", "patient", "rather"),
    [
        # A lower level is confirmed: only the steps of the higher one are reserved.
        (taken((200, "PPP"), (400, "P")), 3, Step(400, Purpose.CONFIRM)),
        (taken((200, "PPP"), (400, "PP")), 2, Step(400, Purpose.CONFIRM)),
        # None is confirmed: two confirmations and a step that may fail are reserved.
        (taken((200, "PP"), (400, "P")), 4, Step(400, Purpose.CONFIRM)),
        (taken((400, "PP")), 4, Step(400, Purpose.CONFIRM)),
    ],
)
def test_the_search_waits_for_others_while_confirmations_have_time(
    held: list[Trial], patient: int, rather: Step
) -> None:
    trials = [*held, *[Trial(800, INVALID, invalid_cause=Cause.OTHERS)] * 2]
    assert move(trials, steps=patient) == Step(800, Purpose.REPEAT)
    assert move(trials, steps=patient - 1) == rather


def test_the_last_step_waits_for_others_if_nothing_needs_confirmation() -> None:
    trials = [*taken((400, "PPP")), *[Trial(800, INVALID, invalid_cause=Cause.OTHERS)] * 2]
    assert move(trials, steps=1) == Step(800, Purpose.REPEAT)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ([], Step(200, Purpose.REPEAT)),
        ([Trial(200, PASS)], Step(200, Purpose.REPEAT)),
        ([Trial(400, FAIL)], Step(200, Purpose.REPEAT)),
        ([Trial(200, FAIL)], Step(100, Purpose.BISECT)),
    ],
)
def test_a_disturbed_fail_is_repeated_unless_it_repeats_a_fail(before: list[Trial], expected: Step) -> None:
    assert move([*before, Trial(200, FAIL, disturbed=True)]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Step(50, Purpose.GIVEN)),
        ("P", Step(60, Purpose.GIVEN)),
        ("F", Step(60, Purpose.GIVEN)),
        ("I", Step(50, Purpose.REPEAT)),
        ("II", Step(60, Purpose.GIVEN)),
        ("IP", Step(60, Purpose.GIVEN)),
        ("III", Step(50, Purpose.REPEAT)),
        ("PP", Finished(Ending.STEPS_DONE)),
        ("IIII", Finished(Ending.STEPS_DONE)),
    ],
)
def test_each_given_level_is_repeated_once_if_invalid(text: str, expected: Step | Finished) -> None:
    assert move(taken((50, text)), Plan(given=(50, 60)), steps=0) == expected


def test_the_last_step_leaves_the_failing_end_alone() -> None:
    """A pass there would need another step to settle."""
    for failed in ("F", "FF"):
        trials = taken((1000, "PPP"), (1100, failed))
        assert move(trials, steps=2) == Step(1100, Purpose.RECHECK)
        assert move(trials, steps=1) == Finished(Ending.CONVERGED)


def test_the_lower_one_of_two_failing_levels_is_confirmed_first() -> None:
    """Two levels failed once: the answer ends at the higher one, unless the lower one fails again."""
    trials = taken((1000, "PPP"), (1400, "F"), (1200, "F"))
    assert move(trials, steps=2) == Step(1200, Purpose.RECHECK)
    assert move(trials, steps=1) == Step(1200, Purpose.RECHECK)
    assert confirmed_bounds(trials, 2).fails_at == 1400
    assert confirmed_bounds([*trials, Trial(1200, FAIL)], 2).fails_at == 1200
