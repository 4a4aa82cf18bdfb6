"""A window: the difference of two instants. Resets are detected, what is missing stays None.

Client figures come from two snapshots of the load generator, server figures from two samples of the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from capacity.errors import CapacityError
from capacity.record.step import core_share
from stampede.generator_faults import Fault
from stampede.measure.figures import Figures, figures_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from capacity.measure.instant import ServerSample
    from stampede.measure.log_linear_histogram import LogLinearHistogram
    from stampede.measure.snapshot import Snapshot, Worker


class MissingDataError(CapacityError):
    """Two instants have no meaningful difference: something was restarted, vanished, or stood still."""


@dataclass(frozen=True, slots=True)
class WorkerWindow:
    """One process of the load generator during a window; `cpu` in cores, lags in milliseconds."""

    index: int
    users: int
    cpu: float
    loop_lag_p99_ms: float | None
    send_lag_p99_ms: float | None
    rss_bytes: int
    age_s: float


@dataclass(slots=True, kw_only=True)
class ClientWindow(Figures):
    """The figures of the clients in a window: everything that counts is of the window alone.

    Attributes:
        seconds: length of the window.
        room_size: mean number of ready users in a room at its end.
        workers: the processes of the load generator.
        faults: limits and errors of the generator's own side that occurred in the window.
    """

    seconds: float
    room_size: float | None
    workers: tuple[WorkerWindow, ...]
    faults: tuple[Fault, ...] = ()

    @property
    def keeping_up(self) -> float | None:
        """Share of the expected deliveries that arrived or are known to be lost; None without any expected."""
        counts = self.deliveries
        return (counts.received + counts.lost) / counts.expected if counts.expected else None


@dataclass(frozen=True, slots=True)
class ServerWindow:
    """What the server used during a window; every figure is None where nothing tells it.

    Attributes:
        cpu: CPU of the server process in cores.
        core_busy: use of the core it is pinned to, by anybody, in cores; `core_stolen` went to other machines.
        processes: how many server processes are added up; `cpu_busiest`: CPU of the busiest of them.
        problem: why figures that should be there are not: silence, a restart.
    """

    cpu: float | None = None
    core_busy: float | None = None
    core_stolen: float | None = None
    loop_lag_p99_ms: float | None = None
    rss_bytes: int | None = None
    memory_bytes: int | None = None
    fds: int | None = None
    fds_limit: int | None = None
    connections: int | None = None
    delivered: int | None = None
    dropped: int | None = None
    kills: int | None = None
    sent_bytes_per_s: float | None = None
    processes: int = 1
    cpu_busiest: float | None = None
    problem: str | None = None

    @property
    def core_share(self) -> float | None:
        """Share of its core that the busiest server process used."""
        return core_share(self.cpu, self.cpu_busiest, self.processes)

    @property
    def core_foreign(self) -> float | None:
        """Share of the server's cores, one a process, that others used: not the server, or not this machine."""
        if self.cpu is None or self.core_busy is None:
            return None
        return (max(0.0, self.core_busy - self.cpu) + (self.core_stolen or 0.0)) / self.processes


def client_window(before: Snapshot, after: Snapshot) -> ClientWindow:
    """Return what the clients did between two snapshots.

    Raises:
        MissingDataError: no time passed, a counter went down, or the generator's processes changed.
    """
    seconds = after.instant_s - before.instant_s
    if seconds <= 0:
        raise MissingDataError("the load generator's figures stand still")
    earlier = {worker.id: worker for worker in before.workers}
    if {worker.id for worker in after.workers} != set(earlier):
        raise MissingDataError("the load generator's processes changed during the window")
    try:
        figures = after.since(before)
    except ValueError as error:
        raise MissingDataError(str(error)) from None
    sends, deliveries = figures.sends, figures.deliveries
    falling = (sends.intended, sends.sent, deliveries.received, deliveries.lost, figures.failures, figures.operations)
    if min(falling) < 0:
        raise MissingDataError("a counter of the load generator went down: it was restarted")
    return ClientWindow(
        **figures_in(figures),
        seconds=seconds,
        room_size=after.room_size,
        workers=tuple(_worker(earlier[worker.id], worker, before, after) for worker in after.workers),
        faults=new_faults(before.faults, after.faults),
    )


def new_faults(before: Sequence[Fault], after: Sequence[Fault]) -> tuple[Fault, ...]:
    """Return the faults of the load generator that came up in between, and how often."""
    known = {(fault.kind, fault.detail): fault.count for fault in before}
    new = (Fault(one.kind, one.detail, one.count - known.get((one.kind, one.detail), 0)) for one in after)
    return tuple(fault for fault in new if fault.count > 0)


