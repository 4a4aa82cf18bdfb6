"""Upload sizes: the values that `--upload-bytes` accepts, and the drawn sizes."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.workload.sizes import Sizes


@pytest.mark.parametrize(("text", "choices"), [("0", (0,)), ("64k", (65536,)), ("1K, 2m,7", (1024, 2097152, 7))])
def test_fixed_sizes_are_parsed_with_their_units(text: str, choices: tuple[int, ...]) -> None:
    sizes = Sizes.parse(text)
    assert {sizes.draw(Random(seed)) for seed in range(50)} == set(choices)


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 1 << 32))
def test_a_drawn_size_is_within_its_range(one: int, other: int, seed: int) -> None:
    low, high = sorted((one, other))
    assert low <= Sizes.parse(f"{low}-{high}").draw(Random(seed)) <= high


def test_every_order_of_magnitude_of_a_range_is_equally_likely() -> None:
    rng, sizes = Random(1), Sizes.parse("1k-1m")
    small = sum(sizes.draw(rng) < 32 * 1024 for _ in range(4000))
    assert small == pytest.approx(2000, rel=0.1)


@pytest.mark.parametrize("text", ["", "big", "-5", "5-", "2m-1k", "1-2-3", "1.5k", "1kk", "²"])
def test_an_invalid_size_is_refused_with_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        Sizes.parse(text)
