"""The report lists the first functions of both levels, and the frames of their flame graphs."""

from __future__ import annotations

from hypothesis import given

from capacity.profile.stacks import Frame, Profile
from capacity.profile.summary import FUNCTIONS, flame_frames, summarise
from capacity.record.step import Verdict
from tests.capacity.profile.samples import FAILING, MAIN, PASSING, RUN, level, stacks


def test_both_levels_are_listed_in_falling_order() -> None:
    profile = summarise({Verdict.PASS: level(PASSING), Verdict.FAIL: level(FAILING, 200)})
    assert profile.passing is not None
    assert profile.failing is not None
    assert [(one.function, one.share) for one in profile.passing] == [("run", 0.6), ("handle", 0.4)]
    assert [one.share for one in profile.failing] == [0.36, 0.23, 0.21, 0.2]
    assert profile.hot_spot is not None
    assert (profile.hot_spot.function, profile.hot_spot.line) == ("json.dumps", 88)
    assert profile.failing_level is not None
    assert (profile.failing_level.users, profile.failing_level.samples) == (200, 100)


def test_a_level_that_was_not_profiled_is_none() -> None:
    profile = summarise({Verdict.PASS: level(PASSING)})
    assert (profile.failing, profile.failing_level, profile.hot_spot) == (None, None, None)
    idle = summarise({Verdict.FAIL: level({})})
    assert (idle.passing, idle.failing, idle.hot_spot) == (None, [], None)


def test_a_function_that_is_first_in_one_level_is_listed_in_both() -> None:
    """Otherwise its share of the other level would be unknown."""
    many: dict[tuple[Frame, ...], float] = {(Frame(f"f{i}", "a.py", i, library=False),): 100.0 - i for i in range(50)}
    last = list(many)[-1]
    profile = summarise({Verdict.PASS: level(many), Verdict.FAIL: level({last: 1.0})})
    assert profile.passing is not None
    assert [one.function for one in profile.passing] == [*(f"f{i}" for i in range(FUNCTIONS)), "f49"]


def test_frames_of_a_flame_graph_follow_their_caller_and_include_their_callees() -> None:
    found = [(one.depth, one.function, one.share) for one in flame_frames(Profile(FAILING, 100))]
    assert found == [
        (0, "<module>", 1.0),
        (1, "run", 1.0),
        (2, "handle", 0.77),
        (3, "dumps", 0.41),
        (4, "JSONEncoder.encode", 0.41),
        (5, "JSONEncoder.iterencode", 0.2),
    ]


def test_small_frames_and_very_deep_ones_are_left_out() -> None:
    deep: dict[tuple[Frame, ...], float] = {(MAIN, *[RUN] * 5000): 999.0, (RUN,): 1.0}
    found = flame_frames(Profile(deep, 1000))
    assert [one.function for one in found[:2]] == ["<module>", "run"]
    assert len(found) == 100


@given(stacks)
def test_callees_have_at_most_the_share_of_their_caller(samples: dict[tuple[Frame, ...], float]) -> None:
    inside: list[float] = []
    for frame in flame_frames(Profile(samples, 1)):
        del inside[frame.depth :]
        if inside:
            inside[-1] -= frame.share
            assert inside[-1] >= -1e-9
        inside.append(frame.share)
    roots = sum(frame.share for frame in flame_frames(Profile(samples, 1)) if frame.depth == 0)
    assert roots <= 1 + 1e-9
