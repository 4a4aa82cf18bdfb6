"""The limits of a machine and its control groups, and their use by a process, read from the files of Linux.

On other systems, or where a file is missing, a figure is unknown, and no fault is reported for it.
"""

from __future__ import annotations

import math
import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stampede.generator_faults import FaultKind

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT: Final = Path("/")
_UNLIMITED: Final = 1 << 60  # control groups of version 1 use a number near the maximum
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """One reading. Seconds and counts are cumulative: subtract two readings.

    Attributes:
        cores: cores that the process may run on.
        idle: seconds that these cores were idle; `stolen` are seconds withheld by the hypervisor.
        quota: CPU quota of the control group in cores; `throttled` are seconds for which it stopped the process.
        memory: bytes of the control group that cannot be reclaimed, of `memory_limit`.
        killed: processes that the kernel killed for lack of memory.
        tracked: entries in the connection tracking table, of `tracked_limit`; unknown for a process in another network
            namespace.
    """

    cores: int = 1
    idle: float | None = None
    stolen: float = 0.0
    quota: float | None = None
    throttled: float = 0.0
    memory: int = 0
    memory_limit: int | None = None
    killed: int = 0
    tracked: int = 0
    tracked_limit: int | None = None


def usage(root: Path = _ROOT, pid: int | None = None) -> Usage:
    """Return a reading of this machine for a process.

    Args:
        root: root of the file system.
        pid: the process; None for this one.

    Raises:
        ProcessLookupError: there is no such process.
    """
    cores = os.sched_getaffinity(pid or 0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    process = root / "proc" / (str(pid) if pid else "self")
    idle, stolen = _core_seconds(root, cores)
    quota, throttled = _cpu(root, process)
    memory, memory_limit, killed = _memory(root, process)
    conntrack = root / "proc/sys/net/netfilter"
    is_same_network = _target(process / "ns/net") == _target(root / "proc/self/ns/net")
    return Usage(
        cores=len(cores),
        idle=idle,
        stolen=stolen,
        quota=quota,
        throttled=throttled,
        memory=memory,
        memory_limit=memory_limit,
        killed=killed,
        tracked=_number(conntrack / "nf_conntrack_count") or 0,
        tracked_limit=_number(conntrack / "nf_conntrack_max") if is_same_network else None,
    )


def limit_of(kind: FaultKind) -> str:
    """Return the setting behind a fault and its present value, e.g. `ulimit -n is 1024`; empty if there is none."""
    if kind is FaultKind.PORTS:
        ports = _text(_ROOT / "proc/sys/net/ipv4/ip_local_port_range").split()
        return f"net.ipv4.ip_local_port_range is {' to '.join(ports)}" if ports else ""
    if kind is FaultKind.FILES:
        return f"ulimit -n is {resource.getrlimit(resource.RLIMIT_NOFILE)[0]}"
    return ""


def _core_seconds(root: Path, cores: set[int]) -> tuple[float | None, float]:
    """Return the idle and stolen seconds of some cores; see proc_stat(5)."""
    rows = [line.split() for line in _text(root / "proc/stat").splitlines()]
    ours = [row[1:] for row in rows if row and row[0] in {f"cpu{core}" for core in cores}]
    if not ours:
        return None, 0.0
    idle = sum(int(row[3]) + int(row[4]) for row in ours) / _TICKS
    return idle, sum(int(row[7]) for row in ours if len(row) > 7) / _TICKS


def _cpu(root: Path, process: Path) -> tuple[float | None, float]:
    """Return the smallest quota in cores, and the seconds for which it stopped the process."""
    quota, throttled = None, 0.0
    for group in _groups(root, process, "cpu"):
        allowed = _text(group / "cpu.max").split()
        if not allowed:
            allowed = [_text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")]
        if not all(part.isdigit() for part in allowed):
            continue  # "max", or -1
        quota = min(quota or math.inf, int(allowed[0]) / int(allowed[1]))
        stat = _table(group / "cpu.stat")
        throttled = max(throttled, stat.get("throttled_usec", 0) / 1e6, stat.get("throttled_time", 0) / 1e9)
    return quota, throttled


def _memory(root: Path, process: Path) -> tuple[int, int | None, int]:
    """Return used bytes and limit of the group nearest to its limit, and the number of killed processes."""
    used, limit, killed = 0, None, 0
    for group in _groups(root, process, "memory"):
        events = _table(group / "memory.events") or _table(group / "memory.oom_control")
        killed = max(killed, events.get("oom_kill", 0))
        most = _number(group / "memory.max") or _number(group / "memory.limit_in_bytes")
        if most is None or most >= _UNLIMITED:
            continue
        stat = _table(group / "memory.stat")
        parts = ("anon", "sock", "slab_unreclaimable", "kernel_stack", "total_rss")
        held = sum(stat.get(part, 0) for part in parts) + (_number(group / "memory.kmem.usage_in_bytes") or 0)
        if limit is None or held / most > used / limit:
            used, limit = held, most
    return used, limit, killed


def _groups(root: Path, process: Path, controller: str) -> Iterator[Path]:
    """Yield the control group of a process for a controller, and its parents: each may have a limit."""
    paths: dict[str, str] = {}
    for line in _text(process / "cgroup").splitlines():
        _, names, path = line.split(":", 2)
        paths |= dict.fromkeys(names.split(","), path)
    mounts = root / "sys/fs/cgroup"
    if controller in paths:
        base, own = mounts / controller, paths[controller]
    else:
        base, own = mounts, paths.get("", "/")
    group = base / own.lstrip("/")
    if not group.is_dir():
        group = base  # a container sees its own group as root
    while True:
        yield group
        if group == base:
            return
        group = group.parent


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None


def _table(path: Path) -> dict[str, int]:
    rows = [line.split() for line in _text(path).splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}
