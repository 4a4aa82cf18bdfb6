"""What all processes counted of a storm, as one result and as a row of a table; pure."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from stampede.measure.log_linear_histogram import LogLinearHistogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stampede.measure.storm import StormPart

SHARES: Final = (0.5, 0.95, 1.0)
"""Parts of the dropped users whose time until resynced is told."""

_BINS_A_SECOND: Final = 10


class StormResult:
    """One storm, over all processes.

    Attributes:
        at: seconds since the test began.
        users: in their rooms when it struck; of these `dropped`.
        drop_ns: from the first to the last drop in a process, of the slowest one.
        resynced: dropped users that have heard a delivery again; `gone`: those that were stopped or dropped again.
        peak_rate: reconnects in the busiest second.
        unaffected: deliveries to the others while it lasted.
        missed: messages that the dropped did not get.
    """

    __slots__ = (
        *("_resync", "_slowest", "at", "drop_ns", "dropped", "gone", "id", "missed", "peak_rate", "resynced"),
        *("unaffected", "users"),
    )

    def __init__(self, parts: list[StormPart]) -> None:
        self.id = parts[0].id
        self.at = min(part.at for part in parts)
        self.users = sum(part.users for part in parts)
        self.dropped = sum(part.dropped for part in parts)
        self.drop_ns = max(part.drop_ns for part in parts)
        self.gone = sum(part.gone for part in parts)
        self.missed = sum(part.missed for part in parts)
        self.unaffected, self._resync = LogLinearHistogram(), LogLinearHistogram()
        for part in parts:
            self.unaffected.merge(LogLinearHistogram.from_sparse(part.unaffected))
            self._resync.merge(LogLinearHistogram.from_sparse(part.resync))
        self._slowest = max(part.slowest for part in parts)
        self.resynced = self._resync.count
        self.peak_rate = _busiest_second([part.reconnects for part in parts])

    def to_builtins(self) -> dict[str, Any]:
        """Return the storm as JSON has it; durations in ns, None where they are not known."""
        return {
            "id": self.id,
            "at_s": self.at,
            "users": self.users,
            "dropped": self.dropped,
            "drop_ns": self.drop_ns,
            "resynced": self.resynced,
            "gone": self.gone,
            "over": self.is_over,
            "resync_ns": {f"{share:g}": self.until(share) for share in SHARES},
            "peak_accepts_per_second": self.peak_rate,
            "unaffected": self.unaffected.to_sparse(),
            "missed": self.missed,
        }

    @property
    def is_over(self) -> bool:
        """Whether everyone hears again, or will not."""
        return self.resynced + self.gone >= self.dropped

    def until(self, share: float) -> float | None:
        """Return the nanoseconds until a share of the dropped had resynced; None when they have not."""
        awaited = self.dropped - self.gone
        if not awaited or self.resynced < share * awaited:
            return None
        if share == 1:
            return self._slowest
        # Of those who are to come, not of those who came already.
        value = self._resync.quantile(share * awaited / self.resynced)
        return None if value is None else min(value, self._slowest)


def _busiest_second(rows: list[list[int]]) -> int:
    """Return the largest sum of ten bins in a row, of the sum of all rows."""
    bins = [sum(row[i] for row in rows if i < len(row)) for i in range(max(map(len, rows), default=0))]
    sums = [0, *accumulate(bins)]
    return max((sums[i] - sums[max(0, i - _BINS_A_SECOND)] for i in range(1, len(sums))), default=0)


def results(parts: Iterable[StormPart]) -> list[StormResult]:
    """Return the storms of a run in their order, from the parts of all processes."""
    by_id: dict[int, list[StormPart]] = {}
    for part in parts:
        by_id.setdefault(part.id, []).append(part)
    return [StormResult(by_id[number]) for number in sorted(by_id)]


def clock(seconds: float) -> str:
    """Write seconds since the test began as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _show(ns: float | None) -> str:
    if ns is None:
        return "-"
    return f"{ns / 1e9:.2f} s" if ns >= 1e9 else f"{ns / 1e6:.1f} ms"


def _show_last(storm: StormResult) -> str:
    gone = f", {storm.gone} gone" if storm.gone else ""
    if storm.is_over:
        return _show(storm.until(1.0)) + gone
    return f"{storm.resynced} so far{gone}"


COLUMNS: Final[tuple[tuple[str, str, Callable[[StormResult], str]], ...]] = (
    ("at", "Struck at", lambda storm: clock(storm.at)),
    ("dropped", "Dropped", lambda storm: f"{storm.dropped} of {storm.users}"),
    ("drop", "Within", lambda storm: _show(storm.drop_ns)),
    ("resync50", "50 % resynced", lambda storm: _show(storm.until(0.5))),
    ("resync95", "95 %", lambda storm: _show(storm.until(0.95))),
    ("resync100", "100 %", _show_last),
    ("peak", "Peak accepts/s", lambda storm: str(storm.peak_rate)),
    ("unaffected", "p99 of the unaffected", lambda storm: _show(storm.unaffected.quantile(0.99))),
    ("missed", "Messages missed", lambda storm: str(storm.missed)),
)
"""The table of storms: key, title and text of each column."""


def table(storms: Iterable[StormResult]) -> list[dict[str, str]]:
    """Return the rows of the table, by key."""
    return [{key: text(storm) for key, _, text in COLUMNS} for storm in storms]
