from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from capacity.search.arrival import RampGate, backlog_ms, portions


@given(present=st.integers(0, 20_000), users=st.integers(1, 20_000))
def test_portions_end_at_the_requested_users_and_are_at_most_half_of_the_rest(present: int, users: int) -> None:
    asked = [present, *portions(present, users)]
    assert asked[-1] == users
    assert len(asked) <= 6
    for before, after in pairwise(asked):
        assert after - before <= max(1, 0.1 * users, (users - before + 1) / 2)


def test_a_decrease_is_one_portion() -> None:
    assert list(portions(500, 200)) == [200]


def test_a_low_latency_is_absorbed_at_once() -> None:
    ramp = RampGate(50)
    ramp.add_probe(12)
    assert ramp.is_absorbed


def test_a_constant_latency_is_not_a_backlog() -> None:
    ramp = RampGate(50)
    for p50 in (200, 203, 199):
        ramp.add_probe(p50)
        assert not ramp.is_absorbed
    ramp.add_probe(203)
    assert ramp.is_absorbed
    assert not ramp.is_overloaded


def test_the_ramp_waits_for_a_shrinking_backlog() -> None:
    ramp = RampGate(50)
    for p50 in (300, 200, 100):
        ramp.add_probe(p50)
        assert not ramp.is_absorbed
        assert not ramp.is_overloaded
    ramp.add_probe(30)
    assert ramp.is_absorbed


def test_a_growing_backlog_is_an_overload() -> None:
    ramp = RampGate(50)
    for p50 in (100, 200, 300, 400):
        assert not ramp.is_overloaded
        ramp.add_probe(p50)
    assert ramp.is_overloaded


def test_the_latency_of_a_backlog_depends_on_the_slo() -> None:
    assert backlog_ms(250) == 150
    assert backlog_ms(None) == 50
