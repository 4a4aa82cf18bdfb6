"""The rule that tells a change from noise."""

from __future__ import annotations

import math
import random

import pytest

from capacity.report.noise import Noise, noise_of_one_pair, noise_of_pairs, ratio_interval


def test_the_interval_is_that_of_paired_observations() -> None:
    # Differences of logarithms 0.1, 0.2, 0.3: mean 0.2, standard error 0.1 / sqrt(3), t(2) = 4.303.
    interval = ratio_interval([math.exp(one) for one in (0.1, 0.2, 0.3)])
    assert interval is not None
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert [math.log(end) for end in interval] == pytest.approx([0.2 - half, 0.2 + half], rel=1e-5)


def test_one_pair_and_unknown_ratios_have_no_interval() -> None:
    assert ratio_interval([1.2]) is None
    assert ratio_interval([1.2, 0.0]) is None


def test_pairs_without_a_change_are_noise_in_19_of_20_comparisons() -> None:
    noise = random.Random(1)
    found = [ratio_interval([math.exp(noise.gauss(0, 0.1)) for _ in range(3)]) for _ in range(2000)]
    false = sum(noise_of_pairs(interval) is Noise.BEYOND for interval in found if interval)
    assert 0.03 < false / len(found) < 0.07


@pytest.mark.parametrize(
    ("before", "after", "noise"),
    [
        ([1.0], [9.0], Noise.UNKNOWN),
        ([1.0, 3.0], [2.0], Noise.UNKNOWN),
        ([1.0, 3.0], [2.0, 9.0], Noise.WITHIN),
        ([1.0, 2.0], [2.1, 9.0], Noise.UNKNOWN),
    ],
)
def test_one_run_of_each_side_shows_no_difference_at_most(
    before: list[float], after: list[float], noise: Noise
) -> None:
    assert noise_of_one_pair(before, after) is noise
