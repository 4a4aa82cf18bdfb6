"""The result of a storm over all processes, and the table of storms; pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate, zip_longest
from operator import add
from typing import TYPE_CHECKING, Final

from stampede.measure.formatting import format_clock
from stampede.measure.log_linear_histogram import LogLinearHistogram  # noqa: TC001 # decoded at run time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from stampede.measure.storm import StormPart

SHARES: Final = (0.5, 0.95, 1.0)
"""Shares of the dropped users whose time until resync is reported."""

_BINS_A_SECOND: Final = 10


@dataclass(slots=True, kw_only=True)
class WatchResult:
    """The lost connections of a watch, over all processes.

    Attributes:
        processes: processes that have reported it; `is_ended`: whether it has ended in all of them.
        lost: connections that the server closed or that failed; `causes` counts them by label.
        first_ns, last_ns: time from the start of the watch to the first and to the last of them; None without any.
        lost_per_second, reconnects_per_second: by second since the watch began, up to the last one with any.
    """

    processes: int
    is_ended: bool
    lost: int
    causes: dict[str, int]
    first_ns: int | None
    last_ns: int | None
    lost_per_second: list[int]
    reconnects_per_second: list[int]


@dataclass(slots=True, kw_only=True)
class StormResult:
    """One storm, over all processes. The snapshot shows it as JSON with these names.

    Attributes:
        id: number of the storm in its run.
        at_s: seconds since the test began.
        users: users in their rooms when the storm began.
        dropped: users that were dropped.
        outages: times from a drop until a resync; in a watch, a user may have several. The resync times are theirs.
        drop_ns: time from the first drop to the last in one process, of the slowest process.
        resynced: dropped users that have received a delivery again.
        gone: dropped users that were stopped, or dropped again, before a delivery.
        over: whether every dropped user has resynced or is gone.
        resync_ns: time until these shares of the dropped users had resynced; None where they have not.
        peak_accepts_per_second: reconnects in the busiest second.
        unaffected: latency of deliveries to the other users while the storm lasted.
        missed: messages that the dropped users did not get.
        watch: the lost connections, if the server caused the storm.
    """

    id: int
    at_s: float
    users: int
    dropped: int
    outages: int
    drop_ns: int
    resynced: int
    gone: int
    over: bool
    resync_ns: dict[str, float | None]
    peak_accepts_per_second: int
    unaffected: LogLinearHistogram
    missed: int
    watch: WatchResult | None = None

    def until(self, share: float) -> float | None:
        """Return the nanoseconds until one of `SHARES` of the dropped users had resynced; None if they have not."""
        return self.resync_ns[_key(share)]


def _key(share: float) -> str:
    return f"{share:g}"


def _result(parts: Sequence[StormPart]) -> StormResult:
    """Add up the parts of one storm."""
    resync = reduce(add, (part.resync for part in parts))
    dropped, gone = sum(part.dropped for part in parts), sum(part.abandoned for part in parts)
    outages = sum(part.outages for part in parts)
    watch = _watch_result(parts)
    slowest = max(part.slowest for part in parts)
    return StormResult(
        id=parts[0].id,
        at_s=min(part.at for part in parts),
        users=sum(part.users for part in parts),
        dropped=dropped,
        outages=outages,
        drop_ns=max(part.drop_ns for part in parts),
        resynced=dropped - (outages - resync.count),
        gone=gone,
        over=resync.count + gone >= outages and (watch is None or watch.is_ended),
        resync_ns={_key(share): _time_until(share, resync, outages - gone, slowest) for share in SHARES},
        peak_accepts_per_second=_busiest_second([part.reconnects for part in parts]),
        unaffected=reduce(add, (part.unaffected for part in parts)),
        missed=sum(part.missed for part in parts),
        watch=watch,
    )


def _watch_result(parts: Sequence[StormPart]) -> WatchResult | None:
    """Add up the lost connections of one watch; return None for a storm on command."""
    watches = [part.watch for part in parts if part.watch is not None]
    if not watches:
        return None
    causes: Counter[str] = Counter()
    for watch in watches:
        causes.update(watch.causes)
    return WatchResult(
        processes=len(watches),
        is_ended=all(watch.is_ended for watch in watches),
        lost=sum(causes.values()),
        causes=dict(causes.most_common()),
        first_ns=min((watch.first_ns for watch in watches if watch.first_ns is not None), default=None),
        last_ns=max((watch.last_ns for watch in watches if watch.last_ns is not None), default=None),
        lost_per_second=_per_second([watch.lost for watch in watches]),
        reconnects_per_second=_per_second([part.reconnects for part in parts]),
    )


def _time_until(share: float, resync: LogLinearHistogram, awaited: int, slowest: int) -> float | None:
    """Return the time until a share of the awaited users had resynced; `slowest` is the exact maximum."""
    resynced = resync.count
    if not awaited or resynced < share * awaited:
        return None
    if share == 1:
        return slowest
    value = resync.quantile(share * awaited / resynced)  # a share of all awaited users, not of those so far
    return None if value is None else min(value, slowest)


def _summed(rows: list[list[int]]) -> list[int]:
    return [sum(column) for column in zip_longest(*rows, fillvalue=0)]


def _per_second(rows: list[list[int]]) -> list[int]:
    """Return the sum of all rows, in bins of a second."""
    bins = _summed(rows)
    return [sum(bins[i : i + _BINS_A_SECOND]) for i in range(0, len(bins), _BINS_A_SECOND)]


def _busiest_second(rows: list[list[int]]) -> int:
    """Return the largest number in ten consecutive bins of the sum of all rows."""
    bins = _summed(rows)
    sums = [0, *accumulate(bins)]
    return max((sums[i] - sums[max(0, i - _BINS_A_SECOND)] for i in range(1, len(sums))), default=0)


def results(parts: Iterable[StormPart]) -> list[StormResult]:
    """Return the storms of a run in order, from the parts of all processes."""
    by_id: dict[int, list[StormPart]] = {}
    for part in parts:
        by_id.setdefault(part.id, []).append(part)
    return [_result(by_id[number]) for number in sorted(by_id)]


def _format_ns(ns: float | None) -> str:
    if ns is None:
        return "-"
    return f"{ns / 1e9:.2f} s" if ns >= 1e9 else f"{ns / 1e6:.1f} ms"


def _last_resync(storm: StormResult) -> str:
    gone = f", {storm.gone} gone" if storm.gone else ""
    if storm.over:
        return _format_ns(storm.until(1.0)) + gone
    return f"{storm.resynced} so far{gone}"


def ends_s(storm: StormResult) -> float | None:
    """Return when the last dropped user had resynced, in seconds since the test began; None if some still have to.

    It is exact if all users were dropped at once, and late by at most the time from the first drop to the last. If all
    dropped users are gone, a storm ends with its last drop.
    """
    if not storm.over:
        return None
    return storm.at_s + (_last_drop(storm) + (storm.until(1.0) or 0.0)) / 1e9


def _last_drop(storm: StormResult) -> int:
    """Return the time from the start of a storm to its last drop, in nanoseconds."""
    return storm.drop_ns if storm.watch is None else storm.watch.last_ns or 0


def sentence(storm: StormResult) -> str:
    """Return what happened in a storm: when, which share of the users was dropped, and until when they resynced."""
    begin = f"Storm {storm.id} at {format_clock(storm.at_s)}: dropped"
    if storm.watch is not None:
        begin = f"Watch {storm.id} from {format_clock(storm.at_s)}: the server dropped"
    share = f" ({100 * storm.dropped / storm.users:.0f}\N{NO-BREAK SPACE}%)" if storm.users else ""
    return f"{begin} {storm.dropped} of {storm.users} users{share}. {_outcome(storm)}".strip()


def _outcome(storm: StormResult) -> str:
    """Return how many of the dropped users resynced; nothing if none was dropped."""
    gone = f", {storm.gone} gone" if storm.gone else ""
    last = storm.until(1.0)
    if not storm.dropped:
        return ""
    if not storm.over:
        return f"{storm.resynced} resynced so far{gone}."
    return f"None resynced{gone}." if last is None else f"The last one resynced after {_format_ns(last)}{gone}."


COLUMNS: Final[tuple[tuple[str, str, Callable[[StormResult], str]], ...]] = (
    ("at", "Started at", lambda storm: format_clock(storm.at_s)),
    ("dropped", "Dropped", lambda storm: f"{storm.dropped} of {storm.users}"),
    ("drop", "Within", lambda storm: _format_ns(storm.drop_ns)),
    ("resync50", "50 % resynced", lambda storm: _format_ns(storm.until(0.5))),
    ("resync95", "95 %", lambda storm: _format_ns(storm.until(0.95))),
    ("resync100", "100 %", _last_resync),
    ("peak", "Peak accepts/s", lambda storm: str(storm.peak_accepts_per_second)),
    ("unaffected", "p99 of the unaffected", lambda storm: _format_ns(storm.unaffected.quantile(0.99))),
    ("missed", "Messages missed", lambda storm: str(storm.missed)),
)
"""The columns of the table of storms: key, title, and text of a cell."""


def table(storms: Iterable[StormResult]) -> list[dict[str, str]]:
    """Return the rows of the table of storms, each by column key."""
    return [{key: text(storm) for key, _, text in COLUMNS} for storm in storms]
