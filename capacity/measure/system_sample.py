"""What the operating system knows about a server on this machine, at one moment and during a window. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    _Thread = tuple[int, int]


@dataclass(frozen=True, slots=True)
class SystemSample:
    """The processes of a server at one moment. Seconds and counts are cumulative; None means unknown.

    Attributes:
        at_s: time of the reading on this process's monotonic clock.
        roots: process id and start time of the processes from which all others descend; a change means a restart.
        processes: number of processes.
        cpu_seconds: CPU time of all processes, including those that have ended.
        threads: CPU time of each thread, by process id and thread id; `waits`: time for which it was ready to run, but
            had no core.
        rss_bytes: resident memory of all processes.
        fds: open file descriptors of the process that is nearest to its limit, `fds_limit`.
        switches: context switches of all threads.
        cores_allowed: number of cores that the processes may use, by affinity and CPU quota.
        quota: CPU quota of the control group in cores; `throttled_s`: seconds for which it stopped the processes.
        group_memory_bytes: memory of the control group, of `group_memory_limit_bytes`.
        killed: processes that the kernel killed for lack of memory.
        memory_bytes, memory_available_bytes: memory of the machine.
        listen_overflows: connections that found the listen queue of their socket full; `somaxconn`: the longest queue
            that the system allows.
        tracked: entries of the connection tracking table, of `tracked_limit`.
    """

    at_s: float
    roots: tuple[tuple[int, float], ...]
    processes: int
    cpu_seconds: float
    rss_bytes: int
    cores_allowed: float
    memory_bytes: int
    memory_available_bytes: int
    threads: Mapping[_Thread, float] | None = None
    waits: Mapping[_Thread, float] | None = None
    fds: int | None = None
    fds_limit: int | None = None
    switches: int | None = None
    quota: float | None = None
    throttled_s: float = 0.0
    group_memory_bytes: int | None = None
    group_memory_limit_bytes: int | None = None
    killed: int = 0
    listen_overflows: int | None = None
    somaxconn: int | None = None
    tracked: int | None = None
    tracked_limit: int | None = None


@dataclass(frozen=True, slots=True)
class SystemWindow:
    """The processes of a server during a window; the other figures are those of its last sample.

    Attributes:
        busiest_thread: cores used by the busiest thread.
        waited_s: seconds for which threads were ready to run, but had no core, of all threads.
        runnable: largest share of the window for which one thread ran or was ready to run.
        throttled_share: share of the window for which the CPU quota stopped the processes.
        killed: processes that the kernel killed for lack of memory since the users began to join.
        listen_overflows: connections that found the listen queue of their socket full since then.
    """

    processes: int
    busiest_thread: float | None
    cores_allowed: float
    quota: float | None
    throttled_share: float | None
    switches_per_s: float | None
    group_memory_bytes: int | None
    group_memory_limit_bytes: int | None
    memory_available_bytes: int
    killed: int
    listen_overflows: int | None
    somaxconn: int | None
    tracked: int | None
    tracked_limit: int | None
    waited_s: float | None = None
    runnable: float | None = None


def system_window(before: SystemSample, after: SystemSample, joining: SystemSample | None = None) -> SystemWindow:
    """Return the difference of two samples of the same server.

    Args:
        before: the sample at the start of the window.
        after: the sample at its end.
        joining: the sample when the users began to join; default: the start of the window.
    """
    start = joining if joining is not None and joining.roots == before.roots else before
    seconds = after.at_s - before.at_s
    throttled = min(1.0, (after.throttled_s - before.throttled_s) / seconds)
    switches = _gain(before.switches, after.switches)
    used, waited = _gains(before.threads, after.threads), _gains(before.waits, after.waits)
    return SystemWindow(
        processes=after.processes,
        busiest_thread=None if used is None else min(1.0, max(used.values(), default=0.0) / seconds),
        cores_allowed=after.cores_allowed,
        quota=after.quota,
        throttled_share=None if after.quota is None else throttled,
        switches_per_s=None if switches is None else switches / seconds,
        group_memory_bytes=after.group_memory_bytes,
        group_memory_limit_bytes=after.group_memory_limit_bytes,
        memory_available_bytes=after.memory_available_bytes,
        killed=max(0, after.killed - start.killed),
        listen_overflows=_gain(start.listen_overflows, after.listen_overflows),
        somaxconn=after.somaxconn,
        tracked=after.tracked,
        tracked_limit=after.tracked_limit,
        waited_s=None if waited is None else sum(waited.values()),
        runnable=_runnable(used, waited, seconds),
    )


def _gains(
    before: Mapping[_Thread, float] | None, after: Mapping[_Thread, float] | None
) -> dict[_Thread, float] | None:
    """Return the seconds of each thread in the window. A thread that has started in it began at zero."""
    if before is None or after is None:
        return None
    return {key: now - before.get(key, 0.0) for key, now in after.items()}


def _runnable(
    used: Mapping[_Thread, float] | None, waited: Mapping[_Thread, float] | None, seconds: float
) -> float | None:
    """Return the largest share of the window for which one thread ran or was ready to run."""
    if used is None or waited is None:
        return None
    return min(1.0, max((used[key] + waited.get(key, 0.0) for key in used), default=0.0) / seconds)


def _gain(before: int | None, after: int | None) -> int | None:
    return after - before if before is not None and after is not None and after >= before else None
