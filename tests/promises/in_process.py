"""The server without sockets: its real parts on a real event loop, and transports that a test holds in its hands."""

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

PATIENCE_SECONDS: Final = 60


class Pipe(asyncio.Transport):
    """A transport that is as strict as uvloop's: whoever writes to it once it is closed has made a mistake.

    Attributes:
        written: everything that was sent, until somebody takes it.
        blocked: the peer reads nothing: what is written stays unsent.
        reads: whether what arrives is handed on.
    """

    protocol: asyncio.Protocol

    def __init__(self, *, can_half_close: bool = True) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False
        self.half_closed = False
        self.blocked = False
        self.reads = True
        self._unsent = 0
        self._high = 65536
        self._is_paused = False
        self._can_half_close = can_half_close
        self._lost = False

    # --- what the protocol calls ---

    def write(self, data: Any) -> None:
        assert not self.closed, "write after close"
        assert not self.half_closed, "write after end of stream"
        self.written += data
        if self.blocked:
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
        self.reads = False

    def resume_reading(self) -> None:
        assert not self.closed
        self.reads = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 65536 if high is None else high

    def get_write_buffer_size(self) -> int:
        return self._unsent

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 40000) if name == "peername" else default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol

    # --- what the peer does ---

    def feed(self, data: bytes) -> None:
        """Let bytes arrive, unless the server has cut the connection."""
        if not self.closed:
            self.protocol.data_received(data)

    def catch_up(self) -> None:
        """Read everything that is unsent."""
        self.blocked = False
        self._unsent = 0
        if self._is_paused:
            self._is_paused = False
            self.protocol.resume_writing()

    def take(self) -> bytes:
        """Return what was sent since the last time."""
        data = bytes(self.written)
        self.written.clear()
        return data

    def lose(self) -> None:
        """End, as the loop tells it: once."""
        assert not self._lost
        self._lost = True
        self.closed = True
        self.protocol.connection_lost(None)


class Complaints(logging.Handler):
    """Whatever the server, or a library that it uses, finds worth a warning."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def take(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> NoReturn:
        """Take an event of the server's own log, the end of its way."""
        self.lines.append(str(event))
        raise structlog.DropEvent


class World:
    """One server, and those who come to it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.loop = asyncio.get_running_loop()
        limits = {"handshake_rate": 0.0, "message_rate": 0.0, "heartbeat_interval": 0.0}
        self.server = ChatServer(Settings(upload_dir=folder, **{**limits, **settings}), self.loop)
        self.listener = self.server.listener
        self.context = self.server.context
        self.hub = self.context.hub
        self.errors: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _loop, context: self.errors.append(context))

    def visit(self, *, can_half_close: bool = True) -> Pipe:
        """Let somebody connect."""
        pipe = Pipe(can_half_close=can_half_close)
        pipe.protocol = HttpConnection(self.listener)
        pipe.protocol.connection_made(pipe)
        return pipe

    def upgraded(self, path: str = "/ws/chat", *, can_half_close: bool = True) -> Pipe:
        """Let somebody in as if the handshake, which costs more than all the rest, had been made."""
        pipe = Pipe(can_half_close=can_half_close)
        assert self.server.admission.admit("127.0.0.1", 0.0) is None
        upgrade = AcceptedUpgrade(ROUTES[path], path, "127.0.0.1", None)
        connection = Connection(self.listener.context, pipe, upgrade, self.listener.websocket_closed)
        pipe.protocol = connection
        self.listener.add(connection)
        connection.open()
        return pipe

    async def settle(self) -> None:
        """Let everything happen that is due."""
        for _ in range(3):
            await asyncio.sleep(0)

    async def uploads_settled(self) -> None:
        """Wait until no upload is in progress."""
        await self.settle()  # an upload starts in a task
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.context.uploads.active:  # noqa: ASYNC110 - the store tells nobody
                await asyncio.sleep(0.001)

    def footprint(self) -> dict[str, int]:
        """Count what must not pile up."""
        gc.collect()
        return {
            "objects": len(gc.get_objects()),
            "open": len(self.listener.connections),
            "rooms": len(self.hub.registry.rooms),
            "everyone": len(self.hub.registry.everyone),
            "watchers": len(self.hub.registry.watchers),
            "admitted": self.server.admission._connections,
            "connections": self.server.stats.connections,
            "slow": self.server.stats.slow_consumers,
            "uploads": self.context.uploads.active,
            "monitored": sum(map(len, self.context.wheel._slots)),
        }


@asynccontextmanager
async def world(folder: Path, **settings: Any) -> AsyncIterator[World]:
    """Run a server without sockets; nothing in it may fail or complain."""
    complaints = Complaints()
    root = logging.getLogger()
    root.addHandler(complaints)
    before = structlog.get_config()
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(processors=[complaints.take], wrapper_class=quiet)
    try:
        inside = World(folder, **settings)
        yield inside
        await inside.settle()
        assert not inside.errors, inside.errors[0]
        assert not complaints.lines, complaints.lines[0]
    finally:
        structlog.configure(**before)
        root.removeHandler(complaints)
