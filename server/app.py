"""Composition root: build the parts, listen, serve until told to stop, say goodbye."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import platform
import resource
import signal
import sys
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import uvloop

from metrics.collectors import BuildCollector, server_collectors
from metrics.exposition import Exposition
from server import __version__
from server.connection import Connection, Gate
from server.endpoints import UPGRADES
from server.errors import CloseReason, SettingsError
from server.heartbeat import HeartbeatWheel
from server.http import Router
from server.hub import Hub
from server.loop_lag import LoopLag
from server.pages import RecentRate, Status, metrics_pages, pages
from server.services import Services
from server.stats import ServerStats
from server.uploads import UploadStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.messages import FileSaved
    from server.settings import Settings

GOODBYE_SECONDS: Final = 2.0
"""How long clients may take to answer our close frames before they are cut off."""

_BACKLOG: Final = 4096
_RATE_SAMPLE_SECONDS: Final = 1.0


class ChatServer:
    """One server process: `start`, `serve` until a signal, `stop`."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        clock = time.perf_counter
        self._settings = settings
        self._loop = loop
        self._clock = clock
        self.stats = ServerStats()
        hub = Hub(
            self.stats,
            schedule=loop.call_soon,
            clock=clock,
            wall_ms=lambda: time.time_ns() // 1_000_000,
            call_later=loop.call_later,
            presence_threshold=settings.presence_threshold,
        )
        self._uploads = UploadStore(settings.upload_dir, self.stats)
        services = Services(
            hub=hub,
            uploads=self._uploads,
            stats=self.stats,
            settings=settings,
            clock=clock,
            call_later=loop.call_later,
            run_in_thread=self._run_in_thread,
        )
        self._status = Status(self.stats, hub, clock, clock(), RecentRate(clock()))
        self._wheel = HeartbeatWheel(settings.heartbeat_interval, settings.heartbeat_timeout, clock(), self.stats)
        self._lag = LoopLag(loop, clock, self.stats.event_loop_lag)
        render = Exposition(
            (
                *server_collectors(self.stats, hub.rooms, self._uploads),
                BuildCollector(__version__, platform.python_version(), version("uvloop"), version("websockets")),
            )
        ).render
        own_address = settings.metrics_port is not None
        answers = pages(self._status, None if own_address else render)
        self._gate = Gate(services, Router(answers, self.stats), UPGRADES, self._wheel, loop)
        self._metrics_gate = (
            Gate(services, Router(metrics_pages(render), self.stats), {}, self._wheel, loop) if own_address else None
        )
        self._listeners: list[asyncio.Server] = []
        self._timers: list[asyncio.TimerHandle] = []

    async def start(self) -> list[str]:
        """Listen, and return the lines that tell a person where.

        Raises:
            SettingsError: an address cannot be listened on, or the upload folder cannot be cleaned.
        """
        settings = self._settings
        try:
            self._uploads.remove_leftovers()
        except OSError as error:
            raise SettingsError(f"cannot use upload folder {settings.upload_dir}: {error.strerror}") from None
        port = await self._listen(self._gate, settings.port)
        lines = [f"Stampede listening on ws://{_bracketed(settings.host)}:{port}"]
        if self._metrics_gate is not None:
            metrics_port = await self._listen(self._metrics_gate, settings.metrics_port or 0)
            lines.append(f"Metrics on http://{_bracketed(settings.host)}:{metrics_port}/metrics")
        self._lag.start()
        self._turn_wheel()
        self._sample_rate()
        # What was made until now lives as long as the process: keep the collector from walking it again and again.
        gc.collect()
        gc.freeze()
        return lines

    async def stop(self) -> None:
        """Take nobody new, say goodbye to everyone, and wait a little for them to go."""
        self._status.draining = "shutting down"
        for listener in self._listeners:
            listener.close()
        for timer in self._timers:
            timer.cancel()
        self._lag.stop()
        gates = [gate for gate in (self._gate, self._metrics_gate) if gate is not None]
        for gate in gates:
            for connection in list(gate.connections):
                connection.close(CloseReason.SHUTDOWN, "the server is shutting down")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                for gate in gates:
                    await gate.emptied()
        for gate in gates:
            for connection in list(gate.connections):
                connection.abort()
        await asyncio.sleep(0)  # let the aborted ones be accounted for

    async def _listen(self, gate: Gate, port: int) -> int:
        try:
            listener = await self._loop.create_server(
                lambda: Connection(gate), self._settings.host, port, backlog=_BACKLOG
            )
        except (OSError, UnicodeError) as error:
            address = f"{_bracketed(self._settings.host)}:{port}"
            raise SettingsError(f"cannot listen on {address}: {_in_words(error)}") from None
        self._listeners.append(listener)
        return int(listener.sockets[0].getsockname()[1])

    def _turn_wheel(self) -> None:
        self._wheel.advance(self._clock())
        self._again(self._wheel.resolution, self._turn_wheel)

    def _sample_rate(self) -> None:
        self._status.rate.sample(self._clock(), self._status.received)
        self._again(_RATE_SAMPLE_SECONDS, self._sample_rate)

    def _again(self, seconds: float, callback: Callable[[], None]) -> None:
        self._timers = [timer for timer in self._timers if timer.when() > self._loop.time()]
        self._timers.append(self._loop.call_later(seconds, callback))

    def _run_in_thread(self, work: Callable[[], FileSaved], done: Callable[[FileSaved | BaseException], None]) -> None:
        future = self._loop.run_in_executor(None, work)
        future.add_done_callback(lambda f: done(f.exception() or f.result()))


def run(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code."""
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    _raise_file_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    server = ChatServer(settings, loop)
    try:
        lines = await server.start()
    except SettingsError as error:
        print(f"stampede: {error}", file=sys.stderr)
        return 1
    for line in lines:
        print(line, flush=True)
    await ended.wait()
    await server.stop()
    return 0


def _raise_file_limit() -> None:
    """Allow as many connections as the system lets us have without asking anyone."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _in_words(error: OSError | UnicodeError) -> str:
    """Return the system's own words: uvloop wraps them; a name that cannot be looked up has a number of its own."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower() if error.errno > 0 else str(error.strerror)
    return str(error)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
