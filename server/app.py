"""The server process: build its parts, listen, serve until a signal comes, shut down gracefully."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import os
import platform
import signal
import socket
import sys
import tempfile
import time
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
import uvloop

from metrics.catalog import CATALOG
from metrics.collectors import BuildCollector, BusCollector, WorkersCollector, server_collectors
from server import __version__
from server.chat.batching import BatchScheduler
from server.chat.broker import NullBroker
from server.chat.hub import Hub
from server.chat.load_report import LoadMeter
from server.chat.registry import Registry
from server.drain import Drain
from server.errors import SettingsError
from server.http.admission import Admission
from server.http.connection import HttpConnection
from server.http.handshake import HandshakePolicy
from server.http.listener import Listener
from server.http.pages import MessageRate, Status, metrics_pages, public_pages
from server.http.router import Router
from server.http.tls_connection import TlsHttpConnection
from server.runtime import logging as logs
from server.runtime.background_tasks import BackgroundTasks
from server.runtime.exception_fields import exception_fields
from server.runtime.listen import acceptors, bind, error_text, url_host
from server.runtime.loop_lag import LoopLag
from server.runtime.rlimits import METRICS_SOCKETS, REFUSED_SOCKETS, SPARE_SOCKETS, raise_file_limit, socket_budget
from server.runtime.signals import ExitSignals, write_line
from server.runtime.tls import TlsFiles
from server.stats import ServerStats
from server.supervisor.startup_report import StartupReport
from server.supervisor.supervisor import Supervisor
from server.uploads.daemon_threads import DaemonThreadPool
from server.uploads.downloads import Downloads
from server.uploads.retention import Retention
from server.uploads.uploads import UploadStore
from server.websocket.connection import Connection
from server.websocket.context import ServerContext
from server.websocket.heartbeat import HeartbeatWheel
from server.websocket.routes import enabled_routes
from stampede.metrics.exposition import Exposition

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Sequence

    from server.cluster.cluster import Cluster
    from server.http.auth import Authenticator
    from server.settings import Settings

CLOSE_SECONDS: Final = 2.0
"""How long clients may take to answer the close frames of a shutdown; then their connections are aborted."""

CLEANUP_SECONDS: Final = 5.0
"""How long the removal of unfinished uploads may take at a shutdown; the next start removes what is left."""

FORCED_EXIT_SECONDS: Final = 0.25
"""How long each part of a shutdown may still take after a second signal."""

log = structlog.get_logger()

_BACKLOG: Final = 4096
_UNSENT_IN_KERNEL: Final = 128 * 1024
"""Unsent bytes that the kernel buffers for one client (tcp(7), TCP_NOTSENT_LOWAT). Without a limit it buffers several
MiB that the server does not count, and a slow consumer is detected late."""
_RATE_SAMPLE_SECONDS: Final = 1.0
_DISK_THREADS: Final = 4
_GC_OBJECTS: Final = 50_000
"""Number of new objects after which the cycle collector runs.

