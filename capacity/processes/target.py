"""The server under test: the bundled one that we start, or a running one at a URL; and how to sample either."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import psutil
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect

from capacity.errors import RunError, UsageError
from capacity.http_client import HttpError, ask
from capacity.measure.instant import ServerSample, core_seconds
from capacity.measure.sources import Pages, SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from capacity.measure.sources import Source
    from capacity.processes.process import ChildProcess, Cores
    from capacity.processes.process_group import Children

_SHIPPED_MESSAGE_RATE: Final = 50.0
_START_S: Final = 20.0
_HANDSHAKE_S: Final = 5.0
_ASKS: Final = "is this a Stampede server?"
_SHOWN: Final = 60
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Target:
    """A server that can be sampled and asked whether it is still there."""

    __slots__ = ("_cores", "_family", "_process", "_processes", "_source", "_tells", "url")

    def __init__(
        self,
        url: str,
        *,
        process: ChildProcess | None,
        family: Sequence[psutil.Process],
        cores: Sequence[int],
        source: Source | None = None,
    ) -> None:
        self.url = url
        self._process = process
        self._source = source or Pages([metrics_url(url)])
        self._tells = False
        self._processes = 1  # by the latest sample that told
        self._family = tuple(family)  # all of its processes, where they are ours to see
        self._cores = tuple(cores)  # that are its alone

    @classmethod
    def bundled(
        cls,
        *,
        work_per_message: float,
        message_rate: float,
        cores: Cores,
        workers: int,
        folder: Path,
        checkout: Path,
        children: Children,
    ) -> Target:
        """Start the bundled server, in so many processes, on a free port and wait until it listens.

        Its protections are on as shipped; only a user who is to send more than its limit allows is allowed more.
        It is one of `children`, and ends with them.

        Raises:
            RunError: it ended or did not listen in time.
        """
        uploads = folder / "uploads"
        uploads.mkdir()
        command = [
            *(sys.executable, "-m", "server", "--host", "127.0.0.1", "--port", "0"),
            *("--upload-dir", str(uploads), "--work-per-message", f"{work_per_message:g}"),
            *("--message-rate", f"{max(_SHIPPED_MESSAGE_RATE, 2 * message_rate):g}", "--drain-seconds", "0"),
        ]
        if workers > 1:
            command += ["--workers", str(workers)]
        process = children.start("the server", command, output=folder / "server.log", cwd=checkout, cores=cores.server)

        def listening() -> tuple[str, str | None] | None:
            url = re.search(r"wss?://\S+(?=\s)", process.output())
            pages = re.search(r"http://\S+/targets(?=\s)", process.output())
            if url is None or (workers > 1 and pages is None):
                return None
            return url[0].rstrip("/"), pages[0] if pages else None

        url, pages = process.wait_until(listening, timeout_s=_START_S, what="listen")
        source = Pages(discovered(pages)) if pages else None
        own = () if cores.shared else cores.server
        return cls(url, process=process, family=process.family(), cores=own, source=source)

    @classmethod
    def running(cls, url: str, source: Source | None = None, headers: Sequence[tuple[str, str]] = ()) -> Target:
        """Take a server that runs already, after one handshake that shows it speaks the protocol.

        Args:
            url: WebSocket URL.
            source: what tells its figures, its own `/metrics` unless given.
            headers: of each upgrade request.

        Raises:
            UsageError: nobody listens there, the upgrade is refused, or it is another protocol.
        """
        _greet(url, headers)
        family = _listening_at(url)
        return cls(url, process=None, family=family, cores=_only_core(family), source=source)

    def probe(self) -> list[str]:
        """Find out what the server tells about itself; return what is missing, in words."""
        known: ServerSample | None = None
        why = ""
        try:
            known = self._source.read()
        except SourceError as error:
            why = str(error)
        self._tells = known is not None
        gaps = []
        if known is None:
            gaps.append(f"{why}; event loop lag, drops and kills are unknown")
        elif known.lag_buckets is None:
            gaps.append("the server's metrics hold no event loop lag")
        if not self._family and (known is None or known.cpu_seconds is None):
            gaps.append("the server's CPU and memory are unknown: no process metrics, and not on this machine")
        return gaps

    def sample(self) -> ServerSample:
        """Read the server's figures as they are now; what cannot be read is None."""
        sample = ServerSample(at_s=time.monotonic())
        if self._tells:
            try:
                sample = self._source.read()
                self._processes = sample.processes
            except SourceError as error:
                # A source that fell silent does not make one process of several: a share of a core would be of all.
                sample = replace(sample, processes=self._processes, problem=str(error))
        return self._with_system_figures(sample)

    def _with_system_figures(self, sample: ServerSample) -> ServerSample:
        """Add what the operating system knows of a local server; its CPU time is finer than any page's.

        Of a server that we started in several processes, that includes the parent and the bus between them.
        """
        if not self._family or (sample.processes > 1 and self._process is None):  # one process's is not the server's
            return sample
        try:
            times = [process.cpu_times() for process in self._family]
            figures = replace(
                sample,
                at_s=time.monotonic(),
                cpu_seconds=sum(one.user + one.system for one in times),
                started_at=sum(process.create_time() for process in self._family),
                rss_bytes=sum(process.memory_info().rss for process in self._family),
                fds=max(process.num_fds() for process in self._family),
                memory_bytes=psutil.virtual_memory().total,
            )
        except psutil.Error:
            return sample
        if not self._cores:
            return figures
        every = psutil.cpu_times(percpu=True)
        split = [core_seconds(every[core]) for core in self._cores]
        return replace(
            figures, core_busy_s=sum(busy for busy, _ in split), core_steal_s=sum(stolen for _, stolen in split)
        )

    def check(self) -> None:
        """Raise RunError when the server that we started has ended by itself."""
        if self._process is not None:
            self._process.check()

    def check_listening(self) -> None:
        """Raise RunError when nobody listens at the server's address any more."""
        parts = urlsplit(self.url)
        port = parts.port or (443 if parts.scheme == "wss" else 80)
        try:
            socket.create_connection((parts.hostname or "", port), timeout=_HANDSHAKE_S).close()
        except OSError as error:
            if self._process is not None:
                self._process.check_soon()
            raise RunError(f"the server at {self.url} is gone: {_words(error)}") from None


