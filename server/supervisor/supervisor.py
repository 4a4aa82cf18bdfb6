"""Several server processes on one port: the kernel deals connections out, a bus makes the processes one.

The parent serves no clients. It keeps the workers and, where no bus was named, a NATS server of their own alive, and
tells Prometheus where each worker's metrics are.
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
    """The parent of the server processes.

    Args:
        settings: of all of them.
        arguments: the command line that said so.
    """

    def __init__(self, settings: Settings, arguments: Sequence[str]) -> None:
        self.children: list[ChildProcess] = []
        self._settings = settings
        self._arguments = arguments
        self._addresses: dict[int, str] = {}  # of the workers' metrics, by number
        self._announcement = ""
        self._bus: ChildProcess | None = None
        self._told_to_end = asyncio.Event()

    async def run(self, folder: Path, render: Callable[[str, str], MetricsPage]) -> int:
        """Serve until told to stop; return the exit code.

        Args:
            folder: for what a private bus needs.
            render: returns the page of the parent's metrics.
        """
        settings = self._settings
        loop = asyncio.get_running_loop()
        for number, name in SIGNAL_NAMES.items():
            loop.add_signal_handler(number, self._end, name)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        code: int | None
        stack = contextlib.ExitStack()
        try:
            held = bind(settings.host, settings.port, reuse_port=True)  # for the workers; not listened on here
            stack.callback(_close, held)
            discovery = self._discovery(render)
            code = await self._start(held[0].getsockname()[1], folder)
            if code is None and not self._told_to_end.is_set():
                stack.enter_context(discovery)
                self._introduce(discovery.url)
                await self._told_to_end.wait()
        except SettingsError as error:
            print(f"stampede: {error}", file=sys.stderr)
            code = 1
        if self._told_to_end.is_set():
            code = 0
        else:  # those that were told must not be told again: they would cut their clients off
            self._end_workers()
        stack.close()
        await self._all_ended()
        return code or 0

    def _discovery(self, render: Callable[[str, str], MetricsPage]) -> ServiceDiscovery:
        """Return the pages of the parent: on the port asked for, else on the one after the server's if it is free.

        Prometheus' configuration names that port: it should not change with each start.
        """
        settings = self._settings
        wanted = settings.metrics_port
        if wanted is None and 0 < settings.port < _LAST_PORT:
            with contextlib.suppress(SettingsError):
                return ServiceDiscovery(settings.host, settings.port + 1, self._addresses, self.children, render)
        return ServiceDiscovery(settings.host, wanted or 0, self._addresses, self.children, render)

    async def _start(self, port: int, folder: Path) -> int | None:
        """Start the bus, then the workers; return the exit code of the first that did not come up."""
        environment = {**os.environ, FORMAT_VARIABLE: "json"}
        if self._settings.nats is None:
            nats = EmbeddedNats(folder)
            self._bus = nats.child
            await self._start_bus(self._bus, folder)
            if self._told_to_end.is_set():
                return None
            environment["STAMPEDE_NATS"] = nats.url  # not on the command line, which everybody can read
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

    async def _start_bus(self, child: ChildProcess, folder: Path) -> None:
        try:
            code = await child.start()
        except OSError as error:
            raise SettingsError(f"cannot start nats-server: {str(error.strerror).lower()}") from None
        if code is not None and not self._told_to_end.is_set():
            raise SettingsError(f"cannot start nats-server: {_last_line(folder / 'nats.log')}")

    async def _start_worker(self, worker: ChildProcess, codes: list[int]) -> None:
        """Start a worker; one that does not come up ends the others, and adds its exit code."""
        try:
            code = await worker.start()
        except OSError as error:
            print(f"stampede: cannot start {worker.name}: {str(error.strerror).lower()}", file=sys.stderr)
            code = 1
        if code is not None:
            codes.append(code)
            self._end_workers()

    def _command(self, number: int, port: int) -> list[str]:
        """Return a worker's command: ours, on the shared port; metrics where they were before, if they were."""
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

    def _introduce(self, discovery: str) -> None:
        bus = "a private NATS server" if self._bus is not None else "NATS"
        print(f"{self._announcement} with {len(self.children)} workers over {bus}", flush=True)
        print(f"Metrics of each worker for Prometheus to discover: {discovery}", flush=True)

    def _end(self, how: str) -> None:
        """Stop all workers; called again, stop them at once. The bus ends last: the workers still need it."""
        if self.children and not self._told_to_end.is_set():
            write_line(f"draining {len(self.children)} workers, {how} again to end now")
        self._told_to_end.set()
        if self._bus is not None and not self.children:  # the bus is being started
            self._bus.end()
        self._end_workers()

    def _end_workers(self) -> None:
        for worker in self.children:
            worker.end()

    async def _all_ended(self) -> None:
        await asyncio.gather(*[worker.ended() for worker in self.children])
        if self._bus is not None:
            self._bus.end()
            await self._bus.ended()

    def _reload(self) -> None:
        for worker in self.children:
            worker.signal(signal.SIGHUP)


def _close(sockets: Sequence[socket.socket]) -> None:
    for each in sockets:
        each.close()


def _last_line(file: Path) -> str:
    lines = file.read_text().splitlines() if file.exists() else []
    return lines[-1] if lines else "it said nothing"