The server makes almost no cycles, but each connection consists of dozens of objects. At Python's default, thousands of
new connections would trigger many useless collections.
"""


class ChatServer:
    """One server process.

    `serve` runs its whole life cycle: `startup`, wait for a signal, `shutdown`.

    Attributes:
        context: the state that all connections share.
        admission: the limits on connections.
        listener: the public address; `metrics_listener`: that of /metrics, if it has its own.
    """

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        clock = time.perf_counter
        self._settings = settings
        self._loop = loop
        self._clock = clock
        self._tls = TlsFiles(settings.tls_cert, settings.tls_key) if settings.tls_cert and settings.tls_key else None
        self._authenticator = self._make_authenticator(settings.jwt_secret_file) if settings.jwt_secret_file else None
        self.stats = ServerStats()
        self._tasks = BackgroundTasks(self.stats.task_failures)
        self._message_rate = MessageRate(self.stats, clock)
        scheduler = BatchScheduler(loop.call_soon, clock)
        registry = Registry(self.stats, scheduler, clock)
        self._cluster = self._make_cluster(settings.nats, registry, scheduler) if settings.nats else None
        self._hub = Hub(
            registry,
            self._cluster.node if self._cluster is not None else NullBroker(),
            self.stats,
            clock=clock,
            wall_ms=lambda: time.time_ns() // 1_000_000,
            call_later=loop.call_later,
            presence_threshold=settings.presence_threshold,
            chat_rate=settings.chat_rate,
            chat_rate_total=settings.chat_rate_total,
        )
        run_in_thread = partial(loop.run_in_executor, DaemonThreadPool(_DISK_THREADS))
        self._uploads = UploadStore(
            settings.upload_dir, self.stats, max_uploads=settings.max_uploads, budget=settings.upload_budget
        )
        downloads = Downloads(
            settings.upload_dir, self.stats, settings.upload_keep, wall_clock=time.time, run_in_thread=run_in_thread
        )
        self._retention = Retention(
            self._uploads,
            settings.upload_keep,
            wall_clock=time.time,
            run_in_thread=run_in_thread,
        )
        self._meter = LoadMeter(self.stats, registry.rooms, clock())
        self._wheel = HeartbeatWheel(settings.heartbeat_interval, settings.heartbeat_timeout, clock(), self.stats)
        self._lag = LoopLag(loop, clock, self.stats.event_loop_lag)
        budget = socket_budget(settings.max_connections, settings.max_uploads)
        self.admission = Admission(budget.connections, settings.max_connections_per_address, settings.handshake_rate)
        self.context = ServerContext(
            settings=settings,
            stats=self.stats,
            hub=self._hub,
            uploads=self._uploads,
            downloads=downloads,
            wheel=self._wheel,
            scheduler=scheduler,
            loop=loop,
            clock=clock,
            run_in_thread=run_in_thread,
        )
        self.listener, self.metrics_listener = self._make_listeners(budget.connections + SPARE_SOCKETS, budget.sockets)
        self._servers: list[asyncio.Server] = []
        self._timers: list[asyncio.TimerHandle] = []

    # Authentication and clustering are imported on demand: PyJWT and nats-py take 40 % of the start-up time of a server
    # that uses neither (0.3 s of CPU).

    def _make_authenticator(self, secret_file: Path) -> Authenticator:
        from server.http.auth import Authenticator  # noqa: PLC0415

        settings = self._settings
        return Authenticator(secret_file, settings.jwt_audience, settings.jwt_issuer, settings.jwt_leeway)

    def _make_cluster(self, url: str, registry: Registry, scheduler: BatchScheduler) -> Cluster:
        from server.cluster.cluster import Cluster  # noqa: PLC0415

        return Cluster(
            url,
            self._settings.nats_credentials,
            registry.rooms,
            self.stats,
            scheduler=scheduler,
            clock=self._clock,
            messages_per_second=self._message_rate.per_second,
            tasks=self._tasks,
        )

    def _make_listeners(self, soft_limit: int, hard_limit: int) -> tuple[Listener, Listener | None]:
        """Return the public listener, and the one for metrics if they have their own port."""
        settings = self._settings
        render = Exposition(
            (
                *server_collectors(self.stats, self._hub.registry.rooms, self._uploads, self.admission),
                *([BusCollector(self.stats, self._cluster)] if self._cluster is not None else ()),
                BuildCollector(__version__, platform.python_version(), version("uvloop"), version("websockets")),
            ),
            duration=CATALOG["chat_scrape_duration_seconds"],
        ).render
        status = Status(
            self.stats, self._hub, self.admission, self._message_rate, self._clock, self._clock(), self._cluster
        )
        has_metrics_port = settings.metrics_port is not None
        policy = HandshakePolicy(
            router=Router(public_pages(status, None if has_metrics_port else render), self.stats),
            routes=enabled_routes(settings),
            admission=self.admission,
            stats=self.stats,
            clock=self._clock,
            origins=settings.allowed_origin,
            require_origin=settings.require_origin,
            proxies=settings.trusted_proxy,
            authenticator=self._authenticator,
        )
        listener = Listener(self.context, policy, soft_limit, hard_limit)
        if not has_metrics_port:
            return listener, None
        metrics_policy = dataclasses.replace(
            policy, router=Router(metrics_pages(render), self.stats), routes={}, serves_files=False
        )
        return listener, Listener(self.context, metrics_policy, METRICS_SOCKETS, METRICS_SOCKETS + REFUSED_SOCKETS)

    async def serve(self, signals: ExitSignals) -> int:
        """Serve until the first signal, then shut down; return the exit code.

        Raises:
            SettingsError: as `startup` does.
        """
        self._loop.add_signal_handler(signal.SIGHUP, self.reload_files)
        starting = asyncio.ensure_future(self.startup())
        exiting = asyncio.ensure_future(signals.should_exit.wait())
        await asyncio.wait({starting, exiting}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            return 0
        print(starting.result().render(os.environ), flush=True)
        await exiting
        if clients := self.stats.connections:
            write_line(f"draining {clients} client{'s' * (clients > 1)}, {signals.name} again to end now")
        await self.shutdown(signals.force_exit)
        return 0

    async def startup(self) -> StartupReport:
        """Listen, and return the addresses.

        Raises:
            SettingsError: the server cannot listen on an address, or cannot clean the upload folder.
        """
        settings = self._settings
        try:
            await self._retention.start()
        except OSError as error:
            raise SettingsError(f"cannot use upload folder {settings.upload_dir}: {error.strerror}") from None
        if self._cluster is not None:
            await self._cluster.start(self._hub)
        tls_context = self._tls.context if self._tls is not None else None
        address = await self._listen(self.listener, settings.port, tls_context)
        scheme = "wss" if self._tls is not None else "ws"
        access = "clients need a token" if settings.jwt_secret_file else "anyone may connect, under any name"
        page = f"http{scheme.removeprefix('ws')}://{address}"
        announcement = f"Stampede listening on {scheme}://{address} with its page at {page} ({access})"
        metrics_address = None
        if self.metrics_listener is not None:
            metrics_address = await self._listen(self.metrics_listener, settings.metrics_port or 0, None)
        self._lag.start()
        self._repeat("heartbeat", self._wheel.resolution, self._advance_wheel)
        self._repeat("load_report", _RATE_SAMPLE_SECONDS, self._report_load)
        # Objects made so far live as long as the process: exclude them from later collections.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GC_OBJECTS)
        return StartupReport(announcement, metrics_address)

    async def shutdown(self, force_exit: asyncio.Event) -> None:
        """Refuse new connections, close the others over the drain time, and stop.

        Args:
            force_exit: once set, all connections are aborted at once.
        """
        self.admission.draining = True
        self._hub.announce_drain()
        await _wait(self._close_connections(), force_exit, grace=0)
        for server in self._servers:
            server.close()
        for timer in self._timers:
            timer.cancel()
        self._lag.stop()
        for listener in (self.listener, self.metrics_listener):
            for connection in list(listener.connections) if listener is not None else ():
                connection.abort()
        await asyncio.sleep(0)  # let `connection_lost` run, which counts each end
        if self._cluster is not None:
            await _wait(self._cluster.stop(), force_exit)
        await _wait(self._uploads.wait_until_idle(), force_exit, CLEANUP_SECONDS)

    def reload_files(self) -> None:
        """Read certificate and token keys again. Open connections stay open; unusable files change nothing."""
        for files, reloaded, not_reloaded in (
            (self._tls, "certificate reloaded", "certificate not reloaded"),
            (self._authenticator, "token keys reloaded", "token keys not reloaded"),
        ):
            if files is None:
                continue
            try:
                files.reload()
            except SettingsError as error:
                log.error(not_reloaded, **exception_fields(error))  # noqa: TRY400 - the fields name the exception
            else:
                log.info(reloaded)

    async def _close_connections(self) -> None:
        """Close all WebSockets, then wait until the clients have ended their connections."""
        websockets = [each for each in self.listener.connections if isinstance(each, Connection)]
        await Drain(websockets, self._settings.drain_seconds, self._clock).run()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.listener.wait_empty()

    async def _listen(self, listener: Listener, port: int, tls_context: ssl.SSLContext | None) -> str:
        """Listen, and return host and port in the form of a URL."""
        settings = self._settings
        sockets = bind(settings.host, port, reuse_port=settings.reuse_port)
        address = f"{url_host(settings.host, sockets[0])}:{sockets[0].getsockname()[1]}"
        make: Callable[[], HttpConnection] = partial(HttpConnection, listener)
        if tls_context is not None:
            make = partial(TlsHttpConnection, listener, tls_context)
        for each in chain.from_iterable(map(acceptors, sockets)):
            # Accepted sockets inherit the option.
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_IN_KERNEL)
            try:
                server = await self._loop.create_server(make, sock=each, backlog=_BACKLOG)
            except OSError as error:  # another process has begun to listen since `bind`
                raise SettingsError(f"cannot listen on {address}: {error_text(error)}") from None
            self._servers.append(server)
        return address

    def _advance_wheel(self) -> None:
        self._wheel.advance(self._clock())

    def _report_load(self) -> None:
        self._message_rate.sample()
        is_watched = bool(self._hub.registry.watchers)
        self._hub.report_load(self._meter.measure(self._clock(), self._lag.take_maximum(), with_rooms=is_watched))

    def _repeat(self, task: str, seconds: float, turn: Callable[[], None]) -> None:
        """Call `turn` now and again after each interval; an error is logged and counted, and does not end the timer."""
        self._tasks.run_guarded(task, turn)
        self._timers = [timer for timer in self._timers if timer.when() > self._loop.time()]
        self._timers.append(self._loop.call_later(seconds, self._repeat, task, seconds, turn))


def run(settings: Settings, arguments: Sequence[str]) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code.

    Args:
        settings: the settings of this process.
        arguments: the command line that they come from, for the workers of `--workers`.
    """
    raise_file_limit()
    log_lines = logs.configure(settings.log_level, settings.log_format, sys.stderr.fileno())
    try:
        if settings.workers > 1:
            supervisor = Supervisor(settings, arguments)
            render = Exposition((WorkersCollector(supervisor.children),)).render
            with tempfile.TemporaryDirectory(prefix="stampede-") as folder:
                return asyncio.run(supervisor.run(Path(folder), render))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(settings))
    finally:
        log_lines.close()


async def _serve(settings: Settings) -> int:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(logs.log_loop_exception)
    signals = ExitSignals(loop)
    try:
        return await ChatServer(settings, loop).serve(signals)
    except SettingsError as error:
        print(f"stampede: {error}", file=sys.stderr)
        return 1


async def _wait(
    work: Coroutine[Any, Any, object],
    force_exit: asyncio.Event,
    seconds: float | None = None,
    grace: float = FORCED_EXIT_SECONDS,
) -> None:
    """Wait for a part of the shutdown, for some seconds at most; after `force_exit`, for no more than the grace."""
    working, forced = asyncio.ensure_future(work), asyncio.ensure_future(force_exit.wait())
    await asyncio.wait({working, forced}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    if forced.done():
        await asyncio.wait({working}, timeout=grace)
    forced.cancel()
    if not working.done():
        working.cancel()
    elif (error := working.exception()) is not None:
        log.error("shutdown step failed", **exception_fields(error))
