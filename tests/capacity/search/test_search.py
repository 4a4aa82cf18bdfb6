from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.record.step import Cause, Verdict
from capacity.search.bracket import Bounds, Trial, bounds, confirmed_bounds
from capacity.search.search import Ending, Finished, Plan, Purpose, Step, next_move

if TYPE_CHECKING:
    from collections.abc import Callable

PASS, FAIL, INVALID = Verdict.PASS, Verdict.FAIL, Verdict.INVALID
STEP_S = 10.0
ENOUGH_S = 600.0


def search(
    plan: Plan,
    respond: Callable[[int], Verdict],
    *,
    budget_s: float = ENOUGH_S,
    lacks_data: bool = False,
    core_share: Callable[[int], float | None] = lambda _: None,
) -> tuple[list[Trial], Ending, list[Step]]:
    """Run a search against a server whose verdict is a function of the users."""
    trials: list[Trial] = []
    steps: list[Step] = []
    while True:
        move = next_move(plan, trials, budget_s - len(trials) * STEP_S, STEP_S)
        if isinstance(move, Finished):
            return trials, move.ending, steps
        steps.append(move)
        verdict = respond(move.users)
        cause = Cause.MISSING if lacks_data and verdict is INVALID else None
        trials.append(Trial(move.users, verdict, cause, core_share=core_share(move.users)))


def knee(limit: float) -> Callable[[int], Verdict]:
    return lambda users: PASS if users <= limit else FAIL


def generator(limit: float, server: float = float("inf")) -> Callable[[int], Verdict]:
    return lambda users: INVALID if users > limit else knee(server)(users)


def once(outcome: Verdict, *, at: int, otherwise: Callable[[int], Verdict]) -> Callable[[int], Verdict]:
    """Return another verdict once at one level, as a disturbance does."""
    left = [outcome]
    return lambda users: left.pop() if users == at and left else otherwise(users)


@given(knee_at=st.integers(2, 19_999), grain=st.sampled_from([1, 7, 20, 50]), first=st.integers(1, 400))
def test_a_sharp_limit_is_found_and_confirmed(knee_at: int, grain: int, first: int) -> None:
    plan = Plan(first=first, grain=grain)
    trials, ending, _ = search(plan, knee(knee_at))
    found = bounds(trials)
    assert ending is Ending.CONVERGED
    assert found.fails_at is not None
    assert found.low <= knee_at < found.fails_at
    assert found.fails_at - found.low <= max(1, plan.width * found.low)
    assert found.passes == 1 + plan.confirmations


@given(knee_at=st.integers(2, 19_999), first=st.integers(1, 400), seed=st.integers(0, 2**32))
def test_a_sharp_limit_is_found_with_any_server_cpu(knee_at: int, first: int, seed: int) -> None:
    rng = random.Random(seed)
    plan = Plan(first=first)
    trials, ending, _ = search(plan, knee(knee_at), core_share=lambda _: rng.choice([None, rng.uniform(0.01, 1.2)]))
    found = bounds(trials)
    assert ending is Ending.CONVERGED
    assert found.fails_at is not None
    assert found.low <= knee_at < found.fails_at
    assert found.fails_at - found.low <= max(1, plan.width * found.low)
    assert found.passes == 1 + plan.confirmations


def test_server_cpu_that_predicts_the_limit_saves_steps() -> None:
    rng = random.Random(7)
    told = untold = 0
    for _ in range(100):
        limit = rng.randrange(500, 5000)
        untold += len(search(Plan(grain=20), knee(limit))[0])
        told += len(search(Plan(grain=20), knee(limit), core_share=lambda users, limit=limit: 0.97 * users / limit)[0])  # type: ignore[misc]
    assert told < untold - 100


def test_the_ramp_steps_slightly_beyond_the_predicted_full_core() -> None:
    trials = [Trial(200, PASS, core_share=0.3), Trial(400, PASS, core_share=0.3), Trial(800, PASS, core_share=0.6)]
    assert next_move(Plan(grain=20), trials[:1], ENOUGH_S, STEP_S) == Step(700, Purpose.RAMP)
    assert next_move(Plan(grain=20), trials[:2], ENOUGH_S, STEP_S) == Step(1400, Purpose.RAMP)
    assert next_move(Plan(grain=20), trials, ENOUGH_S, STEP_S) == Step(1400, Purpose.RAMP)
    failed = [*trials, Trial(1400, FAIL, core_share=1.0)]
    assert next_move(Plan(grain=20), failed, ENOUGH_S, STEP_S) == Step(1260, Purpose.BISECT)


