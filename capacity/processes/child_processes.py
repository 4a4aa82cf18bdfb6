"""The child processes of a run, ended together.

Ctrl-C and SIGTERM raise an exception that can come between any two statements: after a process was started and before
it is recorded, or while the processes are being ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from capacity.processes.process import ChildProcess
from capacity.signals import deferred_signals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class ChildProcesses:
    """Processes that end when the `with` block ends, the latest first."""

    __slots__ = ("_running",)

    def __init__(self) -> None:
        self._running: list[ChildProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.end()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        output: Path,
        cwd: Path,
        cores: Sequence[int],
        environment: Mapping[str, str] | None = None,
    ) -> ChildProcess:
        """Start a process, as `ChildProcess` does. Signals are handled once the process is recorded."""
        with deferred_signals():
            process = ChildProcess(name, command, output=output, cwd=cwd, cores=cores, environment=environment)
            self._running.append(process)
        return process

    def release(self, process: ChildProcess) -> None:
        """Do not end the descendants of a process that has exited."""
        self._running.remove(process)

    def check(self) -> None:
        """Raise RunError if one of the processes has exited."""
        for process in self._running:
            process.check()

    def end(self) -> None:
        """End all processes. After an interruption, the next call ends those that are left."""
        while self._running:
            self._running[-1].end()
            self._running.pop()
