"""The parent process of several workers that share one port.

The kernel distributes connections among the workers, and NATS connects their rooms. The parent serves no clients. It
restarts workers that die, runs an embedded NATS server unless `--nats` is given, and serves the addresses of the
workers' metrics to Prometheus.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from server.errors import SettingsError
from server.runtime.listen import bind
from server.runtime.signals import SIGNAL_NAMES, write_line
from server.supervisor.child_process import ChildProcess
from server.supervisor.embedded_nats import EmbeddedNats
from server.supervisor.service_discovery import ServiceDiscovery
from server.supervisor.startup_report import FORMAT_VARIABLE, parse_startup_report

if TYPE_CHECKING:
    import socket
    from asyncio.subprocess import Process
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from server.settings import Settings
    from server.supervisor.service_discovery import MetricsPage

log = structlog.get_logger()

_LAST_PORT: Final = 65535


class Supervisor:
    """Start, restart and stop the workers.

    Args:
        settings: settings of the parent and the workers.
        arguments: the command line that they come from; passed on to the workers.
    """

    def __init__(self, settings: Settings, arguments: Sequence[str]) -> None:
        self.children: list[ChildProcess] = []
        self._settings = settings
        self._arguments = arguments
        self._addresses: dict[int, str] = {}  # of the workers' metrics, by worker number
        self._announcement = ""
        self._nats: ChildProcess | None = None
        self._stopping = asyncio.Event()

    async def run(self, folder: Path, render: Callable[[str, str], MetricsPage]) -> int:
        """Run the workers until a signal stops them; return the exit code.

        Args:
            folder: directory for the files of the embedded NATS server.
            render: returns the metrics page of the parent.
        """
        settings = self._settings
        loop = asyncio.get_running_loop()
        for number, name in SIGNAL_NAMES.items():
            loop.add_signal_handler(number, self._stop, name)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        code: int | None
        stack = contextlib.ExitStack()
        try:
            reserved = bind(settings.host, settings.port, reuse_port=True)  # for the workers; not listened on here
            stack.callback(_close, reserved)
            discovery = self._discovery(render)
            code = await self._start(reserved[0].getsockname()[1], folder)
            if code is None and not self._stopping.is_set():
                stack.enter_context(discovery)
                self._announce(discovery.url)
                await self._stopping.wait()
        except SettingsError as error:
            print(f"stampede: {error}", file=sys.stderr)
            code = 1
        if self._stopping.is_set():
            code = 0
        else:  # a second SIGTERM would make draining workers abort their connections
            self._stop_workers()
        stack.close()
        await self._wait_stopped()
        return code or 0

    def _discovery(self, render: Callable[[str, str], MetricsPage]) -> ServiceDiscovery:
        """Return the HTTP service of the parent.

        Without `--metrics-port` it listens on the port after the public one if that is free. Prometheus' configuration
        names the port, so it should not change with each start.
        """
        settings = self._settings
        wanted = settings.metrics_port
        if wanted is None and 0 < settings.port < _LAST_PORT:
            with contextlib.suppress(SettingsError):
                return ServiceDiscovery(settings.host, settings.port + 1, self._addresses, self.children, render)
        return ServiceDiscovery(settings.host, wanted or 0, self._addresses, self.children, render)

    async def _start(self, port: int, folder: Path) -> int | None:
        """Start NATS, then the workers; return the exit code of the first worker that failed to start, or None."""
        environment = {**os.environ, FORMAT_VARIABLE: "json"}
        if self._settings.nats is None:
            nats = EmbeddedNats(folder)
            self._nats = nats.child
            await self._start_nats(self._nats, folder)
            if self._stopping.is_set():
                return None
            environment["STAMPEDE_NATS"] = nats.url  # every user of the machine can read command lines
        self.children += [
            ChildProcess(
                f"worker {number}",
                partial(self._command, number, port),
                environment,
                partial(self._ready, number),
            )
            for number in range(self._settings.workers)
        ]
        codes: list[int] = []
        await asyncio.gather(*[self._start_worker(worker, codes) for worker in self.children])
        return codes[0] if codes else None

    async def _start_nats(self, child: ChildProcess, folder: Path) -> None:
        try:
            code = await child.start()
        except OSError as error:
            raise SettingsError(f"cannot start nats-server: {str(error.strerror).lower()}") from None
        if code is not None and not self._stopping.is_set():
            raise SettingsError(f"cannot start nats-server: {_last_line(folder / 'nats.log')}")

    async def _start_worker(self, worker: ChildProcess, codes: list[int]) -> None:
        """Start a worker. If that fails, append its exit code and stop the other workers."""
        try:
            code = await worker.start()
        except OSError as error:
            print(f"stampede: cannot start {worker.name}: {str(error.strerror).lower()}", file=sys.stderr)
            code = 1
        if code is not None:
            codes.append(code)
            self._stop_workers()

    def _command(self, number: int, port: int) -> list[str]:
        """Return the command line of a worker; after a restart its metrics stay on the same port."""
        metrics_port = self._addresses.get(number, ":0").rpartition(":")[2]
        own = ["--workers", "1", "--reuse-port", "yes", "--port", str(port), "--metrics-port", metrics_port]
        return [sys.executable, "-m", "server", *self._arguments, *own]

    async def _ready(self, number: int, process: Process) -> None:
        line = await process.stdout.readline() if process.stdout is not None else b""
        if not line:
            raise EOFError
        report = parse_startup_report(line)
        self._announcement = report.announcement
        if report.metrics_address is not None:
            self._addresses[number] = report.metrics_address

    def _announce(self, discovery: str) -> None:
        bus = "an embedded NATS server" if self._nats is not None else "NATS"
        print(f"{self._announcement} with {len(self.children)} workers over {bus}", flush=True)
        print(f"Metrics of each worker for Prometheus to discover: {discovery}", flush=True)

    def _stop(self, signal_name: str) -> None:
        """Drain the workers; the second call makes them close all connections at once. NATS stops last."""
        if self.children and not self._stopping.is_set():
            write_line(f"draining {len(self.children)} workers, {signal_name} again to end now")
        self._stopping.set()
        if self._nats is not None and not self.children:  # NATS is still starting
            self._nats.stop()
        self._stop_workers()

    def _stop_workers(self) -> None:
        for worker in self.children:
            worker.stop()

    async def _wait_stopped(self) -> None:
        await asyncio.gather(*[worker.wait_stopped() for worker in self.children])
        if self._nats is not None:
            self._nats.stop()
            await self._nats.wait_stopped()

    def _reload(self) -> None:
        for worker in self.children:
            worker.signal(signal.SIGHUP)


def _close(sockets: Sequence[socket.socket]) -> None:
    for each in sockets:
        each.close()


def _last_line(file: Path) -> str:
    lines = file.read_text().splitlines() if file.exists() else []
    return lines[-1] if lines else "it ended without a log"