def test_the_ramp_skips_levels_while_the_core_is_mostly_idle() -> None:
    for share, following in ((0.05, 800), (0.1, 800), (0.199, 800), (None, 400)):
        trials = [Trial(200, PASS, core_share=share)]
        assert next_move(Plan(grain=20), trials, ENOUGH_S, STEP_S) == Step(following, Purpose.RAMP)


def test_a_full_core_that_still_passes_no_longer_holds_the_ramp_back() -> None:
    """A server that writes larger batches under load holds far more users than those that first fill its core."""
    trials, ending, steps = search(Plan(grain=20), knee(14_900), core_share=lambda users: min(0.94, users / 5600))
    assert ending is Ending.CONVERGED
    assert [step.users for step in steps if step.purpose is Purpose.RAMP] == [*(200, 800, 3200, 5880, 8820, 17_640)]
    assert len(trials) <= 15
    found = bounds(trials)
    assert found.fails_at is not None
    assert found.low <= 14_900 < found.fails_at


@pytest.mark.parametrize(
    ("latency_ms", "following"), [(None, 1600), (5.0, 1600), (120.0, 1400), (125.0, 920), (200.0, 860), (245.0, 860)]
)
def test_the_ramp_steps_less_far_near_the_slo_on_latency(latency_ms: float | None, following: int) -> None:
    trials = [Trial(800, PASS, latency_ms=latency_ms)]
    assert next_move(Plan(grain=20, latency_ms=250.0), trials, ENOUGH_S, STEP_S) == Step(following, Purpose.RAMP)
    assert next_move(Plan(grain=20), trials, ENOUGH_S, STEP_S) == Step(1600, Purpose.RAMP)


def test_the_ramp_steps_less_far_if_the_latency_has_grown_fast() -> None:
    grown = [Trial(800, PASS, latency_ms=25.0), Trial(1600, PASS, latency_ms=120.0)]
    assert next_move(Plan(latency_ms=250.0), grown, ENOUGH_S, STEP_S) == Step(2366, Purpose.RAMP)
    fallen = [Trial(800, PASS, latency_ms=130.0), Trial(1600, PASS, latency_ms=120.0)]
    assert next_move(Plan(latency_ms=250.0), fallen, ENOUGH_S, STEP_S) == Step(2813, Purpose.RAMP)


@given(
    knee_at=st.integers(20, 15_000),
    noise=st.floats(0, 0.05),
    seed=st.integers(0, 2**32),
    budget_s=st.floats(0, 400),
)
def test_a_noisy_search_contains_the_limit_within_its_budget(
    knee_at: int, noise: float, seed: int, budget_s: float
) -> None:
    rng = random.Random(seed)

    def noisy(users: int) -> Verdict:
        return knee(knee_at * rng.uniform(1 - noise, 1 + noise))(users)

    trials, ending, _ = search(Plan(grain=20), noisy, budget_s=budget_s)
    found = bounds(trials)
    assert len(trials) * STEP_S <= budget_s
    assert found.low <= knee_at * (1 + noise)
    assert found.fails_at is None or found.fails_at > knee_at * (1 - noise)
    # The interval must not contain the limit only because it is wide.
    assert bool(trials) == bool(found.low or found.high)
    if ending is Ending.CONVERGED:
        assert found.fails_at is not None
        assert found.low >= 0.75 * knee_at * (1 - noise)
        assert found.fails_at <= 1.35 * knee_at * (1 + noise) + 1
    if budget_s >= 350:
        assert found.low >= 0.75 * knee_at * (1 - noise)


