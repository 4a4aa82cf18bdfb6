"""The server under test: the bundled server, or a running one at a URL; and how to sample it."""

from __future__ import annotations

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
from capacity.measure.listening import port_of
from capacity.measure.server_processes import ServerProcesses
from capacity.measure.server_sample import ATTRIBUTES, ServerSample, core_seconds
from capacity.measure.sources import MetricsPages, PageOfServer, SourceError

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


@dataclass(frozen=True, slots=True)
class BundledServerOptions:
    """How to start the bundled server.

    Attributes:
        work_per_message: CPU seconds; `message_rate`: messages per user and second.
        workers: number of processes; `cores`: those that they may use.
        address: of this machine, if users on other machines connect to the server.
    """

    work_per_message: float
    message_rate: float
    workers: int
    cores: Cores
    address: str | None = None


class TargetServer:
    """A server that can be sampled and checked.

    Attributes:
        url: WebSocket URL.
        processes: its processes on this machine; None if they are not known.
    """

    __slots__ = (
        "_cores",
        "_endpoints",
        "_has_metrics",
        "_process",
        "_process_count",
        "_replaces_pages",
        "_source",
        "processes",
        "url",
    )

    def __init__(
        self,
        url: str,
        *,
        process: ChildProcess | None = None,
        processes: ServerProcesses | None = None,
        replaces_pages: bool = False,
        cores: Sequence[int] = (),
        source: Source | None = None,
        endpoints: Sequence[tuple[str, int]] = (),
    ) -> None:
        """Create a target.

        Args:
            url: WebSocket URL.
            process: the bundled server; None for a running one.
            processes: the server's processes on this machine; None if they are not known.
            replaces_pages: whether CPU and memory of `processes` count even if several processes have metrics pages.
            cores: cores that only the server uses.
            source: source of the server's figures; default: its own `/metrics`.
            endpoints: hosts and ports of the server's instances; default: those of the URL.
        """
        self.url = url
        self._endpoints = endpoints or ((urlsplit(url).hostname or "", port_of(url)),)
        self.processes = processes
        self._process = process
        self._replaces_pages = replaces_pages
        self._source = source or PageOfServer(url)
        self._has_metrics = False
        self._process_count = 1  # in the latest successful sample
        self._cores = tuple(cores)

    @property
    def pid(self) -> int | None:
        """Process id of the bundled server; None for a running one."""
        return self._process.pid if self._process is not None else None

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
            *(sys.executable, "-m", "server", "--host", options.address or "127.0.0.1", "--port", "0"),
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
        processes = ServerProcesses([psutil.Process(process.pid)])
        return cls(url, process=process, processes=processes, cores=own_cores, source=source)

    @classmethod
    def running(
        cls,
        url: str,
        source: Source | None = None,
        processes: ServerProcesses | None = None,
        *,
        replaces_pages: bool = False,
        endpoints: Sequence[tuple[str, int]] = (),
    ) -> TargetServer:
        """Use a running server; the arguments are those of the constructor."""
        cores = processes.cores() if processes else ()
        pinned = cores if len(cores) == 1 else ()
        return cls(
            url,
            processes=processes,
            replaces_pages=replaces_pages,
            cores=pinned,
            source=source,
            endpoints=endpoints,
        )

    def probe(self) -> list[str]:
        """Check which figures the server provides; return the missing ones as text."""
        known: ServerSample | None = None
        why = ""
        try:
            known = self._source.read()
        except SourceError as error:
            why = str(error)
        self._has_metrics = known is not None
        gaps = [f"{why}; event loop lag, drops and kills are unknown"] if known is None else self._missing_series(known)
        if self.processes is None and (known is None or known.cpu_seconds is None):
            gaps.append("the server's CPU and memory are unknown: give --server-pid or --metrics")
        return gaps

    def _missing_series(self, sample: ServerSample) -> list[str]:
        """Return which figures a source does not provide: those of any server, and those that the dialect names."""
        has_lag = sample.lag_buckets is not None or sample.lag_s is not None
        known = {"event loop lag": has_lag, "drops": sample.dropped is not None, "kills": sample.kills is not None}
        missing = [name for name, is_known in known.items() if not is_known]
        gaps = [f"the server's metrics have no {listing(missing)}"] if missing else []
        given = self._source.series.given
        wrong = [series for key, series in given.items() if getattr(sample, ATTRIBUTES[key]) is None]
        return [
            *gaps,
            *([f"the server's metrics have no {listing(wrong)}, as the dialect calls them"] if wrong else []),
        ]

    def retry_source(self) -> None:
        """Read the source of the server's figures again after it did not answer in time; until then, it is not read."""
        self._source.retry()

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
        includes the supervisor and the bus between them. For a running server with several metrics pages, the
        processes that listen at its address may be only a part of it, or a load balancer.
        """
        is_partial = sample.processes > 1 and self._process is None and not self._replaces_pages
        if self.processes is None or is_partial:
            return sample
        system = self.processes.sample()
        if system is None:
            return replace(sample, problem=sample.problem or "the server's process has ended")
        figures = replace(
            sample,
            at_s=system.at_s,
            cpu_seconds=system.cpu_seconds,
            cpu_parts=None if self._replaces_pages else sample.cpu_parts,
            rss_bytes=system.rss_bytes,
            fds=system.fds,
            fds_limit=system.fds_limit or sample.fds_limit,
            memory_bytes=system.memory_bytes,
            system=system,
        )
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
        """Raise RunError if no process listens at any address of the server any more."""
        problems = []
        for endpoint in self._endpoints:
            try:
                socket.create_connection(endpoint, timeout=_CONNECT_TIMEOUT_S).close()
            except OSError as error:
                problems.append(error_text(error))
            else:
                return
        if self._process is not None:
            self._process.check_after_silence()
        raise RunError(f"the server at {self.url} no longer listens: {problems[0]}")


def discover_metrics_pages(url: str) -> list[str]:
    """Return the metrics pages that a server of several processes lists for Prometheus' HTTP service discovery.

    Raises:
        RunError: no response, or an invalid one.
    """
    try:
        return [f"http://{address}/metrics" for group in json.loads(fetch(url)) for address in group["targets"]]
    except (HttpError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"the server does not list its metrics pages: {error}") from None
