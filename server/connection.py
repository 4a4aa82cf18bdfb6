"""A connection: a thin shell around websockets' Sans-I/O protocol; bytes in, frames out.

The library does the handshake, control frames and the close handshake. Here: text that the splitter already has is
handed on at once, fragments are put together, text is checked to be UTF-8, and everything that takes time is bounded.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import random
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, SEND_EOF
from websockets.server import ServerProtocol

from server.errors import REASON_BY_SENT_CODE, CloseReason
from server.frames import FrameSplitter
from server.http import Answer, judge_head, plain, serialize, wants_upgrade
from server.room import CLOSED, SLOW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from websockets.http11 import Request

    from server.endpoints import Endpoint, Path
    from server.heartbeat import HeartbeatWheel
    from server.http import Router
    from server.services import Services

HANDSHAKE_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 5.0
"""How long a peer may take to answer our close frame, or to close after an answer, before it is cut off."""

_PING_PAYLOAD: Final = b"stampede"
_PING_FRAME: Final = Frame(Opcode.PING, _PING_PAYLOAD).serialize(mask=False)

log = logging.getLogger("stampede.connection")
_quiet = logging.getLogger("stampede.websockets")  # the library's own per-connection lines would double ours
_quiet.setLevel(logging.ERROR)


class Fragments:
    """A message that comes in several frames (RFC 6455, section 5.4)."""

    __slots__ = ("_decoder", "_parts", "is_text")

    def __init__(self, *, is_text: bool) -> None:
        self.is_text = is_text
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._parts: list[bytes] = []

    def add(self, data: bytes, *, final: bool) -> None:
        """Take the next part; text is checked as it comes, so that bad text fails as early as it can.

        Raises:
            UnicodeDecodeError: the text is not UTF-8.
        """
        if self.is_text:
            self._decoder.decode(data, final)
        self._parts.append(data)

    def whole(self) -> bytes:
        """Return the message."""
        return b"".join(self._parts)


@dataclass(slots=True)
class Gate:
    """What all connections of one listening socket share; `upgrades` are its WebSocket paths."""

    services: Services
    router: Router
    upgrades: Mapping[str, Path]
    wheel: HeartbeatWheel
    loop: asyncio.AbstractEventLoop
    connections: set[Connection] = field(default_factory=set)
    _emptied: asyncio.Event | None = None

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self.connections.discard(connection)
        if self._emptied is not None and not self.connections:
            self._emptied.set()

    async def emptied(self) -> None:
        """Wait until nobody is left."""
        if self.connections:
            self._emptied = asyncio.Event()
            await self._emptied.wait()


class Connection(asyncio.Protocol):
    """One TCP connection: a request for a page, or a WebSocket for as long as it lasts.

    `heard_at`, `ping_due` and `beat_slot` belong to the heartbeat wheel.
    """

    __slots__ = (
        "_answered",
        "_endpoint",
        "_fragments",
        "_gate",
        "_head",
        "_open",
        "_opened_at",
        "_ping_sent_at",
        "_protocol",
        "_reason",
        "_slow",
        "_slow_timer",
        "_splitter",
        "_timer",
        "_transport",
        "_writable",
        "beat_slot",
        "heard_at",
        "ping_due",
    )

    _transport: asyncio.Transport
    _protocol: ServerProtocol
    _splitter: FrameSplitter

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._answered = False
        self._endpoint: Endpoint | None = None
        self._fragments: Fragments | None = None
        self._head = b""
        self._open = False
        self._opened_at = 0.0
        self._ping_sent_at = 0.0
        self._reason: CloseReason | None = None
        self._slow = False
        self._slow_timer: asyncio.TimerHandle | None = None
        self._writable = False
        self._timer: asyncio.TimerHandle | None = None
        self.heard_at = 0.0
        self.ping_due = 0.0
        self.beat_slot = 0

    # --- what the event loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request, but not for ever."""
        self._transport = cast("asyncio.Transport", transport)
        self._gate.connections.add(self)
        self._timer = self._gate.loop.call_later(HANDSHAKE_SECONDS, self._handshake_timed_out)

    def data_received(self, data: bytes) -> None:
        """Take bytes: a request's, then frames."""
        if self._endpoint is None:
            if not self._answered:
                self._handshake(data)
            return
        services = self._gate.services
        now = services.clock()
        self.heard_at = now
        services.stats.received_bytes += len(data)
        try:
            for item in self._splitter.split(data):
                if type(item) is not bytes:
                    self._judge(item, now)
                elif self._open:
                    if item.isascii() or _is_utf8(item):
                        self._endpoint.text(item, now)
                    else:
                        self._fail(CloseReason.INVALID_DATA, "text is not UTF-8")
        except Exception:
            log.exception("a message could not be handled")
            self._fail(CloseReason.INTERNAL, "internal error")

    def eof_received(self) -> bool:
        """Close our side too when the peer has closed its own."""
        return False

    def pause_writing(self) -> None:
        """Note that more than the soft limit is unsent; that may last only so long."""
        self._writable = False
        if self._open:
            services = self._gate.services
            services.stats.slow_consumers += 1
            self._slow = True
            if services.settings.slow_timeout:
                self._slow_timer = self._gate.loop.call_later(services.settings.slow_timeout, self._give_up)

    def resume_writing(self) -> None:
        """Note that the peer has caught up."""
        self._writable = self._open
        self._end_slowness()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Account for the end, whatever it was."""
        self._gate.remove(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._endpoint is None:
            return
        self._leave(CloseReason.VANISHED)
        services = self._gate.services
        services.stats.connections_closed[cast("CloseReason", self._reason).label] += 1
        services.stats.session_duration.observe(services.clock() - self._opened_at)

    # --- what the endpoint, the wheel and the application call ---

    def write(self, data: bytes) -> str:
        """Send whole frames; return why not, if not: it is behind, or gone."""
        if not self._writable or self._transport.is_closing():
            return SLOW if self._open and not self._transport.is_closing() else CLOSED
        self._transport.write(data)
        self._gate.services.stats.sent_bytes += len(data)
        return ""

    def push(self, data: bytes) -> str:
        """Send whole frames to a peer that is behind; above the hard limit it is given up."""
        if not self._open or self._transport.is_closing():
            return CLOSED
        settings = self._gate.services.settings
        if (
            settings.buffer_hard_limit
            and self._transport.get_write_buffer_size() + len(data) > settings.buffer_hard_limit
        ):
            self._writable = False
            self._gate.loop.call_soon(self._give_up)  # not now: whoever writes may be walking through a room
            return SLOW
        self._transport.write(data)
        self._gate.services.stats.sent_bytes += len(data)
        return ""

    def ping(self, now: float) -> None:
        """Send a ping frame; its pong tells the round trip time."""
        if not self.write(_PING_FRAME):
            self._ping_sent_at = now

    def expire(self) -> None:
        """Drop a peer that nothing was heard of."""
        self._leave(CloseReason.HEARTBEAT)
        self._transport.abort()

    def close(self, reason: CloseReason, text: str = "") -> None:
        """Say goodbye; a request that was never completed is just dropped."""
        if self._endpoint is None:
            self._transport.abort()
        elif self._open:
            self._protocol.send_close(reason.code, text)
            self._pump()
            self._leave(reason)

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def _give_up(self) -> None:
        """Drop a peer that does not read what it is sent."""
        if self._open:
            self._gate.services.stats.slow_consumer_kills += 1
            self.close(CloseReason.SLOW_CONSUMER, "too slow")

    def _end_slowness(self) -> None:
        if self._slow_timer is not None:
            self._slow_timer.cancel()
            self._slow_timer = None
        if self._slow:
            self._slow = False
            self._gate.services.stats.slow_consumers -= 1

    # --- WebSocket ---

    def _judge(self, frame: bytes, now: float) -> None:
        """Let the protocol look at a frame, and act on what it says."""
        protocol = self._protocol
        protocol.receive_data(frame)
        for event in protocol.events_received():
            if isinstance(event, Frame) and self._open:
                self._take(event, now)
        if self._open and protocol.state is not OPEN:
            failed = protocol.parser_exc is not None and protocol.close_sent is not None
            sent = protocol.close_sent.code if protocol.close_sent is not None else 0
            self._pump()
            self._leave(REASON_BY_SENT_CODE.get(sent, CloseReason.INTERNAL) if failed else CloseReason.CLIENT)
        else:
            self._pump()

    def _take(self, frame: Frame, now: float) -> None:
        """Take a frame that the protocol found good; pings and closes it has answered already."""
        endpoint = cast("Endpoint", self._endpoint)
        if frame.opcode is Opcode.PONG:
            if self._ping_sent_at and frame.data == _PING_PAYLOAD:
                self._gate.services.stats.ping_rtt.observe(now - self._ping_sent_at)
                self._ping_sent_at = 0.0
            return
        if frame.opcode is Opcode.BINARY and frame.fin:
            endpoint.binary(bytes(frame.data), now)
            return
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._fragments = Fragments(is_text=frame.opcode is Opcode.TEXT)
        elif frame.opcode is not Opcode.CONT:
            return
        message = cast("Fragments", self._fragments)
        try:
            message.add(bytes(frame.data), final=frame.fin)
        except UnicodeDecodeError:
            self._fail(CloseReason.INVALID_DATA, "text is not UTF-8")
            return
        if frame.fin:
            self._fragments = None
            (endpoint.text if message.is_text else endpoint.binary)(message.whole(), now)

    def _fail(self, reason: CloseReason, text: str) -> None:
        """Fail the connection (RFC 6455, section 7.1.7): close frame, end of stream, no further reading."""
        self._protocol.fail(reason.code, text)
        self._pump()
        self._leave(reason)

    def _pump(self) -> None:
        """Send what the protocol has to say."""
        for data in self._protocol.data_to_send():
            if self._transport.is_closing():
                return
            if data == SEND_EOF:
                # Half-close, so that the peer still reads what was sent: closing with bytes unread would reset.
                self._transport.write_eof()
            else:
                self._transport.write(data)
                if self._endpoint is not None:
                    self._gate.services.stats.sent_bytes += len(data)

    def _leave(self, reason: CloseReason) -> None:
        """Take the connection out of the chat, and see that its transport ends; the first reason counts."""
        if self._reason is not None:
            return
        self._reason = reason
        self._open = self._writable = False
        self._end_slowness()
        self._gate.wheel.discard(self)
        self._timer = self._gate.loop.call_later(CLOSE_SECONDS, self._transport.abort)
        cast("Endpoint", self._endpoint).closed(self._gate.services.clock())

    # --- HTTP ---

    def _handshake(self, data: bytes) -> None:
        """Collect a request's head and answer it."""
        self._head += data
        head = self._head
        verdict = judge_head(head)
        if isinstance(verdict, Answer):
            self._gate.router.count("other", verdict.status)
            self._answer(verdict)
        elif verdict:
            self._head = b""
            self._answer_request(head[:verdict], head[verdict:])

    def _answer_request(self, head: bytes, rest: bytes) -> None:
        stats = self._gate.services.stats
        path = head.split(b" ", 2)[1].partition(b"?")[0].decode("latin-1")
        upgrade = self._gate.upgrades.get(path)
        self._protocol = ServerProtocol(max_size=upgrade.max_size if upgrade else 0, logger=_quiet)
        self._protocol.receive_data(head)
        requests = self._protocol.events_received()
        if not requests:  # the library could not read it
            self._gate.router.count("other", HTTPStatus.BAD_REQUEST)
            self._answer(plain(HTTPStatus.BAD_REQUEST))
            return
        request = cast("Request", requests[0])
        if not wants_upgrade(request):
            self._answer(self._gate.router.answer(request))
            return
        if upgrade is None:
            stats.handshakes_rejected["not_found"] += 1
            self._answer(plain(HTTPStatus.NOT_FOUND, "No WebSocket is served on this path"))
            return
        response = self._protocol.accept(request)
        self._protocol.send_response(response)
        self._pump()
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            stats.handshakes_rejected["bad_request"] += 1
            self._end_soon()
            return
        self._upgraded(upgrade)
        if rest:
            self.data_received(rest)

    def _upgraded(self, upgrade: Path) -> None:
        services = self._gate.services
        now = services.clock()
        services.stats.connections_opened += 1
        cast("asyncio.TimerHandle", self._timer).cancel()
        self._timer = None
        self._opened_at = now
        self._splitter = FrameSplitter(masked=True, max_size=upgrade.max_size)
        self._endpoint = upgrade.endpoint(self, services)
        self._open = self._writable = True
        if services.settings.buffer_soft_limit:
            self._transport.set_write_buffer_limits(high=services.settings.buffer_soft_limit)
        self._gate.wheel.add(self, now, random.random())
        self._endpoint.opened()

    def _answer(self, answer: Answer) -> None:
        self._transport.write(serialize(answer).serialize())
        self._transport.write_eof()
        self._end_soon()

    def _end_soon(self) -> None:
        """Give the peer time to read the answer, and no more."""
        self._answered = True
        cast("asyncio.TimerHandle", self._timer).cancel()
        self._timer = self._gate.loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def _handshake_timed_out(self) -> None:
        self._gate.router.count("other", HTTPStatus.REQUEST_TIMEOUT)
        self._answer(plain(HTTPStatus.REQUEST_TIMEOUT))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