@given(st.lists(st.sampled_from([PASS, FAIL, INVALID]), min_size=80, max_size=80), st.booleans())
def test_every_search_ends_and_stays_in_its_range(verdicts: list[Verdict], lacks_data: bool) -> None:
    answers = iter(verdicts)
    plan = Plan(first=50, largest=3000)
    trials, _, _ = search(plan, lambda _: next(answers), budget_s=800, lacks_data=lacks_data)
    assert len(trials) <= 80
    assert all(1 <= trial.users <= plan.largest for trial in trials)


@given(limit=st.integers(200, 15_000))
def test_a_limited_generator_gives_at_least_n_sharpened_and_confirmed(limit: int) -> None:
    plan = Plan()
    trials, ending, _ = search(plan, generator(limit))
    found = bounds(trials)
    assert ending is Ending.GENERATOR
    assert found.invalid_at is not None
    assert found.low <= limit < found.invalid_at
    assert found.invalid_at - found.low <= plan.width * found.low
    assert found.passes == 1 + plan.confirmations
    assert found.fails_at is None


@given(limit=st.integers(200, 10_000), share=st.floats(0.3, 0.95))
def test_a_server_that_fails_below_the_generators_limit_gets_a_real_interval(limit: int, share: float) -> None:
    server = limit * share
    trials, _, _ = search(Plan(), generator(limit, server))
    found = bounds(trials)
    if found.fails_at is not None:
        assert found.low <= server < found.fails_at
    else:
        assert found.low <= server


def test_the_cap_that_passes_is_confirmed_and_reported_as_not_reached() -> None:
    trials, ending, _ = search(Plan(largest=1000), knee(10**9))
    assert ending is Ending.NOT_REACHED
    assert bounds(trials) == Bounds(low=1000, passes=3, fails_at=None, invalid_at=None)


def test_a_server_that_holds_no_level_ends_the_search() -> None:
    trials, ending, _ = search(Plan(), knee(0))
    assert ending is Ending.NOTHING_HOLDS
    assert bounds(trials).low == 0
    assert bounds(trials).fails_at == 1


def test_an_invalid_step_is_repeated_and_one_disturbance_changes_nothing() -> None:
    disturbed = iter([True, *[False] * 50])
    trials, ending, steps = search(
        Plan(), lambda users: INVALID if users == 400 and next(disturbed) else knee(900)(users)
    )
    assert ending is Ending.CONVERGED
    assert [step.purpose for step in steps[:3]] == [Purpose.RAMP, Purpose.RAMP, Purpose.REPEAT]
    assert bounds(trials).low in range(800, 901)


def test_two_invalid_steps_at_the_first_level_end_the_search() -> None:
    trials, ending, _ = search(Plan(), lambda _: INVALID)
    assert ending is Ending.GENERATOR
    assert len(trials) == 2


def test_missing_data_twice_in_a_row_ends_the_search_at_once() -> None:
    trials, ending, _ = search(Plan(), lambda users: INVALID if users >= 400 else PASS, lacks_data=True)
    assert ending is Ending.UNMEASURABLE
    assert [trial.users for trial in trials] == [200, 400, 400]


@pytest.mark.parametrize("missing", [(True, False), (False, True)])
def test_one_of_two_invalid_steps_without_data_does_not_end_the_search(
    missing: tuple[bool, bool],
) -> None:
    pair = [Trial(400, INVALID, invalid_cause=Cause.MISSING if one else None) for one in missing]
    assert next_move(Plan(), [Trial(200, PASS), *pair], ENOUGH_S, STEP_S) == Step(300, Purpose.BISECT)
    assert next_move(Plan(), pair, ENOUGH_S, STEP_S) == Finished(Ending.GENERATOR)


def test_one_disturbed_failure_is_overturned_by_two_passes() -> None:
    trials, ending, _ = search(Plan(), once(FAIL, at=200, otherwise=knee(1000)))
    found = bounds(trials)
    assert ending is Ending.CONVERGED
    assert found.fails_at is not None
    assert found.low <= 1000 < found.fails_at


