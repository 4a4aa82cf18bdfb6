"""Run a packaged message broker as a child process, and tell its URL and its counts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

from benchmarks.processes import BenchmarkError
from tests.dialects.programs import daemon_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

STOP_SECONDS = 50


def program(name: str) -> str:
    """Return the path of a packaged program; end the process if it is missing."""
    try:
        return daemon_path(name)
    except BenchmarkError as problem:
        sys.exit(str(problem))


@contextmanager
def child(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a process until the block ends; its output can be read as one stream."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def serve(
    broker: subprocess.Popen[str],
    port: int,
    *,
    ready: str,
    counts: Callable[[], Mapping[str, int]],
    skip: Callable[[str], bool] = lambda _: False,
) -> None:
    """Print the log of a broker until it ends; end this process with its exit code.

    A signal to stop is passed on. The log of the start is printed only if the start fails, since it contains warnings
    that no client has caused.

    Args:
        broker: its process.
        port: its port for WebSockets.
        ready: text of the line of its log that says that it accepts connections.
        counts: returns its counts.
        skip: whether a line is not printed.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: broker.terminate())
    assert broker.stdout is not None
    start = []
    for line in broker.stdout:
        start.append(line)
        if ready in line:
            print(f"listening on ws://127.0.0.1:{port}, counts at {_counts_url(counts)}", flush=True)
            break
    else:
        sys.stdout.writelines(start)
    for line in broker.stdout:
        if not skip(line):
            print(line, end="", flush=True)
    sys.exit(broker.wait())


def _counts_url(counts: Callable[[], Mapping[str, int]]) -> str:
    """Serve the counts in a thread and return their URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(counts()).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print no requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/counts"