def _p99_since(before: LogLinearHistogram, after: LogLinearHistogram) -> float | None:
    try:
        return quantile_ms(after - before, 0.99)
    except ValueError as error:
        raise MissingDataError(str(error)) from None


def _worker(before: Worker, after: Worker, first: Snapshot, last: Snapshot) -> WorkerWindow:
    seconds = (last.monotonic_ns - first.monotonic_ns) / 1e9 - (after.age_s - before.age_s)
    if seconds <= 0:
        raise MissingDataError(f"worker {after.index} of the load generator has not reported since the window began")
    return WorkerWindow(
        index=after.index,
        users=after.users,
        cpu=(after.cpu_seconds - before.cpu_seconds) / seconds,
        loop_lag_p99_ms=_p99_since(before.loop_lag, after.loop_lag),
        send_lag_p99_ms=_p99_since(before.send_lag, after.send_lag),
        rss_bytes=after.rss_bytes,
        age_s=after.age_s,
    )


def quantile_ms(histogram: LogLinearHistogram, rank: float) -> float | None:
    """Return a quantile in milliseconds, or None when the histogram is empty."""
    value = histogram.quantile(rank)
    return None if value is None else value / 1e6


def mean_ms(histogram: LogLinearHistogram) -> float | None:
    """Return the mean in milliseconds, or None when the histogram is empty."""
    value = histogram.mean()
    return None if value is None else value / 1e6


def server_window(before: ServerSample | None, after: ServerSample | None) -> ServerWindow:
    """Return what the server used between two samples; None throughout, and why, when they have no difference."""
    if before is None or after is None:
        return ServerWindow()
    problem = before.problem or after.problem
    if before.processes != after.processes or before.started_at != after.started_at:
        return ServerWindow(problem=problem or "the server was restarted during the window")
    if after.at_s <= before.at_s:
        return ServerWindow(problem=problem or "the server's metrics stand still: no new sample in the window")
    seconds = after.at_s - before.at_s
    return ServerWindow(
        cpu=_rate(before.cpu_seconds, after.cpu_seconds, seconds),
        core_busy=_rate(before.core_busy_s, after.core_busy_s, seconds),
        core_stolen=_rate(before.core_steal_s, after.core_steal_s, seconds),
        loop_lag_p99_ms=_lag_p99_ms(before.lag_buckets, after.lag_buckets),
        rss_bytes=after.rss_bytes,
        memory_bytes=after.memory_bytes,
        fds=after.fds,
        fds_limit=after.fds_limit,
        connections=after.connections,
        delivered=_gain(before.delivered, after.delivered),
        dropped=_gain(before.dropped, after.dropped),
        kills=_gain(before.kills, after.kills),
        sent_bytes_per_s=_page_rate(before, after),
        processes=after.processes,
        cpu_busiest=_busiest(before, after),
        problem=problem,
    )


def _page_rate(before: ServerSample, after: ServerSample) -> float | None:
    """Return bytes sent per second between two pages, which were taken at moments of their own."""
    if before.page_at_s is None or after.page_at_s is None or after.page_at_s <= before.page_at_s:
        return None
    return _rate(before.sent_bytes, after.sent_bytes, after.page_at_s - before.page_at_s)


def _busiest(before: ServerSample, after: ServerSample) -> float | None:
    """Return the CPU of the busiest process by their own pages."""
    if before.cpu_parts is None or after.cpu_parts is None:
        return None
    if before.page_at_s is None or after.page_at_s is None or after.page_at_s <= before.page_at_s:
        return None
    seconds = after.page_at_s - before.page_at_s
    return max((now - then) / seconds for then, now in zip(before.cpu_parts, after.cpu_parts, strict=True))


def _gain(before: int | None, after: int | None) -> int | None:
    return after - before if before is not None and after is not None and after >= before else None


def _rate(before: float | None, after: float | None, seconds: float) -> float | None:
    return (after - before) / seconds if before is not None and after is not None and after >= before else None


def _lag_p99_ms(before: Mapping[float, float] | None, after: Mapping[float, float] | None) -> float | None:
    """Estimate p99 as Prometheus's `histogram_quantile` does: linear within the bucket, capped at the last bound."""
    if not before or not after or set(before) != set(after):
        return None
    counts = [(bound, after[bound] - before[bound]) for bound in sorted(after)]
    total = counts[-1][1]
    if total <= 0:
        return None
    rank = 0.99 * total
    for (low, below), (high, count) in pairwise([(0.0, 0.0), *counts]):
        if count >= rank:
            if high == float("inf"):
                return low * 1000
            return (low + (high - low) * (rank - below) / (count - below)) * 1000
    return None