def test_a_fail_under_disturbance_is_repeated_and_a_pass_overturns_it() -> None:
    passes = [Trial(200, PASS), Trial(400, PASS)]
    disturbed = Trial(800, FAIL, disturbed=True)
    assert next_move(Plan(), [*passes, disturbed], ENOUGH_S, STEP_S) == Step(800, Purpose.REPEAT)
    overturned = [*passes, disturbed, Trial(800, PASS)]
    assert bounds(overturned) == Bounds(low=800, passes=1, fails_at=None, invalid_at=None)
    assert next_move(Plan(), overturned, ENOUGH_S, STEP_S) == Step(1600, Purpose.RAMP)
    confirmed = [*overturned, Trial(800, FAIL, disturbed=True), Trial(800, PASS)]
    assert bounds(confirmed).low == 800


def test_a_step_invalid_by_others_is_repeated_and_dropped_once_valid() -> None:
    spoiled = Trial(400, INVALID, invalid_cause=Cause.OTHERS)
    trials = [Trial(200, PASS)]
    for _ in range(3):
        trials.append(spoiled)
        assert next_move(Plan(), trials, ENOUGH_S, STEP_S) == Step(400, Purpose.REPEAT)
    gone = [*trials, Trial(400, PASS)]
    assert bounds(gone) == Bounds(low=400, passes=1, fails_at=None, invalid_at=None)
    assert next_move(Plan(), gone, ENOUGH_S, STEP_S) == Step(800, Purpose.RAMP)
    stays = [*trials, spoiled]
    assert bounds(stays).invalid_at == 400
    assert next_move(Plan(), stays, ENOUGH_S, STEP_S) == Step(300, Purpose.BISECT)


def test_waiting_for_others_never_uses_the_time_of_a_confirmation() -> None:
    spoiled = Trial(400, INVALID, invalid_cause=Cause.OTHERS)
    trials = [Trial(200, PASS), spoiled, spoiled]
    assert next_move(Plan(), trials, 4 * STEP_S, STEP_S) == Step(400, Purpose.REPEAT)
    assert next_move(Plan(), trials, 3 * STEP_S, STEP_S) == Step(200, Purpose.CONFIRM)


def test_the_search_continues_below_if_others_never_leave_the_core() -> None:
    plan = Plan(first=800)
    trials: list[Trial] = []
    while not isinstance(move := next_move(plan, trials, (14 - len(trials)) * STEP_S, STEP_S), Finished):
        spoiled = move.users > 300
        trials.append(Trial(move.users, INVALID if spoiled else PASS, Cause.OTHERS if spoiled else None))
    assert [trial.users for trial in trials[:6]] == [800, 800, 800, 800, 400, 200]
    assert 200 <= confirmed_bounds(trials, 2).low <= 300
    assert confirmed_bounds(trials, 2).passes == 3


def test_a_fail_under_disturbance_that_fails_again_stands() -> None:
    trials = [Trial(200, PASS), Trial(400, FAIL, disturbed=True), Trial(400, FAIL, disturbed=True)]
    assert bounds(trials).fails_at == 400
    assert next_move(Plan(), trials, ENOUGH_S, STEP_S) == Step(300, Purpose.BISECT)


def test_a_level_that_fails_its_confirmation_lowers_the_bound() -> None:
    seen: dict[int, int] = {}

    def tires(users: int) -> Verdict:
        seen[users] = seen.get(users, 0) + 1
        return FAIL if users > 1000 or (users > 900 and seen[users] > 1) else PASS

    trials, _, _ = search(Plan(), tires)
    found = bounds(trials)
    assert found.low <= 900
    assert found.passes == 3


@pytest.mark.parametrize(
    ("trials", "further", "rather"),
    [
        # Two confirmations.
        ([Trial(200, PASS)], (3, Step(400, Purpose.RAMP)), Step(200, Purpose.CONFIRM)),
        # And one more step, in case the lower end fails its confirmation.
        ([Trial(200, PASS), Trial(400, FAIL)], (4, Step(300, Purpose.BISECT)), Step(200, Purpose.CONFIRM)),
        # One remaining of two.
        ([Trial(200, PASS)] * 2, (3, Step(400, Purpose.RAMP)), Step(200, Purpose.CONFIRM)),
        # A lower level is confirmed: only the steps of the higher one are reserved.
        ([*[Trial(200, PASS)] * 3, Trial(400, PASS)], (3, Step(800, Purpose.RAMP)), Step(400, Purpose.CONFIRM)),
        ([*[Trial(200, PASS)] * 3, *[Trial(400, PASS)] * 2], (2, Step(800, Purpose.RAMP)), Step(400, Purpose.CONFIRM)),
        # Without a passing level, no confirmation is reserved.
        ([Trial(200, FAIL)], (1, Step(100, Purpose.BISECT)), Finished(Ending.BUDGET)),
    ],
)
def test_time_for_confirmations_is_reserved(
    trials: list[Trial], further: tuple[int, Step], rather: Step | Finished
) -> None:
    steps, move = further
    assert next_move(Plan(), trials, steps * STEP_S, STEP_S) == move
    assert next_move(Plan(), trials, (steps - 1) * STEP_S, STEP_S) == rather


