"""A server that a drill restarts on its port, and the server's own record of all its starts."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from tests.capacity.drill.restarting import TIMEOUT_S, end, has_ended
from tests.ports import free_port
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Deployed:
    """A running server.

    Attributes:
        port: of the server; `command` starts it.
        pid_file: file of its process id.
    """

    port: int
    command: tuple[str, ...]
    pid_file: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"ws://{self.address}"

    @property
    def log(self) -> str:
        """The output of all its starts."""
        return self.pid_file.with_suffix(".log").read_text()

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text())

    def restart(self, *flags: str) -> str:
        """Return the command of a shell that restarts it, or starts it first."""
        restarting = [sys.executable, "-m", "tests.capacity.drill.restarting", "--pid", str(self.pid_file), *flags]
        return f"cd {shlex.quote(str(ROOT))} && {shlex.join([*restarting, '--', *self.command])}"

    def stop(self) -> None:
        """Stop it; its log is complete then."""
        if psutil.pid_exists(self.pid) and not has_ended(psutil.Process(self.pid)):
            end(self.pid_file, signal.SIGTERM)

    def closed(self, words: str = "") -> int:
        """Return how many connections of users it has closed or lost in all its starts, by its own log."""
        lines = (line for line in self.log.splitlines() if "connection closed" in line and "username=user-" in line)
        return sum(words in line for line in lines)


@contextmanager
def deployed(folder: Path, *command: str) -> Iterator[Deployed]:
    """Start a server on a free port, which its command gets as its last words; stop the latest start at the end."""
    port = free_port()
    server = Deployed(port, (*command, "--port", str(port)), folder / f"server-{port}.pid")
    subprocess.run(["sh", "-c", server.restart()], check=True, timeout=TIMEOUT_S)
    try:
        yield server
    finally:
        server.stop()


def bundled(*flags: str) -> Sequence[str]:
    """Return the command of the bundled server, without a port."""
    return [sys.executable, "-m", "server", "--host", "127.0.0.1", *flags]
