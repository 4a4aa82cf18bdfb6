"""A chat server of another project, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.processes import STOP_SECONDS, get_page
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

START_SECONDS = 60
POLL_SECONDS = 0.02
URL = re.compile(r"ws://[\d.]+:(\d+)")
COUNTS = re.compile(r"counts at (http://\S+)")
PROBLEM = re.compile(
    r"\b(warn(ing)?|error|crit(ical)?|fatal|traceback|unhandled\w*|\w*(Error|Warning))\b", re.IGNORECASE
)
CLEAN_EXITS = (0, -signal.SIGTERM)


class RealServer:
    """A running server, which prints its `ws://` URL once it accepts connections.

    Its counts are at `/counts`, unless the same line names another URL. Its temporary files are beside its log.

    Attributes:
        url: its URL without a path.
        log_file: its output, of all starts.
        expects_problems: set it when a test provokes warnings or errors in the log.
    """

    def __init__(self, command: Callable[[int], Sequence[str]], log_file: Path) -> None:
        """Start the server and wait until it accepts connections.

        Args:
            command: returns the command for a port; for port 0 the system chooses one.
            log_file: receives the output, of later starts, too.
        """
        self.expects_problems = False
        self._command = command
        self.log_file = log_file
        self.log_file.touch()
        self._process: subprocess.Popen[bytes]
        self.url = self._start(0)

    @property
    def http(self) -> str:
        return self.url.replace("ws://", "http://")

    @property
    def pid(self) -> int:
        return self._process.pid

    def log(self) -> str:
        """Return all output so far."""
        return self.log_file.read_text(errors="replace")

    def counts(self) -> dict[str, int]:
        """Return what the server counted.

        `clients` are connected now, `members` are in rooms now; `messages` were accepted and `deliveries` were made
        since the start.
        """
        counts = json.loads(get_page(self._counts_url))
        assert isinstance(counts, dict)
        return counts

    def wait_for_counts(self, **expected: int) -> None:
        """Wait until the server's counts have these values."""
        deadline = time.monotonic() + STOP_SECONDS
        while (counts := self.counts()) | expected != counts:
            assert time.monotonic() < deadline, f"expected {expected}, got {counts}"
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Stop the server with SIGTERM and check its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            code = self._process.wait(STOP_SECONDS)
            assert code in CLEAN_EXITS, f"exit code {code}: {self.log()}"

    def kill(self) -> None:
        """Kill the server and its child processes with SIGKILL."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_SECONDS)

    def restart(self) -> None:
        """Start the server again on its port; stop it before that if it still runs."""
        self.stop()
        self._start(int(self.url.rpartition(":")[2]))

    def close(self) -> None:
        """Stop the server and check its log."""
        try:
            self.stop()
        finally:
            if self._process.poll() is None:
                self.kill()
        problems = [line for line in self.log().splitlines() if PROBLEM.search(line)]
        assert self.expects_problems or not problems, self.log()

    def _start(self, port: int) -> str:
        before = self.log_file.stat().st_size
        with self.log_file.open("ab") as log:
            command = self._command(port)
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | {"TMPDIR": str(self.log_file.parent)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # `kill` ends the process group
            )
        deadline = time.monotonic() + START_SECONDS
        while (found := URL.search(output := self.log_file.read_bytes()[before:].decode(errors="replace"))) is None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"{' '.join(command)} did not start: {self.log()}")
            time.sleep(POLL_SECONDS)
        counts = COUNTS.search(output)
        self._counts_url = counts[1] if counts else f"{found[0].replace('ws://', 'http://')}/counts"
        return found[0]
