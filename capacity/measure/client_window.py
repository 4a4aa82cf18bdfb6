"""The clients during a window: the difference of two snapshots of the load generator. Pure.

Restarts are detected, and missing figures are None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from capacity.errors import CapacityError, RunError
from capacity.measure.workers import worker_name
from stampede.generator_faults import Fault
from stampede.measure.figures import Figures, figures_in
from stampede.measure.snapshot import VERSION, Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stampede.measure.log_linear_histogram import LogLinearHistogram
    from stampede.measure.snapshot import Worker


class MissingDataError(CapacityError):
    """Two readings have no valid difference: a process restarted or ended, or the figures did not change."""


@dataclass(frozen=True, slots=True)
class WorkerWindow:
    """One worker of the load generator during a window; `cpu` in cores, lags in milliseconds, `host` its machine."""

    index: int
    users: int
    cpu: float
    loop_lag_p99_ms: float | None
    send_lag_p99_ms: float | None
    rss_bytes: int
    age_s: float
    host: str = ""
    connections: int | None = None


@dataclass(slots=True, kw_only=True)
class ClientWindow(Figures):
    """The clients during a window; all counts cover only the window.

    Attributes:
        seconds: length of the window.
        room_size: mean number of ready users in a room at its end.
        workers: the workers of the load generator.
        faults: limits and errors on the generator's side in the window.
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


def parse_snapshot(body: bytes) -> Snapshot:
    """Decode the response of `/stampede/snapshot`.

    Raises:
        RunError: the response is not a snapshot, or of another version.
    """
    try:
        snapshot = Snapshot.from_json(body)
    except msgspec.MsgspecError as error:
        raise RunError(f"the load generator's snapshot cannot be read: {error}") from None
    if snapshot.version != VERSION:
        raise RunError(f"the load generator's snapshot has version {snapshot.version}, not {VERSION}")
    return snapshot


def client_window(before: Snapshot, after: Snapshot) -> ClientWindow:
    """Return the clients between two snapshots.

    Raises:
        MissingDataError: no time passed, a counter went down, or the generator's processes changed.
    """
    seconds = after.instant_s - before.instant_s
    if seconds <= 0:
        raise MissingDataError("the load generator's figures do not change")
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
    """Return the faults that occurred between two readings, with their counts."""
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
        name = worker_name(after.index, after.host, len(last.workers))
        raise MissingDataError(f"{name} has not reported since the window began")
    return WorkerWindow(
        index=after.index,
        users=after.users,
        cpu=(after.cpu_seconds - before.cpu_seconds) / seconds,
        loop_lag_p99_ms=_p99_since(before.loop_lag, after.loop_lag),
        send_lag_p99_ms=_p99_since(before.send_lag, after.send_lag),
        rss_bytes=after.rss_bytes,
        age_s=after.age_s,
        host=after.host,
        connections=after.connections,
    )


def quantile_ms(histogram: LogLinearHistogram, rank: float) -> float | None:
    """Return a quantile in milliseconds; None if the histogram is empty."""
    value = histogram.quantile(rank)
    return None if value is None else value / 1e6


def mean_ms(histogram: LogLinearHistogram) -> float | None:
    """Return the mean in milliseconds; None if the histogram is empty."""
    value = histogram.mean()
    return None if value is None else value / 1e6
