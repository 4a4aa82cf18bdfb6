"""A WebSocket connection, which passes whole messages to its endpoint and bounds everything that takes time.

It joins the parts of one WebSocket: `InboundStream` and `OutboundBuffer` limit the two directions, the splitter finds
whole text messages, `LibraryProtocol` handles all other frames and the close handshake, and the `HeartbeatWheel` pings.
"""

from __future__ import annotations

import asyncio
import random
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, cast

from websockets.frames import Opcode

from server.errors import CloseReason
from server.protocol.assembler import is_utf8
from server.websocket.connection_log import log_closed, log_unhandled
from server.websocket.inbound import InboundStream
from server.websocket.library import LibraryProtocol, Message, pong_payload
from server.websocket.outbound import OutboundBuffer
from stampede.websocket.frames import FrameSplitter

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.websocket.context import ServerContext
    from server.websocket.endpoints import Endpoint
    from server.websocket.routes import AcceptedUpgrade

CLOSE_SECONDS: Final = 5.0
"""How long the peer may take to answer a close frame; then the connection is aborted."""

SLICE_FRAMES: Final = 512
"""Frames of one read that are handled before other connections have their turn; a read may hold forty thousand."""

_CLOSE: Final = bytes((0x80 | Opcode.CLOSE,))


class ConnectionState(Enum):
    """The state of a connection, which decides how messages in each direction are handled."""

    OPEN = auto()  # messages are exchanged
    CLOSING = auto()  # a close frame was sent; messages that the peer sent before its answer are still handled
    CLOSED = auto()  # the connection has left the chat; the peer may still answer the close frame


_CLOSED: Final = ConnectionState.CLOSED  # reading it from the Enum class costs 65 ns in CPython 3.11, a global 1 ns


