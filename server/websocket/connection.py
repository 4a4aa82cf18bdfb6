"""A WebSocket connection: a thin shell around websockets' Sans-I/O protocol.

The library handles control frames and the closing handshake. Its protocol object is created for the first frame that
only the library can handle: most connections never send one, and the object is half the memory of an idle connection.
This module splits frames, checks text for UTF-8, reassembles fragments, and bounds everything that takes time.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, cast

import structlog
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.speedups import apply_mask

from server.chat.member import SENT
from server.errors import REASON_BY_SENT_CODE, CloseReason
from server.protocol.assembler import MessageAssembler, is_utf8
from server.runtime.exception_fields import exception_fields
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

MAX_DISCARDED_BYTES: Final = 256 * 1024
"""Bytes read and discarded after the connection has left the chat; then reading is paused."""

PING_PAYLOAD: Final = b"stampede"
_PING_FRAME: Final = Frame(Opcode.PING, PING_PAYLOAD).serialize(mask=False)
_PONG: Final = 0x80 | Opcode.PONG
_MASKED: Final = 0x80
_MAX_CONTROL_BYTES: Final = 125  # RFC 6455, section 5.5
_CLOSE: Final = bytes((0x80 | Opcode.CLOSE,))

log = structlog.get_logger()

_quiet = logging.getLogger("stampede.websockets")  # the library's lines for each connection would repeat ours
_quiet.setLevel(logging.ERROR)


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
        write, enqueue: the methods of this connection's `OutboundBuffer`.
        last_received_at, ping_due, wheel_slot: belong to the heartbeat wheel.
    """

    __slots__ = (
        "_assembler",
        "_bytes_in",
        "_close_timer",
        "_context",
        "_discardable",
        "_endpoint",
        "_library",
        "_messages_in",
        "_on_closed",
        "_opened_at",
        "_outbound",
        "_pauses",
        "_ping_sent_at",
        "_reason",
        "_splitter",
        "_state",
        "_transport",
        "enqueue",
        "last_received_at",
        "ping_due",
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
        self._outbound = OutboundBuffer(context, transport, self.close)
        self.write = self._outbound.write  # bound here: a delivery costs one call
        self.enqueue = self._outbound.enqueue
        self._library: ServerProtocol | None = None
        self._splitter = FrameSplitter(masked=True, max_size=upgrade.route.max_size, max_frames=SLICE_FRAMES)
        self._endpoint: Endpoint = upgrade.route.endpoint(self, context, upgrade.username)
        self._assembler: MessageAssembler | None = None
        self._discardable = MAX_DISCARDED_BYTES  # bytes that may still be read and discarded
        self._pauses = 0  # calls of `pause_reading` that `resume_reading` has not undone
        self._bytes_in = self._messages_in = 0
        self._opened_at = 0.0
        self._ping_sent_at = 0.0  # 0: no pong is expected
        self._close_timer: asyncio.TimerHandle | None = None
        self.last_received_at = 0.0
        self.ping_due = 0.0
        self.wheel_slot = 0

    def open(self, response: bytes = b"") -> None:
        """Start: send the handshake's response and the endpoint's first messages in one write."""
        context = self._context
        self._opened_at = context.clock()
        context.stats.connections_opened += 1
        if context.settings.buffer_soft_limit:
            self._transport.set_write_buffer_limits(high=context.settings.buffer_soft_limit)
        context.wheel.add(self, self._opened_at, random.random())
        self._outbound.cork(response)
        self._endpoint.opened()
        self._outbound.uncork()

    # --- callbacks of the event loop ---

    def data_received(self, data: bytes) -> None:
        """Handle bytes of frames, in a later event loop iteration if the time of this one is used up."""
        context = self._context
        now = context.clock()
        size = len(data)
        self.last_received_at = now
        context.stats.received_bytes += size
        self._bytes_in += size
        if self._state is _CLOSED and self._discardable > 0:
            self._discardable -= size
            if self._discardable <= 0:
                self.pause_reading()  # aborting now could discard the close frame that we sent
        if context.scheduler.is_budget_spent(now):
            self._defer(data, now)
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
        context = self._context
        context.stats.connections_closed[cast("CloseReason", self._reason).label] += 1
        seconds = context.clock() - self._opened_at
        context.stats.session_duration.observe(seconds)
        self._log_summary(seconds)
        self._on_closed(self)
        # Break reference cycles: thousands of connections that end at once would wait for the cycle collector.
        if self._library is not None:
            self._library.parser.close()
            if self._library.parser_exc is not None:
                error = self._library.parser_exc
                error.__traceback__ = error.__context__ = error.__cause__ = None
        del self._endpoint, self._library

    # --- called by the endpoint, the heartbeat wheel and the drain ---

    @property
    def is_busy(self) -> bool:
        """Whether an upload is in progress, for which a drain waits."""
        return self._state is not _CLOSED and self._endpoint.is_busy

    def ping(self, now: float) -> None:
        """Send a ping frame, whose pong measures the round-trip time."""
        if self.write(_PING_FRAME) is SENT:
            self._ping_sent_at = now

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
        self._protocol.send_close(reason.code, text)
        self._send_library_output()
        self._stop_sending()

    def pause_reading_for(self, seconds: float) -> None:
        """Pause reading for some seconds, so that the peer's own buffers fill."""
        self.pause_reading()
        self._context.loop.call_later(seconds, self.resume_reading)

    def pause_reading(self) -> None:
        """Pause reading until `resume_reading` has been called equally often."""
        self._pauses += 1
        self.last_received_at = math.inf  # stops the heartbeat timeout: data may be waiting unread
        if self._pauses == 1 and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Undo one `pause_reading`; read on after the last."""
        self._pauses -= 1
        if not self._pauses:
            self.last_received_at = self._context.clock()
            self._ping_sent_at = 0.0  # the pong may have waited unread: its round-trip time would be wrong
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def abort(self) -> None:
        """Close the transport at once, without a close frame."""
        self._transport.abort()

    def _log_summary(self, seconds: float) -> None:
        reason, username = cast("CloseReason", self._reason), self._endpoint.username
        client = {"client": self.upgrade.address, "path": self.upgrade.path}
        if username is not None:
            client["username"] = username
        counts = {"bytes_in": self._bytes_in, "bytes_out": self._outbound.bytes_out, "messages_in": self._messages_in}
        end = {"reason": reason.label, "code": reason.code}
        log.info("connection closed", **client, seconds=round(seconds, 3), **counts, **end)

    # --- frames and messages ---

    @property
    def _protocol(self) -> ServerProtocol:
        """The library's half of the connection, made on first use."""
        if self._library is None:
            self._library = ServerProtocol(state=State.OPEN, max_size=self.upgrade.route.max_size, logger=_quiet)
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
                self._defer(b"", now)
        except Exception as error:  # noqa: BLE001 - any error ends this connection and no other
            log.error("message not handled", client=self.upgrade.address, **exception_fields(error))  # noqa: TRY400 - a traceback may quote the message
            self._fail(CloseReason.INTERNAL, "internal error")

    def _defer(self, data: bytes, now: float) -> None:
        """Handle bytes in a later event loop iteration; until then no further bytes are read."""
        self.pause_reading()
        self._context.scheduler.defer(lambda: self._handle_deferred(data, now))

    def _handle_deferred(self, data: bytes, now: float) -> None:
        if not self._transport.is_closing():
            self._handle(data, now)
        self.resume_reading()

    def _handle_frame(self, frame: bytes, now: float) -> None:
        """Handle a frame that is not a whole text message: pass it through the library and act on its events."""
        if self._state is _CLOSED and not frame.startswith(_CLOSE):
            return  # only a close frame still matters
        if self._library is None and frame[0] == _PONG and _MASKED <= frame[1] <= _MASKED + _MAX_CONTROL_BYTES:
            self._handle_pong(apply_mask(frame[6:], frame[2:6]), now)
            self._endpoint.count_frame(len(frame), now)
            return
        protocol = self._protocol
        protocol.receive_data(frame)
        for event in protocol.events_received():
            if isinstance(event, Frame) and self._state is not _CLOSED:
                self._handle_event(event, now)
        if self._state is not _CLOSED:
            self._endpoint.count_frame(len(frame), now)
        self._send_library_output()
        if protocol.close_rcvd is not None or protocol.parser_exc is not None:
            self._stop_sending()
            sent = protocol.close_sent.code if protocol.close_sent is not None else 0
            failed = protocol.parser_exc is not None
            self._leave(REASON_BY_SENT_CODE.get(sent, CloseReason.INTERNAL) if failed else CloseReason.CLIENT)

    def _handle_event(self, frame: Frame, now: float) -> None:
        """Handle a valid frame; the library has already answered pings and close frames."""
        endpoint = self._endpoint
        if frame.opcode is Opcode.PONG:
            self._handle_pong(bytes(frame.data), now)
            return
        if frame.opcode is Opcode.BINARY and frame.fin:
            self._messages_in += 1
            endpoint.binary(bytes(frame.data), now)
            return
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._assembler = MessageAssembler(is_text=frame.opcode is Opcode.TEXT)
        elif frame.opcode is not Opcode.CONT:
            return
        assembler = cast("MessageAssembler", self._assembler)
        try:
            assembler.add(bytes(frame.data), final=frame.fin)
        except UnicodeDecodeError:
            self._fail(CloseReason.INVALID_DATA, "text is not UTF-8")
            return
        if frame.fin:
            self._assembler = None
            self._messages_in += 1
            (endpoint.text if assembler.is_text else endpoint.binary)(assembler.message(), now)

    def _handle_pong(self, payload: bytes, now: float) -> None:
        if self._ping_sent_at and payload == PING_PAYLOAD:
            self._context.stats.ping_rtt.observe(now - self._ping_sent_at)
            self._ping_sent_at = 0.0

    # --- the end ---

    def _fail(self, reason: CloseReason, text: str) -> None:
        """Fail the connection (RFC 6455, section 7.1.7): send a close frame and end the stream."""
        self._protocol.fail(reason.code, text)
        self._send_library_output()
        self._stop_sending()
        self._leave(reason)

    def _send_library_output(self) -> None:
        """Send the library's frames after the backlog; end the stream where the library requires it."""
        outbound = self._outbound
        outbound.flush()
        for data in self._protocol.data_to_send():
            if self._transport.is_closing():
                return
            if data:
                (outbound.write_pong if data[0] == _PONG else outbound.write_close)(data)
            elif self._transport.can_write_eof():
                # Half-close: closing with bytes unread would reset the connection, and our close frame be lost.
                self._transport.write_eof()
            else:
                self._transport.close()

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
