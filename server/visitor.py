"""A TCP connection before it is a WebSocket: one request, one answer - or an upgrade, and another takes over."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from websockets.protocol import State

from server.connection import Connection, library
from server.http import Answer, end_of_head, judge_head, plain, serialize
from server.limits import FULL
from server.upgrade import accept_upgrade, read_upgrade

if TYPE_CHECKING:
    from websockets.http11 import Request
    from websockets.server import ServerProtocol

    from server.gate import Gate
    from server.handshake import Admitted

HANDSHAKE_SECONDS: Final = 10.0
"""How long a request's head may take."""

CLOSE_SECONDS: Final = 5.0
"""How long a peer may take to close after an answer before it is cut off."""


class Visitor(asyncio.Protocol):
    """Whoever has connected and not yet been answered."""

    __slots__ = ("_answered", "_gate", "_head", "_timer", "_transport")

    _transport: asyncio.Transport
    _timer: asyncio.TimerHandle

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._head = b""
        self._answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request, but not for ever; with no socket to spare, do not wait at all."""
        self._transport = cast("asyncio.Transport", transport)
        self._gate.guests.add(self)
        self._timer = self._gate.loop.call_later(HANDSHAKE_SECONDS, self._time_out)
        if self._gate.is_full:
            self._gate.services.stats.handshakes_rejected[FULL.label] += 1
            headers = {"Retry-After": str(FULL.retry_after)}
            self._answer(Answer(FULL.status, f"{FULL.text}\n".encode(), headers=headers))

    def data_received(self, data: bytes) -> None:
        """Collect the request's head."""
        if self._answered:
            return
        self._head += data
        head = self._head
        end = end_of_head(head)
        request = read_upgrade(head[:end]) if end else None
        if request is not None:
            self._answer_plain(request, head[end:])
            return
        verdict = judge_head(head)
        if isinstance(verdict, Answer):
            self._answer_unread(verdict)
        elif verdict:
            self._read_unusual(head[:verdict], head[verdict:])

    def eof_received(self) -> bool:
        """Close our side too when the peer has closed its own."""
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        """Be forgotten."""
        self._timer.cancel()
        self._gate.remove(self)

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def _answer_plain(self, request: Request, rest: bytes) -> None:
        verdict = self._judge(request)
        if isinstance(verdict, Answer):
            self._answer(verdict)
        else:
            self._upgrade(verdict, accept_upgrade(request), rest)

    def _read_unusual(self, head: bytes, rest: bytes) -> None:
        """Let the library read a request: one for a page, or for a WebSocket in other words than the plain ones."""
        door = self._gate.door
        path = head.split(b" ", 2)[1].decode("latin-1")
        protocol = library(door.largest_message(path), State.CONNECTING)
        protocol.receive_data(head)
        requests = protocol.events_received()
        if not requests:  # the library could not read it
            self._answer_unread(plain(HTTPStatus.BAD_REQUEST))
            return
        request = cast("Request", requests[0])
        verdict = self._judge(request)
        if isinstance(verdict, Answer):
            self._answer(verdict)
            return
        response = protocol.accept(request)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            door.dismiss(verdict)
            self._finish(response.serialize())
            return
        protocol.send_response(response)
        self._upgrade(verdict, b"".join(protocol.data_to_send()), rest, protocol)

    def _judge(self, request: Request) -> Answer | Admitted:
        peer = self._transport.get_extra_info("peername") or ("",)
        return self._gate.door.judge(request, str(peer[0]))

    def _upgrade(self, admitted: Admitted, answer: bytes, rest: bytes, protocol: ServerProtocol | None = None) -> None:
        """Answer, and let a connection take over."""
        self._timer.cancel()
        connection = Connection(self._gate, self._transport, admitted, protocol)
        self._transport.set_protocol(connection)
        self._gate.replace(self, connection)
        connection.open(answer)
        if rest:
            connection.data_received(rest)

    def _answer_unread(self, answer: Answer) -> None:
        self._gate.door.router.count("other", answer.status)
        self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        self._finish(serialize(answer).serialize())

    def _finish(self, data: bytes) -> None:
        """Send an answer; give the peer time to read it, and no more."""
        self._answered = True
        self._head = b""
        self._timer.cancel()
        self._transport.write(data)
        if self._transport.can_write_eof():
            # Half-close: closing with bytes unread would reset, and the answer be lost.
            self._transport.write_eof()
            self._timer = self._gate.loop.call_later(CLOSE_SECONDS, self._transport.abort)
        else:
            self._transport.close()

    def _time_out(self) -> None:
        self._answer_unread(plain(HTTPStatus.REQUEST_TIMEOUT))
