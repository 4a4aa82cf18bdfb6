from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.measure.log_linear_histogram import BUCKETS, LogLinearHistogram, bucket_bounds, bucket_of

LARGEST = (1 << 43) - 1
durations = st.integers(min_value=0, max_value=LARGEST) | st.integers(min_value=0, max_value=2000)
samples = st.lists(durations, max_size=60)


def recorded(values: list[int]) -> LogLinearHistogram:
    histogram = LogLinearHistogram()
    for value in values:
        histogram.record(value)
    return histogram


def same(left: LogLinearHistogram, right: LogLinearHistogram) -> bool:
    return (left.counts, left.total) == (right.counts, right.total)


def test_buckets_cover_the_range_without_gap_or_overlap() -> None:
    bounds = [bucket_bounds(index) for index in range(BUCKETS)]
    assert bounds[0][0] == 0
    assert all(high == low for (_, high), (low, _) in pairwise(bounds))
    assert bounds[-1][1] == LARGEST + 1


@given(durations)
def test_a_value_lies_within_its_bucket(value: int) -> None:
    low, high = bucket_bounds(bucket_of(value))
    assert low <= value < high


@pytest.mark.parametrize("index", [*range(200), BUCKETS - 1])
def test_both_edges_of_a_bucket_belong_to_it(index: int) -> None:
    low, high = bucket_bounds(index)
    assert bucket_of(low) == bucket_of(high - 1) == index


def test_too_large_and_negative_values_count_in_the_outermost_buckets() -> None:
    histogram = recorded([-5, LARGEST + 1, 1 << 60])
    assert histogram.counts[0] == 1
    assert histogram.counts[-1] == 2
    assert histogram.total == LARGEST + 1 + (1 << 60)


@given(st.lists(durations, min_size=1, max_size=60), st.floats(min_value=0, max_value=1))
def test_a_quantile_is_within_a_64th_of_a_recorded_value_of_that_rank(values: list[int], q: float) -> None:
    estimate = recorded(values).quantile(q)
    rank = max(1.0, q * len(values))
    exact = next(value for seen, value in enumerate(sorted(values), 1) if seen >= rank)
    assert estimate is not None
    assert abs(estimate - exact) <= max(exact / 64, 0.5)


@given(samples)
def test_mean_and_count_are_exact(values: list[int]) -> None:
    histogram = recorded(values)
    assert histogram.count == len(values)
    assert histogram.mean() == (sum(values) / len(values) if values else None)


@pytest.mark.parametrize("q", [-0.01, 1.01, float("nan")])
def test_a_quantile_outside_0_to_1_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        LogLinearHistogram().quantile(q)


def test_an_empty_histogram_has_no_quantile_and_no_mean() -> None:
    assert LogLinearHistogram().quantile(0.99) is None
    assert LogLinearHistogram().mean() is None


@given(samples, samples)
def test_adding_histograms_equals_recording_everything_in_one(left: list[int], right: list[int]) -> None:
    assert same(recorded(left) + recorded(right), recorded(left + right))


@given(samples, samples)
def test_a_difference_is_exactly_what_was_recorded_in_between(before: list[int], after: list[int]) -> None:
    assert same(recorded(before + after) - recorded(before), recorded(after))


def test_a_difference_detects_a_restart() -> None:
    with pytest.raises(ValueError, match=r"^a histogram count went down: the process behind it was restarted$"):
        recorded([1]) - recorded([1, 2])


@pytest.mark.parametrize(("value", "middle"), [(0, 0), (10, 10), (63, 63), (64, 64.5), (101, 100.5)])
def test_a_quantile_is_the_middle_of_its_bucket_also_at_both_ends(value: int, middle: float) -> None:
    histogram = recorded([value, value])
    assert histogram.quantile(0) == histogram.quantile(0.5) == histogram.quantile(1) == middle


@given(samples, durations)
def test_count_at_most_counts_whole_buckets_up_to_the_bound(values: list[int], bound: int) -> None:
    _, high = bucket_bounds(bucket_of(bound))
    assert recorded(values).count_at_most(bound) == sum(value < high for value in values)


@pytest.mark.parametrize("bound", [0, 63, 64, 1000, 10**9])
def test_count_at_most_includes_the_bucket_of_the_bound_and_none_above(bound: int) -> None:
    low, high = bucket_bounds(bucket_of(bound))
    assert recorded([low, high - 1, high, LARGEST]).count_at_most(bound) == 2


def test_histograms_are_equal_with_the_same_counts_and_total() -> None:
    one, other = recorded([5]), recorded([6])
    assert one == recorded([5])
    assert one != other  # other counts
    other.counts = list(one.counts)
    other.total += 1
    assert one != other  # another total
    assert one != "a histogram"


@given(samples)
def test_the_sparse_form_survives_json(values: list[int]) -> None:
    histogram = recorded(values)
    sparse = json.loads(json.dumps(histogram.to_sparse()))
    assert len(sparse["buckets"]) <= len(values)
    assert same(LogLinearHistogram.from_sparse(sparse), histogram)


@pytest.mark.parametrize(
    "sparse",
    [
        {},
        {"total": 1},
        {"total": "1", "buckets": {}},
        {"total": 1, "buckets": []},
        {"total": 1, "buckets": {"-1": 1}},
        {"total": 1, "buckets": {str(BUCKETS): 1}},
        {"total": 1, "buckets": {"0": -1}},
        {"total": 1, "buckets": {"0": 0.5}},
        {"total": 1, "buckets": {"x": 1}},
    ],
)
def test_a_mapping_that_is_not_a_sparse_histogram_is_refused(sparse: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"log-linear|invalid literal"):
        LogLinearHistogram.from_sparse(sparse)


def test_a_refused_mapping_is_described_and_an_empty_bucket_is_allowed() -> None:
    with pytest.raises(ValueError, match=r"^not a sparse log-linear histogram$"):
        LogLinearHistogram.from_sparse({})
    assert LogLinearHistogram.from_sparse({"total": 0, "buckets": {"3": 0}}).count == 0
