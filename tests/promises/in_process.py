"""The server without sockets: a real `ChatServer` on a real event loop, with fake transports."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn

import structlog

from server.app import ChatServer
from server.http.connection import HttpConnection
from server.settings import Settings
from server.websocket.connection import Connection
from server.websocket.routes import ROUTES, AcceptedUpgrade

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping
    from pathlib import Path

TIMEOUT_SECONDS: Final = 60


class FakeTransport(asyncio.Transport):
    """A transport that is as strict as uvloop's: writing to it after it was closed is an error.

    Attributes:
        written: the bytes written since the last `take_written`.
        is_blocked: whether the peer does not read, so that written bytes stay unsent.
        reading_enabled: whether the protocol has not paused reading.
    """

    protocol: asyncio.Protocol

    def __init__(self, *, can_half_close: bool = True) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False
        self.half_closed = False
        self.is_blocked = False
        self.reading_enabled = True
        self._unsent = 0
        self._high = 65536
        self._is_paused = False
        self._can_half_close = can_half_close
        self._lost = False

    # --- called by the protocol ---

    def write(self, data: Any) -> None:
        assert not self.closed, "write after close"
        assert not self.half_closed, "write after end of stream"
        self.written += data
        if self.is_blocked:
            self._unsent += len(data)
            if self._unsent > self._high and not self._is_paused:
                self._is_paused = True
                self.protocol.pause_writing()

    def write_eof(self) -> None:
        assert not self.closed, "end of stream after close"
        self.half_closed = True

    def can_write_eof(self) -> bool:
        return self._can_half_close

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        assert not self.closed
        self.reading_enabled = False

    def resume_reading(self) -> None:
        assert not self.closed
        self.reading_enabled = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 65536 if high is None else high

    def get_write_buffer_size(self) -> int:
        return self._unsent

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 40000) if name == "peername" else default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol

    # --- actions of the peer ---

    def feed(self, data: bytes) -> None:
        """Deliver bytes, unless the transport is closed."""
        if not self.closed:
            self.protocol.data_received(data)

    def read_all(self) -> None:
        """Unblock the peer, and send all unsent bytes."""
        self.is_blocked = False
        self._unsent = 0
        if self._is_paused:
            self._is_paused = False
            self.protocol.resume_writing()

    def take_written(self) -> bytes:
        """Return the bytes written since the last call."""
        data = bytes(self.written)
        self.written.clear()
        return data

    def lose_connection(self) -> None:
        """Call `connection_lost`, as the event loop does once."""
        assert not self._lost
        self._lost = True
        self.closed = True
        self.protocol.connection_lost(None)


class WarningCollector(logging.Handler):
    """Collects the warnings and errors that the server or a library logs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def take(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> NoReturn:
        """Collect an event of the server's own log, and write it nowhere."""
        self.lines.append(str(event))
        raise structlog.DropEvent


class InProcessServer:
    """One server, and the connections of a test to it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.loop = asyncio.get_running_loop()
        limits = {"handshake_rate": 0.0, "message_rate": 0.0, "heartbeat_interval": 0.0}
        self.chat_server = ChatServer(Settings(upload_dir=folder, **{**limits, **settings}), self.loop)
        self.listener = self.chat_server.listener
        self.context = self.chat_server.context
        self.hub = self.context.hub
        self.errors: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _loop, context: self.errors.append(context))

    def connect(self, *, can_half_close: bool = True) -> FakeTransport:
        """Return the transport of a new connection without any data."""
        transport = FakeTransport(can_half_close=can_half_close)
        transport.protocol = HttpConnection(self.listener)
        transport.protocol.connection_made(transport)
        return transport

    def open_websocket(self, path: str = "/ws/chat", *, can_half_close: bool = True) -> FakeTransport:
        """Return the transport of a new WebSocket; the handshake, which costs more than all the rest, is skipped."""
        transport = FakeTransport(can_half_close=can_half_close)
        assert self.chat_server.admission.admit("127.0.0.1", 0.0) is None
        upgrade = AcceptedUpgrade(ROUTES[path], path, "127.0.0.1", None)
        connection = Connection(self.listener.context, transport, upgrade, self.listener.on_websocket_closed)
        transport.protocol = connection
        self.listener.add(connection)
        connection.open()
        return transport

    async def run_callbacks(self) -> None:
        """Run the callbacks that are due."""
        for _ in range(3):
            await asyncio.sleep(0)

    async def wait_for_uploads(self) -> None:
        """Wait until no upload is in progress."""
        await self.run_callbacks()  # an upload starts in a task
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while self.context.uploads.active:  # noqa: ASYNC110 - the store has no event for this
                await asyncio.sleep(0.001)

    def resource_counts(self) -> dict[str, int]:
        """Return the numbers of all resources that must not grow."""
        gc.collect()
        return {
            "objects": len(gc.get_objects()),
            "open": len(self.listener.connections),
            "rooms": len(self.hub.registry.rooms),
            "everyone": len(self.hub.registry.everyone),
            "watchers": len(self.hub.registry.watchers),
            "admitted": self.chat_server.admission._connections,
            "connections": self.chat_server.stats.connections,
            "slow": self.chat_server.stats.slow_consumers,
            "uploads": self.context.uploads.active,
            "monitored": sum(map(len, self.context.wheel._slots)),
        }


@asynccontextmanager
async def in_process_server(folder: Path, **settings: Any) -> AsyncIterator[InProcessServer]:
    """Run a server without sockets; fail if it logs a warning or an error."""
    warnings = WarningCollector()
    root = logging.getLogger()
    root.addHandler(warnings)
    before = structlog.get_config()
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(processors=[warnings.take], wrapper_class=quiet)
    try:
        server = InProcessServer(folder, **settings)
        yield server
        await server.run_callbacks()
        assert not server.errors, server.errors[0]
        assert not warnings.lines, warnings.lines[0]
    finally:
        structlog.configure(**before)
        root.removeHandler(warnings)
