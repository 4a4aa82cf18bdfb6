"""Start and stop the processes that are measured, pin them to CPUs, and read their CPU time and memory."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Cpus = tuple[int, int] | None

ROOT: Final = Path(__file__).resolve().parent.parent
LOOPBACK: Final = ("--host", "127.0.0.1", "--port", "0")

_URL: Final = re.compile(r"ws://\S+")
_STOP_SECONDS: Final = 10


class BenchmarkError(Exception):
    """A process cannot be started or measured; the text is one line for the user."""


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A server that accepts connections: its URL without a path, and its process."""

    url: str
    process: subprocess.Popen[str]


def stampede_command(*flags: str) -> list[str]:
    """Return the command of our own server, with further flags.

    The message rate is raised, because a few clients offer more than any server can take.
    """
    limits = ("--message-rate", "100000", "--drain-seconds", "0")
    quiet = ("--log-level", "warning")  # keep the log out of the printed tables
    return [sys.executable, "-m", "server", *LOOPBACK, *limits, *quiet, *flags]


@contextmanager
def running(command: Sequence[str], cpu: int | None = None) -> Iterator[ServerProcess]:
    """Run a server until the block ends, optionally on one CPU; its first line must contain its ws:// URL.

    Raises:
        BenchmarkError: the process ended, or printed something else, before it listened.
    """
    process = _start(command, cpu)
    try:
        assert process.stdout is not None  # noqa: S101 - Popen was asked for a pipe
        line = process.stdout.readline()
        found = _URL.search(line)
        if found is None:
            raise BenchmarkError(f"{' '.join(command)} did not print its URL: {line.strip() or 'it ended'}")
        yield ServerProcess(found[0].rstrip("/"), process)
    finally:
        _stop(process)


def _start(command: Sequence[str], cpu: int | None) -> subprocess.Popen[str]:
    # A child inherits the affinity of the thread that starts it, and passes it on to all of its threads. Setting the
    # affinity from outside afterwards would miss the threads that already run.
    with pinned(cpu):
        try:
            return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)  # noqa: S603 - our own commands
        except OSError as problem:
            raise BenchmarkError(f"cannot start {command[0]}: {problem.strerror}") from None


def _stop(process: subprocess.Popen[str]) -> None:
    with process:  # closes the pipe and waits
        try:
            process.send_signal(signal.SIGTERM)
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:  # also after KeyboardInterrupt during the wait
            if process.poll() is None:
                process.kill()


def separate_cpus() -> Cpus:
    """Return one CPU for the server and one for the driver; None on a machine with a single CPU."""
    available = sorted(os.sched_getaffinity(0))
    return (available[-1], available[0]) if len(available) > 1 else None


@contextmanager
def pinned(cpu: int | None) -> Iterator[None]:
    """Keep this thread on one CPU until the block ends; None changes nothing."""
    before = os.sched_getaffinity(0)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(*pids: int) -> float:
    """Return the CPU seconds that all threads of some processes have used (Linux, sched-stats.rst)."""
    threads = (thread for pid in pids for thread in Path(f"/proc/{pid}/task").iterdir())
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def waited_seconds(pid: int) -> float:
    """Return how long a process's main thread was runnable without a CPU (Linux, sched-stats.rst)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
