from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from capacity.search.arrival import Intake, portions


@given(present=st.integers(0, 20_000), users=st.integers(1, 20_000))
def test_portions_end_at_the_users_asked_for_and_never_exceed_half_of_what_is_left(present: int, users: int) -> None:
    asked = [present, *portions(present, users)]
    assert asked[-1] == users
    assert len(asked) <= 7
    for before, after in pairwise(asked):
        assert after - before <= max(1, 0.05 * users, (users - before + 1) / 2)


def test_fewer_users_are_asked_for_at_once() -> None:
    assert list(portions(500, 200)) == [200]


def test_a_low_latency_is_taken_at_once() -> None:
    intake = Intake(50)
    intake.look(12)
    assert intake.is_taken


def test_a_latency_that_the_server_always_has_is_no_backlog() -> None:
    intake = Intake(50)
    for p50 in (200, 203, 199, 207, 201):
        intake.look(p50)
        assert not intake.is_taken
    intake.look(203)
    assert intake.is_taken
    assert not intake.is_hopeless


def test_a_backlog_that_shrinks_is_waited_for() -> None:
    intake = Intake(50)
    for p50 in (400, 300, 200, 100):
        intake.look(p50)
        assert not intake.is_taken
        assert not intake.is_hopeless
    intake.look(30)
    assert intake.is_taken


def test_a_backlog_that_only_grows_is_hopeless() -> None:
    intake = Intake(50)
    for p50 in (100, 200, 300, 400):
        assert not intake.is_hopeless
        intake.look(p50)
    assert intake.is_hopeless
