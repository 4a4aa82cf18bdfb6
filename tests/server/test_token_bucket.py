"""A token bucket allows its burst at once and its rate in the long run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.token_bucket import TokenBucket


def test_a_bucket_allows_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(rate=10, burst=5)
    assert [bucket.take(100.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert bucket.wait(100.0) == pytest.approx(0.1)
    assert not bucket.take(100.05)
    assert bucket.take(100.11)


@given(st.lists(st.floats(0, 0.5), max_size=200), st.floats(0.5, 50), st.integers(1, 20))
def test_no_interval_has_more_events_than_burst_plus_rate(pauses: list[float], rate: float, burst: int) -> None:
    bucket = TokenBucket(rate, burst)
    now, taken = 0.0, []
    for pause in pauses:
        now += pause
        if bucket.take(now):
            taken.append(now)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + rate * (taken[last] - taken[first]) + 1e-6


def test_charged_events_delay_the_next_event() -> None:
    bucket = TokenBucket(rate=10, burst=5)
    bucket.charge(100.0, 5)
    assert bucket.wait(100.0) == pytest.approx(0.1)
    bucket.charge(100.0, 10)
    assert bucket.wait(100.0) == pytest.approx(1.1)
    assert not bucket.take(101.0)
    assert bucket.take(101.2)
    bucket.charge(200.0, 4)  # earlier time has no effect
    assert bucket.wait(200.0) == 0


def test_a_rate_of_zero_allows_everything() -> None:
    bucket = TokenBucket(0, 1)
    assert all(bucket.take(1.0) for _ in range(1000))


def test_a_bucket_is_full_again_exactly_when_its_last_event_is_paid_off() -> None:
    for now, allowed in ((5.5, 1), (6.0, 2)):
        bucket = TokenBucket(rate=2, burst=2)
        assert [bucket.take(5.0) for _ in range(3)] == [True, True, False]
        assert [bucket.take(now) for _ in range(3)] == [True] * allowed + [False] * (3 - allowed)


def test_a_burst_is_allowed_to_its_last_event_and_the_next_when_it_is_due() -> None:
    bucket = TokenBucket(rate=4, burst=3)  # exact in binary
    assert [bucket.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(10.125), bucket.take(10.25), bucket.take(10.25)] == [False, True, False]
    assert bucket.wait(10.25) == 0.25


def test_a_burst_below_one_still_allows_one_event_at_a_time() -> None:
    bucket = TokenBucket(rate=0.25, burst=0.5)
    assert [bucket.take(now) for now in (0.0, 3.75, 4.0, 4.0)] == [True, False, True, False]


def test_with_a_rate_of_zero_charged_events_cause_no_delay() -> None:
    bucket = TokenBucket(0, 0)
    bucket.charge(1.0, 1000)
    assert bucket.wait(1.0) == 0
    assert bucket.take(1.0)
