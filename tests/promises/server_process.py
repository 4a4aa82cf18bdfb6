"""The server as a process that is put under stress: its log goes to a file, and its resources can be watched."""

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

from tests.processes import STOP_SECONDS, RunningServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PATIENCE_SECONDS = 60.0
BLUNDERS = ("Traceback", "Error", "Exception", "Fatal", "exception")
"""What a log must not contain after whatever clients have done."""


@dataclass
class Server(RunningServer):
    """A server process; ends, and has its log looked at, when it is left."""

    log_path: Path = field(default_factory=Path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_exc: object) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()

    @property
    def watched(self) -> psutil.Process:
        return psutil.Process(self.process.pid)

    @property
    def rss(self) -> int:
        return int(self.watched.memory_info().rss)

    @property
    def descriptors(self) -> int:
        return int(self.watched.num_fds())

    @property
    def cpu_seconds(self) -> float:
        times = self.watched.cpu_times()
        return float(times.user + times.system)

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def check_log(self) -> None:
        """Fail if anything went wrong inside."""
        lines = [line for line in self.log.splitlines() if any(blunder in line for blunder in BLUNDERS)]
        assert not lines, self.log[-4000:]

    def wait_until(self, happened: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not happened():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, complains: bool = False) -> str:
        """End the server; it must exit with 0 and, unless told so, have nothing to complain about. Returns its log."""
        if not self.stopped:
            self.process.send_signal(number)
            self.finish(complains=complains)
        return self.log

    def finish(self, *, complains: bool = False) -> None:
        """Wait for the end of a server that was told to end."""
        self.stopped = True
        self.process.communicate(timeout=STOP_SECONDS)
        assert self.process.returncode == 0, self.log
        if not complains:
            self.check_log()


def launch(*flags: str, prefix: Sequence[str] = (), constants: Mapping[str, float] | None = None) -> Server:
    """Start a server on a free port; no drain time and uploads into a fresh folder unless flags say else.

    Args:
        flags: settings.
        prefix: of the command.
        constants: of the server's modules that are to be others, by dotted name.
    """
    folder = Path(tempfile.mkdtemp(prefix="stampede-faults-"))
    log_path = folder / "log"
    program = ["server"]
    if constants:
        program = ["tests.promises.with_constants", *(f"{name}={value}" for name, value in constants.items()), "--"]
    settings = ["--port", "0", "--drain-seconds", "0", "--upload-dir", str(folder / "up"), *flags]
    with log_path.open("w") as log:
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", *program, *settings], stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.search(r"wss?://\S+", line)
    if match is None:
        process.communicate(timeout=STOP_SECONDS)
        raise AssertionError(f"the server did not start: {log_path.read_text()}")
    return Server(process, match.group(), [line], log_path=log_path)