def metrics_url(url: str) -> str:
    """Return where a server at a WebSocket URL shows its metrics."""
    parts = urlsplit(url)
    return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}/metrics"


def discovered(url: str) -> list[str]:
    """Return the pages of metrics that a server of several processes names for Prometheus' HTTP service discovery.

    Raises:
        RunError: it does not answer, or with something else.
    """
    try:
        return [f"http://{address}/metrics" for group in json.loads(ask(url)) for address in group["targets"]]
    except (HttpError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"the server does not tell where its metrics are: {error}") from None


def _only_core(family: Sequence[psutil.Process]) -> tuple[int, ...]:
    """Return the core that a process is pinned to, or none when it may roam or the system cannot tell."""
    with contextlib.suppress(psutil.Error, AttributeError):
        cores = tuple(core for process in family for core in process.cpu_affinity() or ())
        return cores if len(cores) == 1 else ()
    return ()


def _listening_at(url: str) -> list[psutil.Process]:
    """Find the process that listens on a loopback port, where the system lets us see it."""
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


def _greet(url: str, headers: Sequence[tuple[str, str]]) -> None:
    """Shake hands once, and read the first message: `connected`."""
    kind, first = None, ""
    try:
        with connect(
            url,
            additional_headers=headers,
            open_timeout=_HANDSHAKE_S,
            proxy=None,
            compression=None,
        ) as connection:
            first = str(connection.recv(timeout=_HANDSHAKE_S))
            message = json.loads(first)
            kind = message.get("type") if isinstance(message, dict) else None
    except TimeoutError:
        raise UsageError(f"{url} sent no greeting within {_HANDSHAKE_S:.0f} s; {_ASKS}") from None
    except ConnectionClosed as error:
        raise UsageError(f"{url} closed the connection before any greeting ({error}); {_ASKS}") from None
    except OSError as error:
        raise UsageError(f"no server at {url}: {_words(error)}") from None
    except WebSocketException as error:
        raise UsageError(f"the server at {url} refused the WebSocket: {error}") from None
    except ValueError:
        pass  # no JSON: no greeting either
    if kind != "connected":
        raise UsageError(f"{url} sent {first[:_SHOWN]!r} in place of a greeting; {_ASKS}")


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
