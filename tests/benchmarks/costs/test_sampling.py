"""The comparison of percentiles counts the runs that agree."""

from __future__ import annotations

from benchmarks.costs.populations import BATCHED, EVERYONE, OF_THEM
from benchmarks.costs.sampling import Ratio, agreement


def test_a_ratio_divides_the_cpu_of_the_generator_by_that_of_the_server() -> None:
    assert Ratio(5.7, 9.5).value == 0.6


def test_a_percentile_agrees_within_a_share_of_it_or_a_time() -> None:
    near = {EVERYONE: [1.0, 2.0, 100.0], OF_THEM: [1.0, 2.0, 100.0], BATCHED: [1.29, 2.31, 104.9]}
    far = {EVERYONE: [1.0, 2.0, 100.0], OF_THEM: [1.0, 2.0, 100.0], BATCHED: [1.31, 1.71, 105.1]}
    lines = list(agreement([near, far, near], BATCHED))
    assert [line.partition(";")[2].split()[:3] for line in lines] == [
        ["2", "of", "3"],
        ["1", "of", "3"],
        ["2", "of", "3"],
    ]
    assert lines[0].startswith("p50: 1.29 ms of a tenth, 1.00 ms of everyone")
    assert all("3 of 3" in line for line in agreement([near, far, near], OF_THEM))
