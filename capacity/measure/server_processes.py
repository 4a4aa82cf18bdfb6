"""The processes of a server on this machine, read from the operating system."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import psutil

from capacity.errors import UsageError
from capacity.measure.listen_queue import listen_overflows, longest_listen_queue
from capacity.measure.listening import find_listening, listens_at
from capacity.measure.system_sample import SystemSample
from stampede.health.machine import usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_PROC: Final = Path("/proc")
_PROXIES: Final = frozenset(
    {
        "apache2", "caddy", "cloudflared", "docker-proxy", "envoy", "haproxy", "httpd", "kubectl", "nginx", "ngrok",
        "rootlessport", "socat", "ssh", "stunnel", "stunnel4", "traefik", "varnishd",
    }
)  # fmt: skip


class ServerProcesses:
    """The root processes of a server and all of their descendants, which are enumerated for each sample."""

    __slots__ = ("_cpu_lost_s", "_cpu_s", "_find", "_roots")

    def __init__(
        self, roots: Sequence[psutil.Process], find: Callable[[], Sequence[psutil.Process]] | None = None
    ) -> None:
        """Observe root processes.

        Args:
            roots: the root processes.
            find: returns the roots again after one has ended; None if another process is never the same server.
        """
        self._roots = tuple(roots)
        self._find = find
        self._cpu_s = 0.0
        self._cpu_lost_s = 0.0

    @classmethod
    def of_pid(cls, pid: int) -> Self:
        """Observe a process and its descendants.

        Raises:
            UsageError: there is no such process, or this user may not read it.
        """
        try:
            process = psutil.Process(pid)
            process.cpu_times()
            if process.status() != psutil.STATUS_ZOMBIE:
                return cls([process])
        except psutil.AccessDenied:
            raise UsageError(f"--server-pid {pid}: no permission to read this process") from None
        except psutil.NoSuchProcess:
            pass
        raise UsageError(f"--server-pid {pid}: no such process on this machine")

    @classmethod
    def listening_at(cls, url: str) -> Self | None:
        """Observe the processes that listen at a WebSocket URL; None if none is visible on this machine."""
        roots = find_listening(url)
        return cls(roots, lambda: find_listening(url)) if roots else None

    @property
    def proxy(self) -> str | None:
        """Name of the program if it is a well-known proxy, which passes connections on to other processes."""
        for root in self._roots:
            with contextlib.suppress(psutil.Error):
                if (name := root.name()) in _PROXIES:
                    return name
        return None

    def members(self) -> list[psutil.Process]:
        """Return the processes that are running now, the roots first; none if a root has ended for good."""
        if not all(_is_running(root) for root in self._roots):
            found = self._find() if self._find is not None else ()
            if not found:
                return []
            self._roots, self._cpu_s, self._cpu_lost_s = tuple(found), 0.0, 0.0
        members = {root.pid: root for root in self._roots}
        for root in self._roots:
            with contextlib.suppress(psutil.NoSuchProcess):
                members |= {child.pid: child for child in root.children(recursive=True)}
        roots = {root.pid for root in self._roots}
        if (me := members.get(os.getpid())) is not None and me.pid not in roots:
            # An ancestor of this run has started the server, too: this run is no part of it.
            for one in (me, *me.children(recursive=True)):
                members.pop(one.pid, None)
        return list(members.values())

    def cores(self) -> tuple[int, ...]:
        """Return the cores that any of the processes may run on; none if that is unknown."""
        return tuple(sorted(_cores(self.members())))

    def serving(self, port: int) -> int:
        """Return how many of the processes serve a port: those that do not only manage others."""
        members = self.members()
        parents = {pid for one in members if (pid := _parent(one)) is not None}
        leaves = [one for one in members if one.pid not in parents]
        return max(1, sum(listens_at(one, port) for one in leaves) or len(leaves))

    def sample(self) -> SystemSample | None:
        """Read the current figures; None if a root process has ended, or this user may not read it any more."""
        readings = [reading for one in self.members() if (reading := _ProcessReading.of(one)) is not None]
        if not readings:
            return None
        root = self._roots[0]
        try:
            limits = usage(pid=root.pid)
            identities = tuple((one.pid, one.create_time()) for one in self._roots)
        except (psutil.Error, OSError):
            return None
        affinity = len(_cores(one.process for one in readings)) or limits.cores
        memory = psutil.virtual_memory()
        fds, fds_limit = max((one.fds for one in readings), key=_filled)
        return SystemSample(
            at_s=time.monotonic(),
            roots=identities,
            processes=len(readings),
            cpu_seconds=self._count_cpu(sum(one.cpu_s for one in readings)),
            threads=_joined([one.threads for one in readings]),
            waits=_joined([one.waits for one in readings]),
            rss_bytes=sum(one.rss_bytes for one in readings),
            fds=fds,
            fds_limit=fds_limit,
            switches=_sum([one.switches for one in readings]),
            cores_allowed=affinity if limits.quota is None else min(affinity, limits.quota),
            quota=limits.quota,
            throttled_s=limits.throttled,
            group_memory_bytes=None if limits.memory_limit is None else limits.memory,
            group_memory_limit_bytes=limits.memory_limit,
            killed=limits.killed,
            memory_bytes=memory.total,
            memory_available_bytes=memory.available,
            listen_overflows=listen_overflows(root.pid),
            somaxconn=longest_listen_queue(root.pid),
            tracked=None if limits.tracked_limit is None else limits.tracked,
            tracked_limit=limits.tracked_limit,
        )

    def _count_cpu(self, seconds: float) -> float:
        """Return CPU seconds that never fall: a process whose parent ignores its end takes its CPU time with it."""
        if seconds + self._cpu_lost_s < self._cpu_s:
            self._cpu_lost_s = self._cpu_s - seconds
        self._cpu_s = seconds + self._cpu_lost_s
        return self._cpu_s


class _ProcessReading:
    """The figures of one process; those that this user may not read are None."""

    __slots__ = ("cpu_s", "fds", "process", "rss_bytes", "switches", "threads", "waits")

    def __init__(self, process: psutil.Process) -> None:
        self.process = process
        with process.oneshot():
            times = process.cpu_times()
            # A process that has ended counts among the children of its parent.
            self.cpu_s = times.user + times.system + times.children_user + times.children_system
            self.rss_bytes = process.memory_info().rss
        self.threads = _threads(process)
        self.waits = _waits(process)
        self.switches = _switches(process)
        self.fds = _descriptors(process)

    @classmethod
    def of(cls, process: psutil.Process) -> Self | None:
        """Read a process; None if it has ended."""
        try:
            return cls(process)
        except psutil.Error:
            return None


def _is_running(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _parent(process: psutil.Process) -> int | None:
    with contextlib.suppress(psutil.Error):
        return process.ppid()
    return None


def _cores(processes: Iterable[psutil.Process]) -> set[int]:
    cores: set[int] = set()
    for process in processes:
        with contextlib.suppress(psutil.Error, AttributeError):  # systems without affinity
            cores |= set(process.cpu_affinity() or ())
    return cores


def _threads(process: psutil.Process) -> dict[tuple[int, int], float] | None:
    with contextlib.suppress(psutil.AccessDenied):
        return {(process.pid, one.id): one.user_time + one.system_time for one in process.threads()}
    return None


def _waits(process: psutil.Process) -> dict[tuple[int, int], float] | None:
    """Return how long each thread was ready to run, but had no core (Linux, sched-stats.rst)."""
    waits = {}
    try:
        for task in os.scandir(_PROC / str(process.pid) / "task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
                nanoseconds = int(Path(task.path, "schedstat").read_text().split()[1])
                waits[process.pid, int(task.name)] = nanoseconds / 1e9
    except OSError:
        return None
    return waits


def _descriptors(process: psutil.Process) -> tuple[int | None, int | None]:
    """Return the open descriptors and their limit."""
    with contextlib.suppress(psutil.Error, AttributeError):  # systems without limits of other processes
        limit = process.rlimit(psutil.RLIMIT_NOFILE)[0]
        return process.num_fds(), None if limit == psutil.RLIM_INFINITY else limit
    return None, None


def _filled(descriptors: tuple[int | None, int | None]) -> float:
    used, limit = descriptors
    return -1.0 if used is None else used / (limit or float("inf"))


def _switches(process: psutil.Process) -> int | None:
    """Return the context switches of all threads; psutil has only those of the main thread."""
    total = 0
    try:
        for task in os.scandir(_PROC / str(process.pid) / "task"):
            status = Path(task.path, "status").read_text()
            total += sum(int(line.split()[1]) for line in status.splitlines() if "_ctxt_switches:" in line)
    except OSError:
        return None
    return total


def _joined(parts: Sequence[dict[tuple[int, int], float] | None]) -> dict[tuple[int, int], float] | None:
    known = [part for part in parts if part is not None]
    return {key: value for part in known for key, value in part.items()} if len(known) == len(parts) else None


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
