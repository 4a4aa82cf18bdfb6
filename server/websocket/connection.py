"""A connection: a thin shell around websockets' Sans-I/O protocol; bytes in, frames out.

The library does control frames and the close handshake; it is made when the first frame comes that only it may judge,
since most connections only chat, and it is half of what an idle one would hold. Here: text is checked to be UTF-8 and
handed on at once, fragments are put together, and everything that takes time is bounded.
"""

from __future__ import annotations

import logging
import math
import random
from typing import TYPE_CHECKING, Final, cast

import structlog
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.speedups import apply_mask

from server.errors import REASON_BY_SENT_CODE, CloseReason
from server.protocol.assembler import MessageAssembler, is_utf8
from server.protocol.frames import FrameSplitter
from server.runtime.exception_fields import exception_fields
from server.websocket.outbound import PING_PAYLOAD, Sending

if TYPE_CHECKING:
    import asyncio

    from server.http.handshake import Admitted
    from server.http.listener import Gate
    from server.websocket.endpoints import Endpoint

CLOSE_SECONDS: Final = 5.0
"""How long a peer may take to answer our close frame before it is cut off."""

SLICE_FRAMES: Final = 512
"""How many frames of one read are worked off before others have their turn: a read may hold forty thousand."""

AFTER_END_BYTES: Final = 256 * 1024  # that a peer may still send when nothing of it counts any more
_PONG: Final = 0x80 | Opcode.PONG
_MASKED: Final = 0x80
_LONGEST_CONTROL: Final = 125  # bytes (RFC 6455, section 5.5)
_GOODBYE: Final = bytes((0x80 | Opcode.CLOSE,))

log = structlog.get_logger()

_quiet = logging.getLogger("stampede.websockets")  # the library's own per-connection lines would double ours
_quiet.setLevel(logging.ERROR)


def library(max_size: int, state: State) -> ServerProtocol:
    """Return websockets' half of a connection."""
    return ServerProtocol(state=state, max_size=max_size, logger=_quiet)


