"""Profile all processes of a server at once, each with the profiler of its runtime."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psutil

from capacity.profile.node_inspector import NodeSampler, is_node
from capacity.profile.py_spy import PySpySampler
from capacity.profile.sampler import ProfileError
from capacity.profile.stacks import merged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from capacity.measure.server_processes import ServerProcesses
    from capacity.processes.child_processes import ChildProcesses
    from capacity.profile.sampler import Sampler
    from capacity.profile.stacks import Profile

NOT_LOCAL: Final = (
    "its process is not visible on this machine: run on the server's machine, as the server's user or root"
)

_SIGNIFICANT_CPU: Final = 0.05


@dataclass(frozen=True, slots=True)
class Profiled:
    """The profile of a server.

    Attributes:
        processes: number of processes in the profile.
        omitted: why processes are not in the profile that used a good part of the server's CPU.
    """

    profile: Profile
    processes: int
    omitted: list[str]


@dataclass(slots=True)
class _Target:
    """A process of the server.

    Attributes:
        cpu_s: CPU time that it used while it was profiled.
        error: why it is not in the profile.
    """

    process: psutil.Process
    sampler: Sampler | None = None
    cpu_s: float = 0.0
    error: str | None = None


class Profiler:
    """Profiles a server."""

    __slots__ = ("_children", "_cores", "_folder", "_processes")

    def __init__(
        self,
        processes: ServerProcesses | None,
        *,
        folder: Path,
        children: ChildProcesses,
        cores: Sequence[int],
    ) -> None:
        """Create a profiler.

        Args:
            processes: the processes of the server; None if they are not known.
            folder: takes the files of the profilers.
            children: ends the profilers at the latest with the run.
            cores: cores for the profilers.
        """
        self._processes = processes
        self._folder = folder
        self._children = children
        self._cores = cores

    def sample(self, seconds: float, wait: Callable[[float], None]) -> Profiled:
        """Profile all processes of the server for some seconds; `wait` waits for them.

        Raises:
            ProfileError: no process can be profiled.
        """
        targets = [_Target(process) for process in (self._processes.members() if self._processes else ())]
        if not targets:
            raise ProfileError(NOT_LOCAL)
        with contextlib.ExitStack() as profilers:
            for target in targets:
                self._start(target, seconds, profilers)
            if all(target.sampler is None for target in targets):
                raise ProfileError(targets[0].error)
            wait(seconds)
            profiles = [profile for target in targets if (profile := _finish(target)) is not None]
        if not profiles:
            raise ProfileError(max(targets, key=lambda target: target.cpu_s).error)
        return Profiled(merged(profiles), len(profiles), _omitted(targets))

    def _start(self, target: _Target, seconds: float, profilers: contextlib.ExitStack) -> None:
        target.cpu_s = _cpu_s(target.process)
        try:
            if is_node(target.process):
                target.sampler = NodeSampler.start(target.process)
            else:
                target.sampler = PySpySampler.start(
                    target.process, seconds, folder=self._folder, children=self._children, cores=self._cores
                )
        except ProfileError as error:
            target.error = str(error)
        else:
            profilers.callback(target.sampler.close)


def _finish(target: _Target) -> Profile | None:
    """Return the samples of a process, and set the CPU time that it used."""
    target.cpu_s = max(0.0, _cpu_s(target.process) - target.cpu_s)
    if target.sampler is None:
        return None
    try:
        return target.sampler.finish()
    except ProfileError as error:
        target.error = str(error)
    return None


def _cpu_s(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        times = process.cpu_times()
        return times.user + times.system
    return 0.0


def _omitted(targets: Sequence[_Target]) -> list[str]:
    total = sum(target.cpu_s for target in targets)
    return [target.error for target in targets if target.error and target.cpu_s >= _SIGNIFICANT_CPU * total > 0]
