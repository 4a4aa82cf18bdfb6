"""The processes of a run, ended together whatever happens, and whenever.

A stop, Ctrl-C or SIGTERM, is an exception that may come between any two steps of this program: between the start of a
process and the statement that would remember it, and just as its end begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from capacity.processes.process import ChildProcess, stops_postponed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Children:
    """Processes that end when the block of this is left, the latest first."""

    __slots__ = ("_running",)

    def __init__(self) -> None:
        self._running: list[ChildProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.end()

    def start(
        self, name: str, command: Sequence[str], *, output: Path, cwd: Path, cores: Sequence[int]
    ) -> ChildProcess:
        """Start a process, as `ChildProcess` does; a stop that comes meanwhile finds it here."""
        with stops_postponed():
            process = ChildProcess(name, command, output=output, cwd=cwd, cores=cores)
            self._running.append(process)
        return process

    def check(self) -> None:
        """Raise RunError when one of them has ended by itself."""
        for process in self._running:
            process.check()

    def end(self) -> None:
        """End all that still run; where a stop cuts in, those that are left are there for the next call."""
        while self._running:
            self._running[-1].end()
            self._running.pop()
