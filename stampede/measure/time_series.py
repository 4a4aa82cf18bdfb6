"""Deliveries and resyncs over time, for charts; bounded memory, pure.

A process reports cumulative figures at moments of its own. What it counted between two reports is spread evenly over
the time between them, so that the rate does not depend on how reports and intervals interleave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stampede.measure.log_linear_histogram import LogLinearHistogram

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stampede.measure.figures import Figures

MAX_INTERVALS: Final = 240
"""A longer test has longer intervals: when it needs more of them, each two become one."""

FIRST_SECONDS: Final = 1.0
"""What a process counted before its first report is spread over this time."""

_MEDIAN, _HIGH = 0.5, 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPoint:
    """One interval. Durations are in nanoseconds, and None without a sample.

    Attributes:
        begins_s, ends_s: seconds since the test began; the last interval may be shorter than the others.
        received_per_second: deliveries received.
        latency_p50_ns, latency_p99_ns: of the deliveries, from the intended send.
        resync_p50_ns, resync_p99_ns: from a drop to the first delivery after it, of the resyncs in the interval.
    """

    begins_s: float
    ends_s: float
    received_per_second: float
    latency_p50_ns: float | None
    latency_p99_ns: float | None
    resync_p50_ns: float | None
    resync_p99_ns: float | None


class _Durations:
    """The durations that belong to one interval; the percentiles are computed when needed, and kept."""

    __slots__ = ("_histogram", "_percentiles")

    def __init__(self) -> None:
        self._histogram: LogLinearHistogram | None = None
        self._percentiles: tuple[float | None, float | None] | None = (None, None)

    def add(self, histogram: LogLinearHistogram | None) -> None:
        if histogram is not None:
            self._histogram = histogram if self._histogram is None else self._histogram + histogram
            self._percentiles = None

    def merge(self, other: _Durations) -> None:
        self.add(other._histogram)

    @property
    def percentiles(self) -> tuple[float | None, float | None]:
        """The median and the 99th percentile."""
        if self._percentiles is None and self._histogram is not None:
            self._percentiles = self._histogram.quantile(_MEDIAN), self._histogram.quantile(_HIGH)
        return self._percentiles or (None, None)


class _Interval:
    """The counts of one interval."""

    __slots__ = ("latency", "received", "resync")

    def __init__(self) -> None:
        self.received = 0.0
        self.latency = _Durations()
        self.resync = _Durations()

    def merge(self, later: _Interval) -> None:
        self.received += later.received
        self.latency.merge(later.latency)
        self.resync.merge(later.resync)


@dataclass(frozen=True, slots=True)
class _Counted:
    """What a process had counted at a moment."""

    at: float
    received: int
    latency: LogLinearHistogram
    resync: LogLinearHistogram


class TimeSeries:
    """Deliveries and resyncs by interval, over all processes of a test.

    Args:
        max_intervals: the most intervals that are kept; an even number.

    Attributes:
        interval_s: length of an interval in seconds; it doubles when the intervals are used up.
        begins_s: when the first interval begins, in seconds since the test began.
    """

    __slots__ = ("_before", "_intervals", "_max_intervals", "begins_s", "interval_s")

    def __init__(self, max_intervals: int = MAX_INTERVALS) -> None:
        self._max_intervals = max_intervals
        self._intervals: list[_Interval] = []
        self._before: dict[str, _Counted] = {}
        self.interval_s = 1.0
        self.begins_s = 0.0

    def restart(self, at: float) -> None:
        """Discard everything before a moment, in seconds since the test began."""
        self._intervals.clear()
        self.interval_s = 1.0
        self.begins_s = at

    def add(self, process: str, at: float, figures: Figures) -> None:
        """Add the figures of a process, cumulative since the test began.

        Args:
            process: identifies the process.
            at: seconds since the test began; not before the process's last report.
            figures: as the process reported them.
        """
        now = _Counted(at, figures.deliveries.received, figures.latency.intended, figures.resync)
        before, self._before[process] = self._before.get(process), now
        if before is None or before.received > now.received:  # a process whose count went down has started again
            before = _Counted(at - FIRST_SECONDS, 0, LogLinearHistogram(), LogLinearHistogram())
        self._spread(before.at, at, now.received - before.received)
        interval = self._interval_of((before.at + at) / 2)
        interval.latency.add(_since(now.latency, before.latency))
        interval.resync.add(_since(now.resync, before.resync))

    def _spread(self, start: float, end: float, received: int) -> None:
        """Spread deliveries evenly over a time; the part before the first interval is not counted."""
        last = self._interval_of(end)
        if end <= start:
            last.received += received
            return
        rate = received / (end - start)
        for index in range(self._index(start), self._index(end) + 1):
            begins = self.begins_s + index * self.interval_s
            seconds = min(end, begins + self.interval_s) - max(start, begins)
            self._intervals[index].received += rate * max(0.0, seconds)

    def _index(self, at: float) -> int:
        return max(0, int((at - self.begins_s) / self.interval_s))

    def _interval_of(self, at: float) -> _Interval:
        """Return the interval of a moment; there are all intervals up to it."""
        while self._index(at) >= self._max_intervals:
            self._halve()
        index = self._index(at)
        while len(self._intervals) <= index:
            self._intervals.append(_Interval())
        return self._intervals[index]

    def _halve(self) -> None:
        """Make one interval of each two."""
        for earlier, later in zip(self._intervals[::2], self._intervals[1::2], strict=False):
            earlier.merge(later)
        self._intervals = self._intervals[::2]
        self.interval_s *= 2

    def points(self, until: float, *, has_ended: bool) -> Iterator[SeriesPoint]:
        """Return the intervals in order.

        Args:
            until: seconds since the test began; all processes have reported up to this moment.
            has_ended: whether the test ended then. Otherwise an interval that has not ended is left out.
        """
        for index, interval in enumerate(self._intervals):
            begins = self.begins_s + index * self.interval_s
            ends = begins + self.interval_s
            if ends > until:
                if not has_ended or until <= begins:
                    return
                ends = until
            latency, resync = interval.latency.percentiles, interval.resync.percentiles
            yield SeriesPoint(
                begins_s=begins,
                ends_s=ends,
                received_per_second=interval.received / (ends - begins),
                latency_p50_ns=latency[0],
                latency_p99_ns=latency[1],
                resync_p50_ns=resync[0],
                resync_p99_ns=resync[1],
            )


def _since(now: LogLinearHistogram, before: LogLinearHistogram) -> LogLinearHistogram | None:
    """Return what was recorded between two moments; None if that is nothing."""
    return None if now.counts == before.counts else now - before
