"""Tell a change from noise. Pure.

With several pairs of runs: a difference is larger than the spread if the 95 % confidence interval of the mean ratio of
the pairs does not contain 1. The mean is geometric, so that a ratio and its inverse count the same: the interval is
Student's, over the logarithms of the ratios. This is the test of paired observations in R. Jain, The Art of Computer
Systems Performance Analysis (Wiley 1991), section 13.4.1; A. Georges, D. Buytaert and L. Eeckhout, Statistically
Rigorous Java Performance Evaluation (OOPSLA 2007), require such intervals of runs, since the windows of one run share
its disturbances.

With one pair the noise between runs is unknown. Only the runs' own intervals can be compared: the interval of the
capacity, and the lowest and highest window of a level. If they overlap, no difference was shown; if they do not, one
run cannot tell.
"""

from __future__ import annotations

import math
from enum import StrEnum
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from capacity.model.student_t import t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence


class Noise(StrEnum):
    """Whether a difference is larger than the spread of the measurements."""

    BEYOND = "larger than the spread"
    WITHIN = "within the spread"
    UNKNOWN = "cannot tell from one run"


def ratio_interval(ratios: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of the geometric mean of the pairs' ratios.

    None for a single pair, and if a ratio is not positive.
    """
    if len(ratios) < 2 or min(ratios) <= 0:
        return None
    logarithms = [math.log(ratio) for ratio in ratios]
    mean = fmean(logarithms)
    half = t_quantile(len(ratios) - 1) * stdev(logarithms) / math.sqrt(len(ratios))
    return math.exp(mean - half), math.exp(mean + half)


def noise_of_pairs(interval: tuple[float, float]) -> Noise:
    """Judge a difference by the interval of several pairs' ratios."""
    low, high = interval
    return Noise.WITHIN if low <= 1 <= high else Noise.BEYOND


def noise_of_one_pair(before: Sequence[float], after: Sequence[float]) -> Noise:
    """Judge the difference of one pair by the measurements of each run."""
    if min(len(before), len(after)) < 2:
        return Noise.UNKNOWN
    overlap = max(min(before), min(after)) <= min(max(before), max(after))
    return Noise.WITHIN if overlap else Noise.UNKNOWN
