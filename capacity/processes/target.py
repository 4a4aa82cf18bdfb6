"""The server under test: the bundled server, or a running one at a URL; and how to sample it."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import psutil

from capacity.errors import RunError
from capacity.formatting import error_text, listing
from capacity.http_client import HttpError, fetch
from capacity.measure.server_sample import ServerSample, core_seconds
from capacity.measure.sources import MetricsPages, SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from capacity.measure.sources import Source
    from capacity.processes.child_processes import ChildProcesses
    from capacity.processes.cores import Cores
    from capacity.processes.process import ChildProcess

_DEFAULT_MESSAGE_RATE_LIMIT: Final = 50.0
_START_TIMEOUT_S: Final = 20.0
_CONNECT_TIMEOUT_S: Final = 5.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class BundledServerOptions:
    """How to start the bundled server: CPU seconds per message, messages per user and second, processes, cores."""

    work_per_message: float
    message_rate: float
    workers: int
    cores: Cores


class TargetServer:
    """A server that can be sampled and checked."""

    __slots__ = ("_cores", "_has_metrics", "_process", "_process_count", "_processes", "_source", "url")

    def __init__(
        self,
        url: str,
        *,
        process: ChildProcess | None,
        processes: Sequence[psutil.Process],
        cores: Sequence[int],
        source: Source | None = None,
    ) -> None:
        """Create a target.

        Args:
            url: WebSocket URL.
            process: the bundled server; None for a running one.
            processes: all processes of the server, if this system shows them.
            cores: cores that only the server uses.
            source: source of the server's figures; default: its own `/metrics`.
        """
        self.url = url
        self._process = process
        self._source = source or MetricsPages([metrics_url(url)])
        self._has_metrics = False
        self._process_count = 1  # in the latest successful sample
        self._processes = tuple(processes)
        self._cores = tuple(cores)

    @classmethod
    def bundled(
        cls, options: BundledServerOptions, *, folder: Path, checkout: Path, children: ChildProcesses
    ) -> TargetServer:
        """Start the bundled server on a free port, as one of `children`, and wait until it listens.

        Its limits are the defaults, except that the rate limit allows twice the configured message rate.

        Raises:
            RunError: the server exited, or did not listen in time.
        """
        uploads = folder / "uploads"
        uploads.mkdir()
        work_per_message, workers = options.work_per_message, options.workers
        command = [
            *(sys.executable, "-m", "server", "--host", "127.0.0.1", "--port", "0"),
            *("--upload-dir", str(uploads), "--work-per-message", f"{work_per_message:g}"),
            *("--message-rate", f"{max(_DEFAULT_MESSAGE_RATE_LIMIT, 2 * options.message_rate):g}"),
            *("--drain-seconds", "0"),
        ]
        if workers > 1:
            command += ["--workers", str(workers)]
        cores = options.cores
        process = children.start("the server", command, output=folder / "server.log", cwd=checkout, cores=cores.server)

        def listening() -> tuple[str, str | None] | None:
            url = re.search(r"wss?://\S+(?=\s)", process.output())
            targets = re.search(r"http://\S+/targets(?=\s)", process.output())
            if url is None or (workers > 1 and targets is None):
                return None
            return url[0].rstrip("/"), targets[0] if targets else None

        url, targets = process.wait_until(listening, timeout_s=_START_TIMEOUT_S, what="listen")
        source = MetricsPages(discover_metrics_pages(targets)) if targets else None
        own_cores = () if cores.are_shared else cores.server
        return cls(url, process=process, processes=process.tree(), cores=own_cores, source=source)

    @classmethod
    def running(cls, url: str, source: Source | None = None) -> TargetServer:
        """Use a running server.

        Args:
            url: WebSocket URL.
            source: source of the server's figures; default: its own `/metrics`.
        """
        processes = _listening_processes(url)
        return cls(url, process=None, processes=processes, cores=_pinned_core(processes), source=source)

    def probe(self) -> list[str]:
        """Check which figures the server provides; return the missing ones as text."""
        known: ServerSample | None = None
        why = ""
        try:
            known = self._source.read()
        except SourceError as error:
            why = str(error)
        self._has_metrics = known is not None
        gaps = []
        if known is None:
            gaps.append(f"{why}; event loop lag, drops and kills are unknown")
        else:
            figures = {"event loop lag": known.lag_buckets, "drops": known.dropped, "kills": known.kills}
            missing = [name for name, value in figures.items() if value is None]
            if missing:
                gaps.append(f"the server's metrics have no {listing(missing)}")
        if not self._processes and (known is None or known.cpu_seconds is None):
            gaps.append("the server's CPU and memory are unknown: no process metrics, and not on this machine")
        return gaps

    def sample(self) -> ServerSample:
        """Read the server's current figures; those that cannot be read are None."""
        sample = ServerSample(at_s=time.monotonic())
        if self._has_metrics:
            try:
                sample = self._source.read()
                self._process_count = sample.processes
            except SourceError as error:
                # Keep the number of processes: with 1, the CPU of all of them would count as the share of one core.
                sample = replace(sample, processes=self._process_count, problem=str(error))
        return self._with_system_figures(sample)

    def _with_system_figures(self, sample: ServerSample) -> ServerSample:
        """Add the operating system's figures of a local server.

        Its CPU time is more precise than that of a metrics page. For a bundled server with several processes, that
        includes the supervisor and the bus between them. For a running server with several processes, the system's
        figures of one process would be wrong.
        """
        if not self._processes or (sample.processes > 1 and self._process is None):
            return sample
        try:
            times = [process.cpu_times() for process in self._processes]
            figures = replace(
                sample,
                at_s=time.monotonic(),
                cpu_seconds=sum(one.user + one.system for one in times),
                started_at=sum(process.create_time() for process in self._processes),
                rss_bytes=sum(process.memory_info().rss for process in self._processes),
                fds=max(process.num_fds() for process in self._processes),
                memory_bytes=psutil.virtual_memory().total,
            )
        except psutil.Error:
            return sample
        if not self._cores:
            return figures
        cpu_times = psutil.cpu_times(percpu=True)
        split = [core_seconds(cpu_times[core]) for core in self._cores]
        return replace(
            figures, core_busy_s=sum(busy for busy, _ in split), core_steal_s=sum(stolen for _, stolen in split)
        )

    def check(self) -> None:
        """Raise RunError if the bundled server has exited."""
        if self._process is not None:
            self._process.check()

    def check_listening(self) -> None:
        """Raise RunError if no process listens at the server's address any more."""
        parts = urlsplit(self.url)
        port = parts.port or (443 if parts.scheme == "wss" else 80)
        try:
            socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_TIMEOUT_S).close()
        except OSError as error:
            if self._process is not None:
                self._process.check_after_silence()
            raise RunError(f"the server at {self.url} no longer listens: {error_text(error)}") from None


