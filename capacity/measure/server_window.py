"""The server during a window: the difference of two samples. Pure.

Restarts are detected, and missing figures are None.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from capacity.measure.system_sample import system_window
from capacity.record.step import core_share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from capacity.measure.server_sample import ServerSample
    from capacity.measure.system_sample import SystemWindow


_RESTARTED: Final = "the server was restarted during the window"
_OTHER_PAGE: Final = (
    "the metrics were those of another process at the end of the window: the server restarted a process, or several "
    "share the address (then give --metrics for each)"
)


@dataclass(frozen=True, slots=True)
class ServerWindow:
    """The server during a window; a figure that no source provides is None.

    Attributes:
        cpu: cores used by the server.
        core_busy: use of the core that the server is pinned to, by any process; `core_stolen`: by other machines.
        processes: number of processes that are summed; `cpu_busiest`: cores used by the busiest.
        problem: why figures are missing that were available before.
        system: further figures of the operating system, for a server on this machine.
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
    system: SystemWindow | None = None

    @property
    def core_share(self) -> float | None:
        """Use of the core or cores that limit the server; 1 is full."""
        system = self.system
        return core_share(
            self.cpu,
            self.cpu_busiest,
            self.processes,
            busiest_thread=system.busiest_thread if system else None,
            cores=system.cores_allowed if system else None,
        )

    @property
    def core_foreign(self) -> float | None:
        """Share of the server's cores, one for each process, that other processes or machines used."""
        if self.cpu is None or self.core_busy is None:
            return None
        return (max(0.0, self.core_busy - self.cpu) + (self.core_stolen or 0.0)) / self.processes


def server_window(
    before: ServerSample | None,
    after: ServerSample | None,
    during: Sequence[ServerSample] = (),
    joining: ServerSample | None = None,
) -> ServerWindow:
    """Return the server between two samples; without a valid difference, only the problem is set.

    Args:
        before: the sample at the start of the window.
        after: the sample at its end.
        during: the samples between them; of a gauge such as the lag of Node's client, which each reading resets, the
            largest counts.
        joining: the sample when the users began to join, for events that only joining users cause.
    """
    if before is None or after is None:
        return ServerWindow()
    problem = before.problem or after.problem
    if before.system and after.system and before.system.roots != after.system.roots:
        return ServerWindow(problem=_RESTARTED)
    if before.processes != after.processes or _is_another_process(before, after):
        if not (before.system and after.system):
            return ServerWindow(problem=problem or _RESTARTED)
        before, problem = _without_page(before), problem or _OTHER_PAGE
    if after.at_s <= before.at_s:
        return ServerWindow(problem=problem or "the server's metrics do not change: no new sample in the window")
    seconds = after.at_s - before.at_s
    system = None
    if before.system and after.system:
        system = system_window(before.system, after.system, joining.system if joining else None)
    return ServerWindow(
        cpu=_rate(before.cpu_seconds, after.cpu_seconds, seconds),
        core_busy=_rate(before.core_busy_s, after.core_busy_s, seconds),
        core_stolen=_rate(before.core_steal_s, after.core_steal_s, seconds),
        loop_lag_p99_ms=_loop_lag_ms(before, after, during),
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
        system=system,
    )


def _is_another_process(before: ServerSample, after: ServerSample) -> bool:
    """Return whether the metrics are those of another process; a page that could not be read says nothing."""
    return None not in (before.started_at, after.started_at) and before.started_at != after.started_at


def _without_page(sample: ServerSample) -> ServerSample:
    """Return a sample without the figures of metrics pages that only differences of the same process have."""
    return replace(
        sample,
        delivered=None,
        dropped=None,
        kills=None,
        sent_bytes=None,
        lag_buckets=None,
        cpu_parts=None,
        page_at_s=None,
    )


def _page_rate(before: ServerSample, after: ServerSample) -> float | None:
    """Return bytes sent per second between two metrics pages, by the times of the pages."""
    seconds = _page_seconds(before, after)
    return None if seconds is None else _rate(before.sent_bytes, after.sent_bytes, seconds)


def _busiest(before: ServerSample, after: ServerSample) -> float | None:
    """Return the cores used by the busiest process, by the times of the metrics pages."""
    seconds = _page_seconds(before, after)
    if seconds is None or before.cpu_parts is None or after.cpu_parts is None:
        return None
    return max((now - then) / seconds for then, now in zip(before.cpu_parts, after.cpu_parts, strict=True))


def _page_seconds(before: ServerSample, after: ServerSample) -> float | None:
    """Return the seconds between two metrics pages; None without two pages of different times."""
    if before.page_at_s is None or after.page_at_s is None or after.page_at_s <= before.page_at_s:
        return None
    return after.page_at_s - before.page_at_s


def _gain(before: int | None, after: int | None) -> int | None:
    return after - before if before is not None and after is not None and after >= before else None


def _rate(before: float | None, after: float | None, seconds: float) -> float | None:
    return (after - before) / seconds if before is not None and after is not None and after >= before else None


def _loop_lag_ms(before: ServerSample, after: ServerSample, during: Sequence[ServerSample]) -> float | None:
    """Return the p99 by the histogram, if there is one; otherwise the largest value of the gauge."""
    p99 = _lag_p99_ms(before.lag_buckets, after.lag_buckets)
    if p99 is not None:
        return p99
    return max((sample.lag_s * 1000 for sample in (*during, after) if sample.lag_s is not None), default=None)


def _lag_p99_ms(before: Mapping[float, float] | None, after: Mapping[float, float] | None) -> float | None:
    """Return p99 as Prometheus' `histogram_quantile` does: linear within the bucket, capped at the last bound."""
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
