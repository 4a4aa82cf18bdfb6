"""Figures by interval: exact sums, right intervals, percentiles of merged intervals, bounded number."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.measure.figures import no_figures
from stampede.measure.time_series import TimeSeries

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stampede.measure.figures import Figures

MS = 1_000_000


class Process:
    """A process whose figures grow."""

    def __init__(self) -> None:
        self._figures = no_figures()

    def figures(self, received: int, latency: Iterable[int] = (), resync: Iterable[int] = ()) -> Figures:
        """Count more, and return a copy of all figures."""
        self._figures.deliveries.received += received
        for ms in latency:
            self._figures.latency.intended.record(ms * MS)
        for ms in resync:
            self._figures.resync.record(ms * MS)
        copied = no_figures()
        copied.deliveries.received = self._figures.deliveries.received
        copied.latency.intended = self._figures.latency.intended.copy()
        copied.resync = self._figures.resync.copy()
        return copied


def rates(series: TimeSeries, until: float, *, has_ended: bool = True) -> list[float]:
    return [point.received_per_second for point in series.points(until, has_ended=has_ended)]


def total(series: TimeSeries, until: float) -> float:
    points = series.points(until, has_ended=True)
    return sum(point.received_per_second * (point.ends_s - point.begins_s) for point in points)


def test_a_steady_rate_is_flat_however_reports_and_intervals_interleave() -> None:
    series, one, two = TimeSeries(), Process(), Process()
    series.add("one", 0.0, one.figures(0))
    series.add("two", 0.0, two.figures(0))
    for number in range(1, 21):
        series.add("one", number * 0.7, one.figures(70))
        series.add("two", number * 0.7 - 0.3, two.figures(28 if number > 1 else 16))
    assert rates(series, 13.0, has_ended=False) == pytest.approx([140.0] * 13)


def test_only_ended_intervals_are_shown_while_the_test_lasts() -> None:
    series, process = TimeSeries(), Process()
    for at in (0.0, 1.0, 2.0, 2.5):
        series.add("one", at, process.figures(10))
    assert [point.ends_s for point in series.points(2.5, has_ended=False)] == [1.0, 2.0]
    assert [point.ends_s for point in series.points(2.5, has_ended=True)] == [1.0, 2.0, 2.5]
    assert rates(series, 2.5)[-1] == pytest.approx(20.0)


def test_the_first_report_counts_in_the_second_before_it() -> None:
    series, process = TimeSeries(), Process()
    series.add("one", 5.0, process.figures(100))
    assert rates(series, 6.0) == pytest.approx([0, 0, 0, 0, 100, 0])


def test_durations_count_in_the_interval_in_which_they_were_measured() -> None:
    series, process = TimeSeries(), Process()
    series.add("one", 0.0, process.figures(0))
    series.add("one", 1.0, process.figures(3, [10, 10, 500]))
    series.add("one", 2.0, process.figures(3))
    series.add("one", 3.0, process.figures(3, [20], resync=[900]))
    first, second, third = series.points(3.0, has_ended=True)
    assert (first.latency_p50_ns, first.latency_p99_ns) == pytest.approx((10 * MS, 500 * MS), rel=0.02)
    assert (second.latency_p50_ns, second.latency_p99_ns, second.resync_p99_ns) == (None, None, None)
    assert (third.latency_p50_ns, third.resync_p50_ns) == pytest.approx((20 * MS, 900 * MS), rel=0.02)


def test_percentiles_of_merged_intervals_are_those_of_all_their_durations() -> None:
    series, process = TimeSeries(max_intervals=4), Process()
    series.add("one", 0.0, process.figures(0))
    series.add("one", 1.0, process.figures(9, [10] * 9))
    series.add("one", 2.0, process.figures(1, [500]))
    assert [point.latency_p50_ns for point in series.points(2.0, has_ended=True)] == pytest.approx(
        [10 * MS, 500 * MS], rel=0.02
    )
    series.add("one", 4.0, process.figures(0))
    (merged, *_) = series.points(4.0, has_ended=True)
    assert (merged.begins_s, merged.ends_s, merged.received_per_second) == (0.0, 2.0, 5.0)
    assert merged.latency_p50_ns == pytest.approx(10 * MS, rel=0.02)
    assert merged.latency_p99_ns == pytest.approx(500 * MS, rel=0.02)


def test_a_restart_discards_what_was_counted_before() -> None:
    series, process = TimeSeries(), Process()
    series.add("one", 0.0, process.figures(0))
    series.add("one", 10.0, process.figures(1000, [10]))
    series.restart(10.5)
    series.add("one", 11.0, process.figures(100, [30]))
    series.add("one", 12.0, process.figures(200))
    points = list(series.points(12.0, has_ended=True))
    assert points[0].begins_s == 10.5
    assert total(series, 12.0) == pytest.approx(50 + 200)
    assert points[0].latency_p50_ns == pytest.approx(30 * MS, rel=0.02)


def test_a_process_that_has_started_again_counts_from_zero() -> None:
    series = TimeSeries()
    series.add("one", 1.0, Process().figures(100, [10]))
    series.add("one", 3.0, Process().figures(40, [20]))
    assert rates(series, 3.0) == pytest.approx([100, 0, 40])


@given(
    gaps=st.lists(st.tuples(st.floats(0, 50), st.integers(0, 1000)), min_size=1, max_size=60),
    max_intervals=st.sampled_from([2, 4, 16]),
)
def test_nothing_is_lost_or_counted_twice_and_memory_is_bounded(
    gaps: list[tuple[float, int]], max_intervals: int
) -> None:
    series, process, at, received = TimeSeries(max_intervals), Process(), 1.0, 0
    for gap, count in gaps:
        at += gap
        received += count
        series.add("one", at, process.figures(count))
    points = list(series.points(at + series.interval_s, has_ended=True))
    assert len(points) <= max_intervals
    assert all(one.ends_s == other.begins_s for one, other in pairwise(points))
    assert total(series, at + series.interval_s) == pytest.approx(received, abs=1e-6)