class Connection(Sending):
    """One WebSocket, from its upgrade to its end.

    `heard_at`, `ping_due` and `beat_slot` belong to the heartbeat wheel.
    """

    __slots__ = (
        "_admitted",
        "_bytes_in",
        "_endpoint",
        "_fragments",
        "_hearing",
        "_holds",
        "_library",
        "_messages_in",
        "_opened_at",
        "_patience",
        "_reason",
        "_splitter",
        "beat_slot",
        "heard_at",
        "ping_due",
    )

    def __init__(self, gate: Gate, transport: asyncio.Transport, admitted: Admitted) -> None:
        super().__init__(gate, transport)
        self._library: ServerProtocol | None = None
        self._admitted = admitted
        self._splitter = FrameSplitter(masked=True, max_size=admitted.route.max_size, max_frames=SLICE_FRAMES)
        self._endpoint: Endpoint = admitted.route.endpoint(self, gate.services, admitted.username)
        self._fragments: MessageAssembler | None = None
        self._hearing = True  # what the peer says still counts
        self._patience = AFTER_END_BYTES  # bytes that it may still send when nothing does
        self._holds = 0  # who wants nothing read
        self._bytes_in = self._messages_in = 0
        self._opened_at = 0.0
        self._reason: CloseReason | None = None
        self.heard_at = 0.0
        self.ping_due = 0.0
        self.beat_slot = 0

    def open(self, answer: bytes = b"") -> None:
        """Begin: send the answer to the handshake, and what the endpoint has to say first, in one write."""
        services = self._gate.services
        self._opened_at = services.clock()
        services.stats.connections_opened += 1
        if services.settings.buffer_soft_limit:
            self._transport.set_write_buffer_limits(high=services.settings.buffer_soft_limit)
        self._gate.wheel.add(self, self._opened_at, random.random())
        self._backlog, self._writable = bytearray(answer), False
        self._endpoint.opened()
        self._writable = self._open
        self._release()

    # --- what the event loop calls ---

    def data_received(self, data: bytes) -> None:
        """Take bytes of frames; when this tick's time is over, later."""
        gate = self._gate
        services = gate.services
        clock = services.clock
        now = clock()
        size = len(data)
        self.heard_at = now
        services.stats.received_bytes += size
        self._bytes_in += size
        if not self._hearing and self._patience > 0:
            self._patience -= size
            if self._patience <= 0:
                self.pause_reading()  # cut off it would lose its goodbye, which may still be on its way
        if gate.scheduler.is_budget_spent(now):
            self._defer(data, now)
        else:
            self._handle(data, now)

    def eof_received(self) -> bool:
        """Close our side too when the peer has closed its own."""
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        """Account for the end, whatever it was."""
        self._end(CloseReason.VANISHED)
        self._cancel_timer()
        self._gate.remove(self)
        self._gate.policy.admission.release(self._admitted.address)
        services = self._gate.services
        services.stats.connections_closed[cast("CloseReason", self._reason).label] += 1
        seconds = services.clock() - self._opened_at
        services.stats.session_duration.observe(seconds)
        self._log_life(seconds)
        # What refers back to this, lest thousands who go at once wait for the cycle collector.
        if self._library is not None:
            self._library.parser.close()
            if self._library.parser_exc is not None:
                error = self._library.parser_exc
                error.__traceback__ = error.__context__ = error.__cause__ = None
        del self._endpoint, self._library

    @property
    def is_busy(self) -> bool:
        """Whether something is under way that a goodbye should wait for."""
        return self._hearing and self._endpoint.is_busy

    # --- what the endpoint, the wheel and the application call ---

    def expire(self) -> None:
        """Drop a peer that nothing was heard of."""
        self._open = False
        self._end(CloseReason.HEARTBEAT)
        self._transport.abort()

    def close(self, reason: CloseReason, text: str = "", *, hear_out: bool = False) -> None:
        """Say goodbye.

        Args:
            reason: counted, and its code sent.
            text: sent with it, 123 bytes at most.
            hear_out: whether what the peer has already sent still counts, until it answers.
        """
        if not self._open:
            return
        if hear_out:
            self._reason = reason
            self._endpoint.catch_up()
        else:
            self._end(reason)
        self._protocol.send_close(reason.code, text)
        self._pump()
        self._shut()

    def pause(self, seconds: float) -> None:
        """Read nothing for a while: what a flooding peer sends stays in its own buffers."""
        self.pause_reading()
        self._gate.loop.call_later(seconds, self.resume_reading)

    def pause_reading(self) -> None:
        """Pause reading until `resume_reading` has been called equally often.

        The heartbeat timeout does not run meanwhile: the peer's bytes may be waiting unread.
        """
        self._holds += 1
        self.heard_at = math.inf
        if self._holds == 1 and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on, unless something else holds."""
        self._holds -= 1
        if not self._holds:
            self.heard_at = self._gate.services.clock()
            self._ping_sent_at = 0.0  # its pong may have waited for us
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def _log_life(self, seconds: float) -> None:
        reason, username = cast("CloseReason", self._reason), self._endpoint.username
        who = {"client": self._admitted.address, "path": self._admitted.target}
        if username is not None:
            who["username"] = username
        counts = {"bytes_in": self._bytes_in, "bytes_out": self._bytes_out, "messages_in": self._messages_in}
        end = {"reason": reason.label, "code": reason.code}
        log.info("connection closed", **who, seconds=round(seconds, 3), **counts, **end)

    # --- WebSocket ---

    @property
    def _protocol(self) -> ServerProtocol:
        if self._library is None:
            self._library = library(self._admitted.route.max_size, State.OPEN)
        return self._library

    def _handle(self, data: bytes, now: float) -> None:
        try:
            items = self._splitter.split(data)
            in_batch = len(items) > 1
            for item in items:
                if type(item) is not bytes:
                    self._judge(item, now)
                elif self._hearing:
                    self._messages_in += 1
                    if item.isascii() or is_utf8(item):
                        self._endpoint.text(item, now, in_batch)
                    else:
                        self._fail(CloseReason.INVALID_DATA, "text is not UTF-8")
            if len(items) == SLICE_FRAMES:
                self._defer(b"", now)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this connection and no other
            log.error("message not handled", client=self._admitted.address, **exception_fields(error))  # noqa: TRY400 - told by kind and place, it may quote the message
            self._fail(CloseReason.INTERNAL, "internal error")

    def _defer(self, data: bytes, now: float) -> None:
        self.pause_reading()  # so that nothing overtakes these bytes
        self._gate.scheduler.defer(lambda: self._handle_deferred(data, now))

    def _handle_deferred(self, data: bytes, now: float) -> None:
        if not self._transport.is_closing():
            self._handle(data, now)
        self.resume_reading()

    def _judge(self, frame: bytes, now: float) -> None:
        """Let the protocol look at a frame, and act on what it says."""
        if not self._hearing and not frame.startswith(_GOODBYE):
            return  # only a goodbye is still of interest
        if self._library is None and frame[0] == _PONG and _MASKED <= frame[1] <= _MASKED + _LONGEST_CONTROL:
            self._take_pong(apply_mask(frame[6:], frame[2:6]), now)
            self._endpoint.count_frame(len(frame), now)
            return
        protocol = self._protocol
        protocol.receive_data(frame)
        for event in protocol.events_received():
            if isinstance(event, Frame) and self._hearing:
                self._take(event, now)
        if self._hearing:
            self._endpoint.count_frame(len(frame), now)
        self._pump()
        if protocol.close_rcvd is not None or protocol.parser_exc is not None:
            self._shut()
            sent = protocol.close_sent.code if protocol.close_sent is not None else 0
            failed = protocol.parser_exc is not None
            self._end(REASON_BY_SENT_CODE.get(sent, CloseReason.INTERNAL) if failed else CloseReason.CLIENT)

    def _take(self, frame: Frame, now: float) -> None:
        """Take a frame that the protocol found good; pings and closes it has answered already."""
        endpoint = self._endpoint
        if frame.opcode is Opcode.PONG:
            self._take_pong(bytes(frame.data), now)
            return
        if frame.opcode is Opcode.BINARY and frame.fin:
            self._messages_in += 1
            endpoint.binary(bytes(frame.data), now)
            return
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._fragments = MessageAssembler(is_text=frame.opcode is Opcode.TEXT)
        elif frame.opcode is not Opcode.CONT:
            return
        message = cast("MessageAssembler", self._fragments)
        try:
            message.add(bytes(frame.data), final=frame.fin)
        except UnicodeDecodeError:
            self._fail(CloseReason.INVALID_DATA, "text is not UTF-8")
            return
        if frame.fin:
            self._fragments = None
            self._messages_in += 1
            (endpoint.text if message.is_text else endpoint.binary)(message.message(), now)

    def _take_pong(self, payload: bytes, now: float) -> None:
        if self._ping_sent_at and payload == PING_PAYLOAD:
            self._gate.services.stats.ping_rtt.observe(now - self._ping_sent_at)
            self._ping_sent_at = 0.0

    def _fail(self, reason: CloseReason, text: str) -> None:
        """Fail the connection (RFC 6455, section 7.1.7): close frame, end of stream, no further reading."""
        self._protocol.fail(reason.code, text)
        self._pump()
        self._shut()
        self._end(reason)

    def _pump(self) -> None:
        """Send what the protocol has to say, after what has been said."""
        self._release()
        for data in self._protocol.data_to_send():
            if self._transport.is_closing():
                return
            if data:
                if data[0] == _PONG and (not self._open or self._is_too_much(len(data))):
                    continue  # it pings and does not read, or after our goodbye
                self._transport.write(data)
                self._gate.services.stats.sent_bytes += len(data)
                self._bytes_out += len(data)
            elif self._transport.can_write_eof():
                # Half-close, so that the peer still reads what was sent: closing with bytes unread would reset.
                self._transport.write_eof()
            else:
                self._transport.close()

    def _shut(self) -> None:
        """Send nothing from here on, and see to it that the peer ends the connection before long."""
        if self._open or self._timer is None:
            self._open = self._writable = False
            self._end_slowness()
            self._cancel_timer()
            self._timer = self._gate.loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def _end(self, reason: CloseReason) -> None:
        """Take the connection out of the chat; the first reason counts."""
        if not self._hearing:
            return
        self._hearing = False
        self._reason = self._reason or reason
        self._gate.wheel.discard(self)
        self._end_slowness()
        self._endpoint.closed(self._gate.services.clock())
        self._open = self._writable = False
