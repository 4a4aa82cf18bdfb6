"""Composition root: build the parts, listen, serve until told to stop, say goodbye."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import platform
import signal
import socket
import sys
import tempfile
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
import uvloop

from metrics.collectors import BuildCollector, BusCollector, WorkersCollector, server_collectors
from metrics.exposition import Exposition
from server import __version__
from server.chat.batching import BatchScheduler
from server.chat.broker import NullBroker
from server.chat.hub import Hub
from server.chat.load_report import LoadMeter
from server.chat.registry import Registry
from server.cluster.cluster import Cluster
from server.context import Services
from server.drain import Drain
from server.errors import SettingsError
from server.http.admission import Admission
from server.http.auth import Identity
from server.http.connection import HttpConnection
from server.http.handshake import HandshakePolicy
from server.http.listener import Gate
from server.http.pages import RecentRate, Status, metrics_pages, pages
from server.http.response import Router
from server.http.tls_connection import TlsHttpConnection
from server.runtime import logging as logs
from server.runtime.background_tasks import BackgroundTasks
from server.runtime.exception_fields import exception_fields
from server.runtime.listen import bind, error_text, url_host
from server.runtime.loop_lag import LoopLag
from server.runtime.rlimits import METRICS_SOCKETS, REFUSED_SOCKETS, SPARE_SOCKETS, raise_file_limit, socket_budget
from server.runtime.signals import SIGNAL_NAMES, write_line
from server.runtime.tls import TlsFiles
from server.stats import ServerStats
from server.supervisor.supervisor import Supervisor
from server.uploads.daemon_threads import DaemonThreadPool
from server.uploads.retention import Retention
from server.uploads.uploads import UploadStore
from server.websocket.endpoints import routes
from server.websocket.heartbeat import HeartbeatWheel

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Sequence

    from server.settings import Settings

GOODBYE_SECONDS: Final = 2.0
"""How long clients may take to answer our close frames before they are cut off."""

HURRY_SECONDS: Final = 0.25
"""How long each part of the end may still take once a second signal has come."""

UPLOAD_SECONDS: Final = 5.0
"""How long it may take to remove what is left of unfinished uploads; the next start removes the rest."""

log = structlog.get_logger()

_BACKLOG: Final = 4096
_UNSENT_IN_KERNEL: Final = 128 * 1024
"""Bytes that the kernel takes for a client beyond what is on its way (tcp(7), TCP_NOTSENT_LOWAT): without a limit its
buffers hide several MiB from the ones that we count, and a client that stopped reading looks fine for long."""
_RATE_SAMPLE_SECONDS: Final = 1.0
_DISK_THREADS: Final = 4
_GC_OBJECTS: Final = 50_000
"""New objects until the collector looks for cycles, of which next to none are made: each connection is some dozens of
objects, and by default thousands who come at once would have it walk them all, again and again."""


class ChatServer:
    """One server process: `start`, wait, `drain`."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        clock = time.perf_counter
        self._settings = settings
        self._loop = loop
        self._clock = clock
        self._tls = TlsFiles(settings.tls_cert, settings.tls_key) if settings.tls_cert and settings.tls_key else None
        self.stats = ServerStats()
        self._tasks = BackgroundTasks(self.stats.task_failures)
        self._scheduler = BatchScheduler(loop.call_soon, clock)
        registry = Registry(self.stats, self._scheduler, clock)
        self._cluster = self._make_cluster(settings.nats, registry) if settings.nats else None
        hub = Hub(
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
        self._retention = Retention(
            self._uploads,
            settings.upload_keep,
            wall_clock=time.time,
            run_in_thread=run_in_thread,
        )
        services = Services(
            hub=hub,
            uploads=self._uploads,
            stats=self.stats,
            settings=settings,
            clock=clock,
            run_in_thread=run_in_thread,
        )
        self._hub = hub
        self._status = Status(self.stats, hub, clock, clock(), RecentRate(clock()), cluster=self._cluster)
        self._meter = LoadMeter(self.stats, registry.rooms, clock())
        self._wheel = HeartbeatWheel(settings.heartbeat_interval, settings.heartbeat_timeout, clock(), self.stats)
        self._lag = LoopLag(loop, clock, self.stats.event_loop_lag)
        budget = socket_budget(settings.max_connections, settings.max_uploads)
        self._admission = Admission(budget.connections, settings.max_connections_per_address, settings.handshake_rate)
        render = Exposition(
            (
                *server_collectors(self.stats, registry.rooms, self._uploads, self._admission),
                *([BusCollector(self.stats, self._cluster)] if self._cluster is not None else ()),
                BuildCollector(__version__, platform.python_version(), version("uvloop"), version("websockets")),
            ),
            duration="chat_scrape_duration_seconds",
        ).render
        self._identity = (
            Identity(settings.jwt_secret_file, settings.jwt_audience, settings.jwt_issuer, settings.jwt_leeway)
            if settings.jwt_secret_file
            else None
        )
        own_address = settings.metrics_port is not None
        policy = HandshakePolicy(
            router=Router(pages(self._status, None if own_address else render), self.stats),
            routes=routes(settings),
            admission=self._admission,
            stats=self.stats,
            clock=clock,
            origins=settings.allowed_origin,
            require_origin=settings.require_origin,
            proxies=settings.trusted_proxy,
            identity=self._identity,
        )
        metrics_policy = dataclasses.replace(policy, router=Router(metrics_pages(render), self.stats), routes={})
        self._gate = self._make_gate(services, policy, budget.connections + SPARE_SOCKETS, budget.sockets)
        self._metrics_gate = (
            self._make_gate(services, metrics_policy, METRICS_SOCKETS, METRICS_SOCKETS + REFUSED_SOCKETS)
            if own_address
            else None
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
            await self._retention.start()
        except OSError as error:
            raise SettingsError(f"cannot use upload folder {settings.upload_dir}: {error.strerror}") from None
        if self._cluster is not None:
            await self._cluster.start(self._hub)
        context = self._tls.context if self._tls is not None else None
        address = await self._listen(self._gate, settings.port, context)
        scheme = "wss" if self._tls is not None else "ws"
        who = "clients prove who they are" if settings.jwt_secret_file else "anyone may connect, under any name"
        page = f"http{scheme.removeprefix('ws')}://{address}"
        lines = [f"Stampede listening on {scheme}://{address} with its page at {page} ({who})"]
        if self._metrics_gate is not None:
            metrics_address = await self._listen(self._metrics_gate, settings.metrics_port or 0, None)
            lines.append(f"Metrics on http://{metrics_address}/metrics")
        self._lag.start()
        self._repeat("heartbeat", self._wheel.resolution, self._turn_wheel)
        self._repeat("load_report", _RATE_SAMPLE_SECONDS, self._sample_rate)
        # What was made until now lives as long as the process: keep the collector from walking it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GC_OBJECTS)
        return lines

    def reload_files(self) -> None:
        """Read certificate and token keys again; open connections stay. Files that are unusable change nothing."""
        for files, reloaded, not_reloaded in (
            (self._tls, "certificate reloaded", "certificate not reloaded"),
            (self._identity, "token keys reloaded", "token keys not reloaded"),
        ):
            if files is None:
                continue
            try:
                files.reload()
            except SettingsError as error:
                log.error(not_reloaded, **exception_fields(error))  # noqa: TRY400 - the fields name the exception
            else:
                log.info(reloaded)

    async def drain(self, hurry: asyncio.Event) -> None:
        """Take nobody new, tell everyone to go, spread over the drain time, and end.

        Args:
            hurry: once set, everyone still here is cut off at once.
        """
        self._status.draining = "draining"
        self._admission.draining = True
        self._hub.announce_drain()
        drain = Drain(self._gate, self._settings.drain_seconds, self._clock)
        await _wait(self._everyone_gone(drain), hurry, grace=0)
        for listener in self._listeners:
            listener.close()
        for timer in self._timers:
            timer.cancel()
        self._lag.stop()
        for gate in (self._gate, self._metrics_gate):
            for guest in list(gate.guests) if gate is not None else ():
                guest.abort()
        await asyncio.sleep(0)  # let the aborted ones be accounted for
        if self._cluster is not None:
            await _wait(self._cluster.stop(), hurry)
        await _wait(self._uploads.wait_until_idle(), hurry, UPLOAD_SECONDS)

    async def _everyone_gone(self, drain: Drain) -> None:
        await drain.run()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._gate.emptied()

    def _make_cluster(self, url: str, registry: Registry) -> Cluster:
        return Cluster(
            url,
            self._settings.nats_credentials,
            registry.rooms,
            self.stats,
            scheduler=self._scheduler,
            clock=self._clock,
            messages_per_second=lambda: self._status.messages_per_second,
            tasks=self._tasks,
        )

    def _make_gate(self, services: Services, policy: HandshakePolicy, most_sockets: int, socket_limit: int) -> Gate:
        return Gate(services, policy, self._wheel, self._loop, self._scheduler, most_sockets, socket_limit)

    async def _listen(self, gate: Gate, port: int, context: ssl.SSLContext | None) -> str:
        """Listen, and return host and port as they stand in a URL."""
        settings = self._settings
        sockets = bind(settings.host, port, reuse_port=settings.reuse_port)
        for each in sockets:  # what is accepted inherits this
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_IN_KERNEL)
        address = f"{url_host(settings.host, sockets[0])}:{sockets[0].getsockname()[1]}"
        for each in sockets:
            try:
                listener = await self._loop.create_server(
                    lambda: HttpConnection(gate) if context is None else TlsHttpConnection(gate, context),
                    sock=each,
                    backlog=_BACKLOG,
                )
            except OSError as error:  # somebody else has begun to listen since
                raise SettingsError(f"cannot listen on {address}: {error_text(error)}") from None
            self._listeners.append(listener)
        return address

    def _turn_wheel(self) -> None:
        self._wheel.advance(self._clock())

    def _sample_rate(self) -> None:
        now = self._clock()
        self._status.rate.sample(now, self._status.received)
        is_watched = bool(self._hub.registry.watchers)
        self._hub.report_load(self._meter.measure(now, self._lag.take_maximum(), with_rooms=is_watched))

    def _repeat(self, task: str, seconds: float, turn: Callable[[], None]) -> None:
        """Take a turn now, and again after each such time; one that fails is reported, and the next one comes."""
        self._tasks.run_guarded(task, turn)
        self._timers = [timer for timer in self._timers if timer.when() > self._loop.time()]
        self._timers.append(self._loop.call_later(seconds, self._repeat, task, seconds, turn))


def run(settings: Settings, arguments: Sequence[str]) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code.

    Args:
        settings: what the command line and the environment say.
        arguments: that command line, for workers to be started with.
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
    ended, hurry = asyncio.Event(), asyncio.Event()
    how = ""

    def end(name: str) -> None:
        nonlocal how
        if ended.is_set():
            hurry.set()
        how = name
        ended.set()

    for number, name in SIGNAL_NAMES.items():
        loop.add_signal_handler(number, end, name)
    try:
        server = ChatServer(settings, loop)
        loop.add_signal_handler(signal.SIGHUP, server.reload_files)
        starting = asyncio.ensure_future(server.start())
        ending = asyncio.ensure_future(ended.wait())
        await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            return 0
        lines = starting.result()
    except SettingsError as error:
        print(f"stampede: {error}", file=sys.stderr)
        return 1
    for line in lines:
        print(line, flush=True)
    await ended.wait()
    if clients := server.stats.connections:
        write_line(f"draining {clients} client{'s' * (clients > 1)}, {how} again to end now")
    await server.drain(hurry)
    return 0


async def _wait(
    work: Coroutine[Any, Any, object], hurry: asyncio.Event, seconds: float | None = None, grace: float = HURRY_SECONDS
) -> None:
    """Wait for something, for some seconds at most; as soon as there is hurry, for no more than the grace."""
    doing, hurried = asyncio.ensure_future(work), asyncio.ensure_future(hurry.wait())
    await asyncio.wait({doing, hurried}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    if hurried.done():
        await asyncio.wait({doing}, timeout=grace)
    hurried.cancel()
    if not doing.done():
        doing.cancel()
    elif (error := doing.exception()) is not None:
        log.error("not ended in order", **exception_fields(error))
