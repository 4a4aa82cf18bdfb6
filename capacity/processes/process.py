"""Start and end the processes of a run: each in a group of its own, pinned to cores, its output kept in a file.

Only groups that were started here are ever signalled. Nothing of them survives `end()`: not after a failure, not
after Ctrl-C, and not when the leader died by itself and left children behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeVar

import psutil

from capacity.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

T = TypeVar("T")

_STOPS: Final = (signal.SIGINT, signal.SIGTERM)
_POLL_S: Final = 0.02
_GRACE_S: Final = 5.0
_SHOWING_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Cores:
    """Which cores belong to the server and which to the load generator; empty means not pinned.

    Where they are the same, there were too few: `shared`.
    """

    server: tuple[int, ...]
    generator: tuple[int, ...]

    @classmethod
    def share(cls, usable: Sequence[int], *, own_server: bool, workers: int = 1) -> Self:
        """Give the last usable cores to the server that we start, one a process, the others to the load generator."""
        if not own_server or len(usable) < 2:
            return cls((), tuple(usable))
        if workers >= len(usable):
            return cls(tuple(usable), tuple(usable))
        return cls(tuple(usable[-workers:]), tuple(usable[:-workers]))

    @property
    def shared(self) -> bool:
        """Whether server and load generator run on the same cores."""
        return bool(self.server) and self.server == self.generator


def usable_cores() -> tuple[int, ...]:
    """Return the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def pin(cores: Sequence[int]) -> None:
    """Bind this thread, and whatever it starts from now on, to cores where the system can; no cores change nothing."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


@contextlib.contextmanager
def pinned(cores: Sequence[int]) -> Iterator[None]:
    """Run on `cores`, and start processes there: bound from their first instruction, not some time afterwards."""
    before = usable_cores()
    pin(cores)
    try:
        yield
    finally:
        pin(before)


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def stops_postponed() -> Iterator[None]:
    """Handle Ctrl-C and SIGTERM at the end of the block.

    They are not blocked: a process started here would inherit that, and a thread of a library would take them
    instead, so that Python would still run the handler in mid-block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python runs handlers in the main thread only
        return
    came: list[int] = []
    handlers = {stop: handler for stop in _STOPS if (handler := signal.getsignal(stop)) is not None}
    try:
        with contextlib.ExitStack() as restored:
            for stop, handler in handlers.items():
                restored.callback(signal.signal, stop, handler)
                signal.signal(stop, lambda number, _frame: came.append(number))
            yield
    finally:
        for number in came[:1]:
            handler = handlers[signal.Signals(number)]
            if callable(handler):
                handler(number, None)  # here and now: when Python runs it after `raise_signal` differs by version
            else:
                signal.raise_signal(number)


class ChildProcess:
    """A process of ours and its whole group."""

    __slots__ = ("_is_over", "_name", "_output", "_process")

    def __init__(self, name: str, command: Sequence[str], *, output: Path, cwd: Path, cores: Sequence[int]) -> None:
        """Start `command`, its output going to the file `output`; `name` is what messages call it."""
        self._is_over = False
        self._name = name
        self._output = output
        with output.open("wb") as sink, pinned(cores):
            # A group of its own: Ctrl-C at the terminal reaches only us, and we end the group in our own order.
            self._process = subprocess.Popen(  # noqa: S603 - our own modules, arguments never pass a shell
                command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, cwd=cwd, start_new_session=True
            )

    @property
    def pid(self) -> int:
        """Process id of the leader."""
        return self._process.pid

    def check(self) -> None:
        """Raise RunError when the process has ended by itself."""
        code = self._process.poll()
        if code is None:
            return
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        last = self.last_line()
        raise RunError(f"{self._name} {how}{f': {last}' if last and code > 0 else ''}", code)

    def check_soon(self) -> None:
        """As `check`, for one that has just fallen silent: its end may take a moment to show."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SHOWING_S)
        self.check()

    def last_line(self) -> str:
        """Return the last line it wrote that is not empty."""
        lines = [line.strip() for line in self.output().splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def output(self) -> str:
        """Return everything it wrote so far."""
        return self._output.read_text(errors="replace")

    def wait_until(self, ready: Callable[[], T | None], *, timeout_s: float, what: str) -> T:
        """Return the first result of `ready` that is not None.

        Raises:
            RunError: the process ended before, or the time was up.
        """
        deadline = time.monotonic() + timeout_s
        while (result := ready()) is None:
            self.check()
            if time.monotonic() > deadline:
                raise RunError(f"{self._name} did not {what} within {timeout_s:.0f} s")
            time.sleep(_POLL_S)
        return result

    def end(self) -> None:
        """End the whole group: SIGTERM, and after some seconds SIGKILL; not even Ctrl-C comes between."""
        with stops_postponed():
            if not self._is_over:  # the system may give its number to another process afterwards
                self._end()
                self._is_over = True

    def _end(self) -> None:
        members = self._members()
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)
        psutil.wait_procs(members, timeout=1.0)
        self._signal(signal.SIGKILL)
        self._process.wait()
        psutil.wait_procs(members, timeout=1.0)

    def family(self) -> list[psutil.Process]:
        """Return the process and all that it started."""
        return [psutil.Process(self._process.pid), *self._members()]

    def _members(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
