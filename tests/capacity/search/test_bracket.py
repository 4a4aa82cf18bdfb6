"""The state of each level, and the bracket that follows from all levels."""

from __future__ import annotations

import pytest

from capacity.record.step import Cause, Verdict
from capacity.search.bracket import (
    Bounds,
    LevelState,
    Trial,
    bounds,
    confirmed_bounds,
    level_state,
    level_states,
    verdicts_by_level,
)

OUTCOMES = {"P": Verdict.PASS, "F": Verdict.FAIL, "I": Verdict.INVALID}


def outcomes(text: str) -> list[Verdict]:
    return [OUTCOMES[letter] for letter in text]


def taken(*steps: tuple[int, str]) -> list[Trial]:
    """Return the trials of steps like (200, "PF"): a pass and a fail with 200 users."""
    return [Trial(users, outcome) for users, text in steps for outcome in outcomes(text)]


@pytest.mark.parametrize(
    ("text", "standing"),
    [
        ("P", LevelState.HOLDS),
        ("F", LevelState.FAILS),
        ("FF", LevelState.FAILS),
        ("I", LevelState.INVALID),
        ("IP", LevelState.HOLDS),
        ("PII", LevelState.INVALID),
        ("PPII", LevelState.HOLDS),
        ("PPIII", LevelState.INVALID),
        ("FII", LevelState.FAILS),
        ("PF", LevelState.UNDECIDED),
        ("FP", LevelState.UNDECIDED),
        ("PIF", LevelState.UNDECIDED),
        ("FPP", LevelState.HOLDS),
        ("IFPP", LevelState.HOLDS),
        ("FPPP", LevelState.HOLDS),
        ("PFP", LevelState.MIXED),
        ("PPF", LevelState.MIXED),
        ("PFF", LevelState.MIXED),
        ("FPF", LevelState.MIXED),
        ("FPPF", LevelState.MIXED),
        ("FFPP", LevelState.MIXED),
        ("FFP", LevelState.MIXED),
        ("FFFP", LevelState.FAILS),
        ("PFFF", LevelState.FAILS),
        ("FFFPP", LevelState.MIXED),
        ("FFFFPP", LevelState.FAILS),
    ],
)
def test_a_level_is_judged_by_the_order_and_the_majority_of_its_valid_steps(text: str, standing: LevelState) -> None:
    assert level_state(outcomes(text)) is standing
    assert level_states(taken((200, text))) == {200: standing}


def test_verdicts_are_grouped_by_level_in_order() -> None:
    assert verdicts_by_level(taken((200, "P"), (400, "FP"), (200, "F"))) == {200: outcomes("PF"), 400: outcomes("FP")}


@pytest.mark.parametrize(
    ("trials", "left"),
    [
        ([Trial(8, Verdict.FAIL, disturbed=True), Trial(8, Verdict.PASS)], "P"),
        ([Trial(8, Verdict.FAIL, disturbed=True)] * 2 + [Trial(8, Verdict.PASS)], "FP"),
        ([Trial(8, Verdict.FAIL), Trial(8, Verdict.PASS)], "FP"),
        ([Trial(8, Verdict.PASS, disturbed=True), Trial(8, Verdict.PASS)], "PP"),
        ([Trial(8, Verdict.FAIL, disturbed=True), Trial(8, Verdict.INVALID)], "FI"),
        ([Trial(8, Verdict.FAIL, disturbed=True), Trial(8, Verdict.FAIL)], "FF"),
        ([Trial(8, Verdict.INVALID, Cause.OTHERS)] * 2 + [Trial(8, Verdict.PASS)], "P"),
        ([Trial(8, Verdict.INVALID, Cause.OTHERS)] * 2 + [Trial(8, Verdict.FAIL)], "F"),
        ([Trial(8, Verdict.INVALID, Cause.OTHERS)] * 2, "II"),
        ([Trial(8, Verdict.INVALID), Trial(8, Verdict.PASS)], "IP"),
        (
            [Trial(8, Verdict.INVALID), Trial(8, Verdict.INVALID, Cause.OTHERS), Trial(8, Verdict.PASS)],
            "IP",
        ),
    ],
)
def test_only_a_valid_step_replaces_disturbed_ones(trials: list[Trial], left: str) -> None:
    assert verdicts_by_level(trials) == {8: outcomes(left)}


def test_only_a_fail_can_be_a_disturbed_fail() -> None:
    assert Trial(8, Verdict.FAIL, disturbed=True).is_disturbed_fail
    assert not Trial(8, Verdict.FAIL).is_disturbed_fail
    assert not Trial(8, Verdict.PASS, disturbed=True).is_disturbed_fail