class Connection(asyncio.Protocol):
    """One WebSocket, from its upgrade to its end.

    Args:
        context: the state that all connections share.
        transport: the transport, after the upgrade request was read from it.
        upgrade: the accepted request.
        on_closed: called once when the transport is lost.

    Attributes:
        inbound: what was received, and the pauses of reading.
        write, enqueue: the methods of this connection's `OutboundBuffer`.
        ping_sent_at, ping_due, wheel_slot: belong to the heartbeat wheel.
    """

    __slots__ = (
        "_close_timer",
        "_context",
        "_endpoint",
        "_library",
        "_messages_in",
        "_on_closed",
        "_opened_at",
        "_outbound",
        "_reason",
        "_splitter",
        "_state",
        "_transport",
        "enqueue",
        "inbound",
        "ping_due",
        "ping_sent_at",
        "upgrade",
        "wheel_slot",
        "write",
    )

    def __init__(
        self,
        context: ServerContext,
        transport: asyncio.Transport,
        upgrade: AcceptedUpgrade,
        on_closed: Callable[[Connection], None],
    ) -> None:
        self._context = context
        self._transport = transport
        self.upgrade = upgrade
        self._on_closed = on_closed
        self._state = ConnectionState.OPEN
        self._reason: CloseReason | None = None  # the first one counts
        self.inbound = InboundStream(context, transport)
        self._outbound = OutboundBuffer(context, transport, self.close)
        self.write = self._outbound.write  # bound here: a delivery costs one call
        self.enqueue = self._outbound.enqueue
        self._library: LibraryProtocol | None = None
        self._splitter = FrameSplitter(masked=True, max_size=upgrade.route.max_size, max_frames=SLICE_FRAMES)
        self._endpoint: Endpoint = upgrade.route.endpoint(self, context, upgrade.username)
        self._messages_in = 0
        self._opened_at = 0.0
        self._close_timer: asyncio.TimerHandle | None = None
        self.ping_sent_at = 0.0
        self.ping_due = 0.0
        self.wheel_slot = 0

    def open(self, response: bytes = b"") -> None:
        """Start: send the handshake's response and the endpoint's first messages in one write."""
        context = self._context
        self._opened_at = context.clock()
        context.stats.connections_opened += 1
        context.wheel.add(self, self._opened_at, random.random())
        self._outbound.open(response, self._endpoint.opened())

    # --- callbacks of the event loop ---

    def data_received(self, data: bytes) -> None:
        """Handle bytes of frames, in a later event loop iteration if the time of this one is used up."""
        context = self._context
        now = context.clock()
        size = len(data)
        context.stats.received_bytes += size
        inbound = self.inbound
        inbound.last_received_at = now
        inbound.bytes_in += size
        if self._state is _CLOSED:
            inbound.discard(size)
        if context.scheduler.is_budget_spent(now):
            inbound.defer(self._handle, data, now)
        else:
            self._handle(data, now)

    def pause_writing(self) -> None:
        """Mark the connection as slow: more than the soft limit is unsent."""
        self._outbound.pause_writing()

    def resume_writing(self) -> None:
        """Send what waited in the backlog."""
        self._outbound.resume_writing()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Leave the chat if that has not happened, then count and log the end."""
        self._leave(CloseReason.VANISHED)
        if self._close_timer is not None:
            self._close_timer.cancel()
        stats = self._context.stats
        reason = cast("CloseReason", self._reason)
        stats.connections_closed[reason.label] += 1
        seconds = self._context.clock() - self._opened_at
        stats.session_duration.observe(seconds)
        counts = {"bytes_in": self.inbound.bytes_in, "bytes_out": self._outbound.bytes_out}
        log_closed(self.upgrade, self._endpoint.username, reason, seconds, **counts, messages_in=self._messages_in)
        self._on_closed(self)
        if self._library is not None:
            self._library.release()
        del self._endpoint, self._library  # the endpoint refers to this connection

    # --- called by the endpoint, the heartbeat wheel and the drain ---

    @property
    def is_busy(self) -> bool:
        """Whether an upload is in progress, for which a drain waits."""
        return self._state is not _CLOSED and self._endpoint.is_busy

    def expire(self) -> None:
        """Abort a connection that missed its heartbeat timeout."""
        self._outbound.close()
        self._leave(CloseReason.HEARTBEAT)
        self._transport.abort()

    def close(self, reason: CloseReason, text: str = "", *, finish_reading: bool = False) -> None:
        """Send a close frame; abort the connection if the peer does not answer in time.

        Args:
            reason: is counted; its code is sent.
            text: the reason that is sent, at most 123 bytes.
            finish_reading: whether messages that the peer has already sent are still handled.
        """
        if self._state is not ConnectionState.OPEN:
            return
        if finish_reading:
            self._state = ConnectionState.CLOSING
            self._reason = reason
            self._endpoint.flush()
        else:
            self._leave(reason)
        self._protocol.close(reason, text)
        self._send_library_output()
        self._stop_sending()

    def abort(self) -> None:
        """Close the transport at once, without a close frame."""
        self._transport.abort()

    # --- frames and messages ---

    @property
    def _protocol(self) -> LibraryProtocol:
        """The library's part of the connection, made on first use."""
        if self._library is None:
            self._library = LibraryProtocol(self.upgrade.route.max_size)
        return self._library

    def _handle(self, data: bytes, now: float) -> None:
        try:
            items = self._splitter.split(data)
            in_batch = len(items) > 1
            for item in items:
                if type(item) is not bytes:
                    self._handle_frame(item, now)
                elif self._state is not _CLOSED:
                    self._messages_in += 1
                    if item.isascii() or is_utf8(item):
                        self._endpoint.text(item, now, in_batch)
                    else:
                        self._fail(CloseReason.INVALID_DATA, "text is not UTF-8")
            if len(items) == SLICE_FRAMES:
                self.inbound.defer(self._handle, b"", now)
        except Exception as error:  # noqa: BLE001 - any error ends this connection and no other
            log_unhandled(self.upgrade, error)
            self._fail(CloseReason.INTERNAL, "internal error")

    def _handle_frame(self, frame: bytes, now: float) -> None:
        """Handle a frame that is not a whole text message: pass it through the library and act on its events."""
        if self._state is _CLOSED and not frame.startswith(_CLOSE):
            return  # only a close frame still matters
        if self._library is None and (payload := pong_payload(frame)) is not None:
            self._context.wheel.receive_pong(self, payload, now)
            self._endpoint.count_frame(len(frame), now)
            return
        protocol = self._protocol
        try:
            for message in protocol.receive(frame):
                if self._state is not _CLOSED:
                    self._handle_message(message, now)
        except UnicodeDecodeError:
            self._fail(CloseReason.INVALID_DATA, "text is not UTF-8")
        if self._state is not _CLOSED:
            self._endpoint.count_frame(len(frame), now)
        self._send_library_output()
        end = protocol.end
        if end is not None:
            self._stop_sending()
            self._leave(end)

    def _handle_message(self, message: Message, now: float) -> None:
        if message.kind is Opcode.PONG:
            self._context.wheel.receive_pong(self, message.payload, now)
            return
        self._messages_in += 1
        handle = self._endpoint.text if message.kind is Opcode.TEXT else self._endpoint.binary
        handle(message.payload, now)

    # --- the end ---

    def _fail(self, reason: CloseReason, text: str) -> None:
        """Fail the connection: send a close frame and end the stream."""
        self._protocol.fail(reason, text)
        self._send_library_output()
        self._stop_sending()
        self._leave(reason)

    def _send_library_output(self) -> None:
        self._outbound.write_from_library(self._protocol.data_to_send())

    def _stop_sending(self) -> None:
        """Refuse further frames, and abort the connection if the peer does not end it in time."""
        self._outbound.close()
        if self._close_timer is None:
            self._close_timer = self._context.loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def _leave(self, reason: CloseReason) -> None:
        """Leave the chat; later calls change nothing, and the first reason counts."""
        if self._state is _CLOSED:
            return
        self._state = _CLOSED
        self._reason = self._reason or reason
        self._context.wheel.discard(self)
        self._endpoint.closed(self._context.clock())
        self._outbound.close()
