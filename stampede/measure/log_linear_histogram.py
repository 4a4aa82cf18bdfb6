"""A histogram of durations with a fixed relative error, which is merged and subtracted exactly.

The layout is that of HdrHistogram with 32 sub-buckets an octave. Each value below 64 ns has its own bucket. Above that
every power of two is divided into 32 equal buckets. A bucket is at most 1/32 of its value wide, so its middle is within
1/64 (1.6 %) of every value in it. The last bucket ends at 2**43 ns, about 2.4 hours; larger values count there.
"""

from __future__ import annotations

from itertools import compress
from operator import add, sub
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

_SUB_BITS = 5
_LARGEST = (1 << 43) - 1
BUCKETS = ((43 - _SUB_BITS - 1) << _SUB_BITS) + (2 << _SUB_BITS)


def bucket_of(value: int) -> int:
    """Return the index of the bucket that holds `value` nanoseconds; negative values count as 0."""
    if value < 64:
        return max(value, 0)
    value = min(value, _LARGEST)
    shift = value.bit_length() - 6
    return (shift << _SUB_BITS) + (value >> shift)


def bucket_bounds(index: int) -> tuple[int, int]:
    """Return the lower bound of a bucket and its exclusive upper bound, in nanoseconds."""
    if index < 64:
        return index, index + 1
    shift = (index >> _SUB_BITS) - 1
    low = (index - (shift << _SUB_BITS)) << shift
    return low, low + (1 << shift)


class LogLinearHistogram:
    """A histogram of durations in nanoseconds.

    Hot loops may update `counts[bucket_of(ns)]` and `total` directly; everything else is derived from these two.
    """

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * BUCKETS
        self.total = 0

    @property
    def count(self) -> int:
        """Number of recorded values."""
        return sum(self.counts)

    def record(self, value: int) -> None:
        """Record one duration in nanoseconds. A negative one counts as 0: the clock was stepped."""
        self.counts[bucket_of(value)] += 1
        self.total += max(value, 0)

    def mean(self) -> float | None:
        """Return the exact mean in nanoseconds, or None when empty."""
        count = self.count
        return self.total / count if count else None

    def quantile(self, q: float) -> float | None:
        """Return the middle of the bucket that holds the q-quantile (0..1), in nanoseconds, or None when empty.

        Raises:
            ValueError: q lies outside 0..1.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"a quantile is between 0 and 1, not {q}")
        rank = max(1.0, q * self.count)
        seen = 0
        for index, n in enumerate(self.counts):
            seen += n
            if n and seen >= rank:
                low, high = bucket_bounds(index)
                return (low + high - 1) / 2
        return None

    def count_at_most(self, value: int) -> int:
        """Return the number of recorded values in the buckets up to and including that of `value` nanoseconds."""
        return sum(self.counts[: bucket_of(value) + 1])

    def copy(self) -> LogLinearHistogram:
        """Return an independent copy."""
        copied = LogLinearHistogram()
        copied.counts = self.counts[:]
        copied.total = self.total
        return copied

    def __eq__(self, other: object) -> bool:
        """Return whether both have the same counts and total."""
        if not isinstance(other, LogLinearHistogram):
            return NotImplemented
        return self.total == other.total and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment] # histograms change

    def __add__(self, other: LogLinearHistogram) -> LogLinearHistogram:
        """Return both histograms' counts together; exact, since all histograms share one layout."""
        merged = LogLinearHistogram()
        merged.counts = list(map(add, self.counts, other.counts))
        merged.total = self.total + other.total
        return merged

    def __sub__(self, earlier: LogLinearHistogram) -> LogLinearHistogram:
        """Return what was recorded after `earlier`, an older state of the same histogram.

        Raises:
            ValueError: a count went down, so `earlier` is not an older state (a process restarted).
        """
        window = LogLinearHistogram()
        window.counts = list(map(sub, self.counts, earlier.counts))
        window.total = self.total - earlier.total
        if min(window.counts) < 0:
            raise ValueError("a histogram count went down: the process behind it was restarted")
        return window

    def to_sparse(self) -> dict[str, object]:
        """Return the histogram as JSON values: `{"total": ns, "buckets": {"index": count}}` without empty buckets."""
        return {"total": self.total, "buckets": {str(i): self.counts[i] for i in compress(range(BUCKETS), self.counts)}}

    @classmethod
    def from_sparse(cls, sparse: Mapping[str, object]) -> Self:
        """Return the histogram that `to_sparse` returned as JSON values.

        Raises:
            ValueError: `sparse` does not have that form.
        """
        buckets, total = sparse.get("buckets"), sparse.get("total")
        if not isinstance(buckets, dict) or not isinstance(total, int):
            raise ValueError("not a sparse log-linear histogram")  # noqa: TRY004 - the value came from JSON, not from code
        histogram = cls()
        histogram.total = total
        for index, n in buckets.items():
            position = int(index)
            if not 0 <= position < BUCKETS or not isinstance(n, int) or n < 0:
                raise ValueError(f"bucket {index!r}: {n!r} is outside the log-linear layout")
            histogram.counts[position] = n
        return histogram
