"""A server process for stress tests: its log goes to a file, and its resources can be read."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil

from tests import preloaded
from tests.processes import STOP_SECONDS, RunningServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TIMEOUT_SECONDS = 60.0
ERROR_WORDS = ("Traceback", "Error", "Exception", "Fatal", "exception")
"""Words that the log must not contain, whatever clients do."""


@dataclass
class ServerProcess(RunningServer):
    """A server process; the context manager stops it and checks its log."""

    log_path: Path = field(default_factory=Path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_exc: object) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()

    @property
    def psutil_process(self) -> psutil.Process:
        return psutil.Process(self.process.pid)

    @property
    def rss(self) -> int:
        return int(self.psutil_process.memory_info().rss)

    @property
    def descriptors(self) -> int:
        return int(self.psutil_process.num_fds())

    @property
    def cpu_seconds(self) -> float:
        times = self.psutil_process.cpu_times()
        return float(times.user + times.system)

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def check_log(self) -> None:
        """Fail if the log contains an error."""
        lines = [line for line in self.log.splitlines() if any(word in line for word in ERROR_WORDS)]
        assert not lines, self.log[-4000:]

    def wait_until(self, happened: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not happened():
            assert time.monotonic() < deadline, f"timed out waiting for {what}"
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, expects_errors: bool = False) -> str:
        """Stop the server, check its exit code and, unless errors are expected, its log; return the log."""
        if not self.stopped:
            self.process.send_signal(number)
            self.finish(expects_errors=expects_errors)
        return self.log

    def finish(self, *, expects_errors: bool = False) -> None:
        """Wait for a server that was sent a signal; check its exit code and log."""
        self.stopped = True
        self.process.communicate(timeout=STOP_SECONDS)
        assert self.process.returncode == 0, self.log
        if not expects_errors:
            self.check_log()


def launch(*flags: str, prefix: Sequence[str] = (), constants: Mapping[str, float] | None = None) -> ServerProcess:
    """Start a server on a free port, by default without a drain and with a separate upload folder.

    Args:
        flags: settings.
        prefix: a command that runs the server, such as `prlimit`.
        constants: other values of the server's module constants, by dotted name.
    """
    folder = Path(tempfile.mkdtemp(prefix="stampede-faults-"))
    log_path = folder / "log"
    program = ["server"]
    if constants:
        program = ["tests.promises.with_constants", *(f"{name}={value}" for name, value in constants.items()), "--"]
    settings = ["--port", "0", "--drain-seconds", "0", "--upload-dir", str(folder / "up"), *flags]
    with log_path.open("w") as log:
        command = [*prefix, sys.executable, "-m", *program, *settings]
        process = preloaded.popen(command, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.search(r"wss?://\S+", line)
    if match is None:
        process.communicate(timeout=STOP_SECONDS)
        raise AssertionError(f"the server did not start: {log_path.read_text()}")
    return ServerProcess(process, match.group(), [line], log_path=log_path)