def metrics_url(url: str) -> str:
    """Return the metrics page of a server at a WebSocket URL."""
    parts = urlsplit(url)
    return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}/metrics"


def discover_metrics_pages(url: str) -> list[str]:
    """Return the metrics pages that a server of several processes lists for Prometheus' HTTP service discovery.

    Raises:
        RunError: no response, or an invalid one.
    """
    try:
        return [f"http://{address}/metrics" for group in json.loads(fetch(url)) for address in group["targets"]]
    except (HttpError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"the server does not list its metrics pages: {error}") from None


def _pinned_core(processes: Sequence[psutil.Process]) -> tuple[int, ...]:
    """Return the one core that the processes are pinned to; none if there are several, or it is unknown."""
    with contextlib.suppress(psutil.Error, AttributeError):
        cores = tuple(core for process in processes for core in process.cpu_affinity() or ())
        return cores if len(cores) == 1 else ()
    return ()


def _listening_processes(url: str) -> list[psutil.Process]:
    """Return the process that listens on a loopback port, if the system shows it."""
    parts = urlsplit(url)
    if parts.hostname not in _LOOPBACK:
        return []
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    with contextlib.suppress(psutil.Error):
        connections = psutil.net_connections("tcp")
        listening = (c for c in connections if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port)
        pid = next((c.pid for c in listening if c.pid is not None), None)
        return [] if pid is None else [psutil.Process(pid)]
    return []
