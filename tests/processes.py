"""A server process for tests."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests import preloaded
from tests.metrics.pages import series

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

STOP_SECONDS = 60


def get_page(url: str, headers: Mapping[str, str] | None = None) -> str:
    """Return the text of a page of a server under test."""
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return str(answer.read().decode())


@dataclass
class RunningServer:
    """A server process: `url` for WebSockets, `http` for pages."""

    process: subprocess.Popen[str]
    url: str
    first_lines: list[str]
    stopped: bool = False

    @property
    def http(self) -> str:
        return self.url.replace("ws://", "http://")

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> str:
        return get_page(self.http + path, headers)

    def samples(self) -> dict[str, float]:
        """Return the metrics: values by `name{label="value",...}` with sorted labels."""
        return series(self.get("/metrics").encode())

    def closed(self) -> dict[str, int]:
        """Return the number of closed connections for each reason that occurred."""
        prefix = 'chat_connections_closed_total{reason="'
        return {
            name.removeprefix(prefix).removesuffix('"}'): int(value)
            for name, value in self.samples().items()
            if name.startswith(prefix) and value
        }

    def stop(self, number: signal.Signals = signal.SIGTERM, *, expects_errors: bool = False) -> str:
        """Stop the server, check its exit code and, unless errors are expected, its log; return the log."""
        if self.stopped:
            return ""
        self.stopped = True
        self.process.send_signal(number)
        _, log = self.process.communicate(timeout=STOP_SECONDS)
        assert self.process.returncode == 0, log
        assert "Traceback" not in log, log
        assert expects_errors or not re.search(r'level=(error|critical)|"level": "(error|critical)"', log), log
        return log

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        self.stopped = True
        self.process.kill()
        self.process.communicate(timeout=STOP_SECONDS)


def start_server(
    *flags: str,
    program: Sequence[str] = ("-m", "server"),
    python: str | Path = sys.executable,
    folder: Path | None = None,
) -> RunningServer:
    """Start `python -m server`, or a program that runs it, on a free port; wait for its first line."""
    command = [str(python), *program, "--port", "0", *flags]
    process = preloaded.popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    if "--metrics-port" in flags:
        lines.append(process.stdout.readline())
    match = re.search(r"ws://\S+", lines[0])
    if match is None:
        _, log = process.communicate(timeout=STOP_SECONDS)
        raise AssertionError(f"the server did not start: {log}")
    return RunningServer(process, match.group(), lines)


def run_server(*flags: str) -> subprocess.CompletedProcess[str]:
    """Run a server that is expected to exit at once."""
    command = [sys.executable, "-m", "server", "--port", "0", *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
