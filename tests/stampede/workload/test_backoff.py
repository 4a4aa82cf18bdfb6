"""Reconnect delays of the backoff policies."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.workload.backoff import Backoff, Policy


def test_each_policy_waits_as_its_name_says() -> None:
    rng = Random(1)
    assert Backoff(Policy.NONE).delay(0, rng) == 0
    assert [Backoff(Policy.FIXED).delay(n, rng) for n in (0, 1, 5)] == [1, 1, 1]
    assert [Backoff(Policy.EXPONENTIAL).delay(n, rng) for n in (0, 1, 2, 9)] == [0.5, 1, 2, 30]


@given(st.integers(0, 100_000), st.integers(0, 1 << 32))
def test_full_jitter_never_waits_longer_than_exponential(failures: int, seed: int) -> None:
    longest = Backoff(Policy.EXPONENTIAL).delay(failures, Random(seed))
    assert 0 <= Backoff(Policy.FULL_JITTER).delay(failures, Random(seed)) <= longest


@pytest.mark.parametrize("policy", list(Policy))
def test_every_policy_waits_after_a_failed_attempt(policy: Policy) -> None:
    assert Backoff(policy).delay(1, Random(3)) >= 0.1
