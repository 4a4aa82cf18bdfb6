"""A child process with all of its descendants, its output in a file.

The child runs in its own process group, and only that group receives signals. `end()` ends all of its processes: also
after a failure, after Ctrl-C, and if the child exited before its descendants.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Final, TypeVar

import psutil

from capacity.errors import RunError
from capacity.processes.cores import pinned
from capacity.signals import deferred_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")

_POLL_S: Final = 0.02
_TERMINATION_TIMEOUT_S: Final = 10.0  # Locust waits four seconds for a worker that has just ended, then ends the others
_EXIT_DELAY_S: Final = 1.0


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ChildProcess:
    """A child process and its process group."""

    __slots__ = ("_has_ended", "_name", "_output", "_process")

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        output: Path,
        cwd: Path,
        cores: Sequence[int],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start a process.

        Args:
            name: of the process in messages.
            command: to run.
            output: file to which its output is appended.
            cwd: its working directory.
            cores: that it may use.
            environment: its environment; None for that of this process.
        """
        self._has_ended = False
        self._name = name
        self._output = output
        with output.open("ab") as sink, pinned(cores):
            # A separate session: Ctrl-C at the terminal reaches only this program, which ends its children in order.
            self._process = subprocess.Popen(  # noqa: S603 - our own modules, arguments never pass a shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                cwd=cwd,
                env=environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id of the child, which leads its group."""
        return self._process.pid

    def check(self) -> None:
        """Raise RunError if the process has exited."""
        code = self._process.poll()
        if code is None:
            return
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        last = self.last_line()
        raise RunError(f"{self._name} {how}{f': {last}' if last and code > 0 else ''}", code)

    def check_after_silence(self) -> None:
        """Raise RunError if the process exits within a second: a process that stopped responding may be exiting."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_DELAY_S)
        self.check()

    def last_line(self) -> str:
        """Return the last line of its output that is not empty."""
        lines = [line.strip() for line in self.output().splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def output(self) -> str:
        """Return its output so far."""
        return self._output.read_text(errors="replace")

    def wait_until(self, ready: Callable[[], T | None], *, timeout_s: float, what: str) -> T:
        """Return the first result of `ready` that is not None; `what` completes "did not ..." in the error.

        Raises:
            RunError: the process exited first, or the timeout passed.
        """
        deadline = time.monotonic() + timeout_s
        while (result := ready()) is None:
            self.check()
            if time.monotonic() > deadline:
                raise RunError(f"{self._name} did not {what} within {timeout_s:.0f} s")
            time.sleep(_POLL_S)
        return result

    def wait(self, timeout_s: float) -> int | None:
        """Return the exit code once the process has exited; None after the timeout."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout_s)
        return None

    def end(self) -> None:
        """End the whole group: SIGTERM, then SIGKILL after a timeout. Signals to this program are deferred."""
        with deferred_signals():
            if not self._has_ended:  # afterwards the system may reuse the process id
                self._end()
                self._has_ended = True

    def _end(self) -> None:
        descendants = self._descendants()
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_TERMINATION_TIMEOUT_S)
        psutil.wait_procs(descendants, timeout=1.0)
        self._signal(signal.SIGKILL)
        self._process.wait()
        psutil.wait_procs(descendants, timeout=1.0)

    def tree(self) -> list[psutil.Process]:
        """Return the process and all of its descendants."""
        return [psutil.Process(self._process.pid), *self._descendants()]

    def _descendants(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
