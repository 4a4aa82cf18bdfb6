"""Upload sizes and reconnect delays."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.workload.backoff import Backoff, Policy
from stampede.workload.sizes import Sizes


@pytest.mark.parametrize(("text", "choices"), [("0", (0,)), ("64k", (65536,)), ("1K, 2m,7", (1024, 2097152, 7))])
def test_fixed_sizes_are_read_with_their_units(text: str, choices: tuple[int, ...]) -> None:
    sizes = Sizes.parse(text)
    assert {sizes.draw(Random(seed)) for seed in range(50)} == set(choices)


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 1 << 32))
def test_a_range_is_kept(one: int, other: int, seed: int) -> None:
    low, high = sorted((one, other))
    assert low <= Sizes.parse(f"{low}-{high}").draw(Random(seed)) <= high


def test_every_order_of_magnitude_of_a_range_is_as_likely() -> None:
    rng, sizes = Random(1), Sizes.parse("1k-1m")
    small = sum(sizes.draw(rng) < 32 * 1024 for _ in range(4000))
    assert small == pytest.approx(2000, rel=0.1)


@pytest.mark.parametrize("text", ["", "big", "-5", "5-", "2m-1k", "1-2-3", "1.5k", "1kk", "²"])
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        Sizes.parse(text)


def test_the_policies_wait_as_they_are_called() -> None:
    rng = Random(1)
    assert Backoff(Policy.NONE).delay(0, rng) == 0
    assert [Backoff(Policy.FIXED).delay(n, rng) for n in (0, 1, 5)] == [1, 1, 1]
    assert [Backoff(Policy.EXPONENTIAL).delay(n, rng) for n in (0, 1, 2, 9)] == [0.5, 1, 2, 30]


@given(st.integers(0, 100_000), st.integers(0, 1 << 32))
def test_full_jitter_stays_below_what_exponential_would_wait(failures: int, seed: int) -> None:
    longest = Backoff(Policy.EXPONENTIAL).delay(failures, Random(seed))
    assert 0 <= Backoff(Policy.FULL_JITTER).delay(failures, Random(seed)) <= longest


@pytest.mark.parametrize("policy", list(Policy))
def test_nobody_spins_against_a_dead_server(policy: Policy) -> None:
    assert Backoff(policy).delay(1, Random(3)) >= 0.1
