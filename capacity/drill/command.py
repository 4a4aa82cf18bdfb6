"""The command of a drill: runs through the shell in its own process group, with its output in a file."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from capacity.processes.child_processes import ChildProcesses
    from capacity.processes.process import ChildProcess

_KEPT_BYTES: Final = 64 * 1024
_LARGEST_BYTES: Final = 16 * 1024 * 1024
_SHOWN_LINES: Final = 20
_SIGNALLED: Final = 128
"""A shell shows the number of the signal that ended a command plus this number."""


@dataclass(slots=True)
class Command:
    """A command that has started.

    Attributes:
        process: the shell; `clock`: monotonic clock in seconds.
        began: when it started; `seconds` is how long it ran, None before `poll` or `end` has noticed its end.
        exit_code: as a shell shows it; None before that, and if `end` ended it.
    """

    process: ChildProcess
    clock: Callable[[], float]
    began: float
    _output: Path
    exit_code: int | None = None
    seconds: float | None = None
    _cut: bytes = field(default=b"")

    @classmethod
    def start(
        cls,
        text: str,
        *,
        environment: Mapping[str, str],
        folder: Path,
        cores: Sequence[int],
        children: ChildProcesses,
        clock: Callable[[], float] = time.monotonic,
    ) -> Command:
        """Start a command in the present folder, as one of `children`.

        Args:
            text: the command, for `sh -c`.
            environment: added to the environment of this program.
            folder: for the output.
            cores: that the command may use.
            children: the processes of the run.
            clock: monotonic clock in seconds.
        """
        output = folder / "command.log"
        process = children.start(
            "the command",
            ["sh", "-c", text],
            output=output,
            cwd=Path.cwd(),
            cores=cores,
            environment=os.environ | environment,
        )
        return cls(process, clock, clock(), output)

    def poll(self) -> bool:
        """Return whether the command has ended. Its background processes may go on after it."""
        if self.seconds is not None:
            return True
        code = self.process.wait(0)
        if code is None:
            self._limit_output()
            return False
        self.seconds = self.clock() - self.began
        self.exit_code = code if code >= 0 else _SIGNALLED - code
        return True

    def end(self) -> None:
        """End the command and its process group."""
        self.process.end()
        self.seconds = self.clock() - self.began

    @property
    def last_lines(self) -> list[str]:
        """The last lines of its output that are not empty."""
        text = (self._cut + self._tail()).decode(errors="replace")
        return [line.rstrip() for line in text.splitlines() if line.strip()][-_SHOWN_LINES:]

    def _tail(self) -> bytes:
        with self._output.open("rb") as output:
            output.seek(max(0, self._output.stat().st_size - _KEPT_BYTES))
            return output.read()

    def _limit_output(self) -> None:
        """Empty the file when it has become large; its end is kept. The command appends to it."""
        if self._output.stat().st_size > _LARGEST_BYTES:
            self._cut = self._tail()
            os.truncate(self._output, 0)