def test_a_confirmation_without_enough_time_is_not_started_if_a_lower_level_is_confirmed() -> None:
    trials = [*[Trial(200, PASS)] * 3, Trial(400, PASS)]
    assert next_move(Plan(), trials, 1 * STEP_S, STEP_S) == Finished(Ending.BUDGET)


def test_the_highest_cpu_at_a_level_predicts_the_full_core() -> None:
    below = [Trial(200, PASS, core_share=0.15), Trial(400, PASS, core_share=0.3)]
    for loads in ((0.5, 0.8), (0.8, 0.5)):
        trials = [*below, *(Trial(800, PASS, core_share=load) for load in loads)]
        assert next_move(Plan(), trials, ENOUGH_S, STEP_S) == Step(1050, Purpose.RAMP)


@pytest.mark.parametrize("budget_s", [30, 50, 70, 90, 110])
def test_a_short_budget_is_kept_for_confirmations(budget_s: float) -> None:
    trials, _, _ = search(Plan(), knee(1400), budget_s=budget_s)
    assert confirmed_bounds(trials, 2).passes == 3


def test_the_answer_is_the_highest_level_that_was_confirmed() -> None:
    trials = [Trial(users, PASS) for users in (200, 400, 400, 400, 800)]
    assert bounds(trials).low == 800
    assert confirmed_bounds(trials, 2) == Bounds(low=400, passes=3, fails_at=None, invalid_at=None)
    assert confirmed_bounds(trials[:3], 2).low == 400  # none is confirmed: the highest that passed


def test_a_single_fail_is_the_upper_end_only_while_there_is_no_second() -> None:
    trials = [Trial(200, PASS), Trial(400, FAIL)]
    assert confirmed_bounds(trials, 2).fails_at == 400
    found = confirmed_bounds([*trials, Trial(300, FAIL)], 2)
    assert (found.fails_at, found.failed_once_at, found.high) == (400, 300, 300)


def test_the_next_level_is_one_width_below_a_mixed_one() -> None:
    trials = [Trial(800, PASS), Trial(1600, FAIL), Trial(1200, PASS), Trial(1200, FAIL), Trial(1200, FAIL)]
    assert next_move(Plan(grain=20), trials, ENOUGH_S, STEP_S) == Step(1100, Purpose.BISECT)


def test_a_run_resumes_from_its_trials() -> None:
    whole, _, _ = search(Plan(), knee(1400))
    for cut in range(len(whole)):
        move = next_move(Plan(), whole[:cut], ENOUGH_S, STEP_S)
        assert isinstance(move, Step)
        assert move.users == whole[cut].users


def test_given_levels_are_measured_without_regard_to_the_budget() -> None:
    trials, ending, _ = search(Plan(given=(50, 200, 100, 100)), knee(120), budget_s=0)
    assert ending is Ending.STEPS_DONE
    assert [trial.users for trial in trials] == [50, 200, 100, 100]


def test_a_given_level_is_repeated_once_when_invalid() -> None:
    trials, ending, _ = search(Plan(given=(50, 50, 80)), generator(60))
    assert ending is Ending.STEPS_DONE
    assert [trial.users for trial in trials] == [50, 50, 80, 80]
    trials, ending, _ = search(Plan(given=(50, 50)), generator(10))
    assert ending is Ending.STEPS_DONE
    assert [trial.users for trial in trials] == [50, 50, 50, 50]