@pytest.mark.parametrize(
    ("trials", "found"),
    [
        ([], Bounds(0, 0, None, None, None, 0)),
        (taken((200, "PP")), Bounds(200, 2, None, None, None, 0)),
        (taken((1, "P")), Bounds(1, 1, None, None, None, 0)),
        (taken((1, "F")), Bounds(0, 0, 1, None, None, 0)),
        (taken((200, "P"), (800, "F"), (400, "P"), (1600, "F")), Bounds(400, 1, 800, None, None, 400)),
        # A passing level above a failing one does not count for the low end, but limits `below_fail`.
        (taken((200, "P"), (400, "F"), (800, "P")), Bounds(200, 1, 400, None, None, 200)),
        (taken((200, "P"), (400, "PF"), (800, "P"), (1600, "F")), Bounds(200, 1, 1600, None, 400, 800)),
        (taken((200, "P"), (400, "PFF"), (300, "PPF"), (1600, "F")), Bounds(200, 1, 1600, None, 300, 400)),
        (taken((200, "P"), (800, "I"), (400, "I")), Bounds(200, 1, None, 400, None, 0)),
        (taken((200, "P"), (800, "F"), (400, "II")), Bounds(200, 1, 800, 400, None, 200)),
        (taken((1, "I")), Bounds(0, 0, None, 1, None, 0)),
        (taken((1, "PF")), Bounds(0, 0, None, None, 1, 0)),
    ],
)
def test_the_bracket_is_between_holding_and_other_levels(trials: list[Trial], found: Bounds) -> None:
    assert bounds(trials) == found


@pytest.mark.parametrize(
    ("found", "high"),
    [
        (Bounds(100, 1, None, None), None),
        (Bounds(100, 1, 300, 400, 500, 0, 600), 300),
        (Bounds(100, 1, 400, 300, 500, 0, 600), 300),
        (Bounds(100, 1, 400, 500, 300, 0, 600), 300),
        (Bounds(100, 1, 400, 500, 600, 0, 300), 300),
    ],
)
def test_the_high_end_is_the_lowest_level_that_does_not_hold(found: Bounds, high: int) -> None:
    assert found.high == high


@pytest.mark.parametrize(
    ("trials", "answer"),
    [
        ([], Bounds(0, 0, None, None)),
        (taken((200, "F")), Bounds(0, 0, 200, None)),
        # Each level was measured once.
        (taken((200, "P"), (400, "F")), Bounds(200, 1, 400, None, None, 200)),
        # With two confirmations the low end is the highest level that passed three times.
        (taken((100, "PPP"), (200, "PPP"), (300, "PP"), (400, "F")), Bounds(200, 3, 400, None, None, 300)),
        (taken((100, "PPP"), (200, "PPPP")), Bounds(200, 4, None, None)),
        # The low end is never above a failing level, even if the higher level passed several times.
        (taken((100, "PPP"), (200, "FF"), (400, "PPP")), Bounds(100, 3, 200, None, None, 100)),
        # The high end is the lowest level with two fails at or below it.
        (taken((100, "P"), (200, "F"), (400, "F"), (800, "FF")), Bounds(100, 1, 400, None, None, 100, 200)),
        (taken((100, "P"), (200, "F"), (400, "FF")), Bounds(100, 1, 400, None, None, 100, 200)),
        (taken((100, "P"), (200, "FF"), (400, "FF")), Bounds(100, 1, 200, None, None, 100)),
        # A fail of a mixed level counts against the levels above it.
        (taken((100, "P"), (150, "PPF"), (200, "F"), (400, "F")), Bounds(100, 1, 200, None, 150, 150)),
        # A mixed level fails if the fails up to it outnumber the passes from it on by two.
        (taken((100, "PPP"), (150, "PFF"), (200, "FPF")), Bounds(100, 3, 200, None, 150)),
        (taken((100, "PPP"), (150, "PFF"), (200, "PPF")), Bounds(100, 3, None, None, 150)),
        (taken((100, "PPP"), (150, "PFF"), (200, "FPF"), (400, "PP")), Bounds(100, 3, None, None, 150)),
        (taken((100, "PPP"), (150, "F"), (200, "FPF")), Bounds(100, 3, 200, None, None, 100, 150)),
    ],
)
def test_the_ends_of_the_answer_are_confirmed_levels(trials: list[Trial], answer: Bounds) -> None:
    assert confirmed_bounds(trials, 2) == answer
