"""A TCP connection before it is a WebSocket: one request, one answer - or an upgrade, and another takes over."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from server.http.admission import FULL
from server.http.handshake import Admitted
from server.http.parser import read_request
from server.http.response import HttpResponse, plain, serialize
from server.http.upgrade import accept_unusual, accept_upgrade, read_upgrade
from server.websocket.connection import Connection

if TYPE_CHECKING:
    from websockets.http11 import Request

    from server.http.listener import Gate

HANDSHAKE_SECONDS: Final = 10.0
"""How long a request's head may take."""

CLOSE_SECONDS: Final = 5.0
"""How long a peer may take to close after an answer before it is cut off."""


_END_OF_HEAD: Final = b"\r\n\r\n"


class HttpConnection(asyncio.Protocol):
    """Whoever has connected and not yet been answered."""

    __slots__ = ("_answered", "_gate", "_head", "_timer", "_transport")

    _transport: asyncio.Transport

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._timer: asyncio.TimerHandle | None = None
        self._head = b""
        self._answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request, but not for ever; with no socket to spare, do not wait at all."""
        self._transport = cast("asyncio.Transport", transport)
        self._gate.guests.add(self)
        if self._gate.is_overrun:
            self._transport.abort()
            return
        self._timer = self._gate.loop.call_later(HANDSHAKE_SECONDS, self._time_out)
        if self._gate.is_full:
            self._gate.services.stats.handshakes_rejected[FULL.label] += 1
            self._finish(serialize(plain(FULL.status, FULL.text, headers={"Retry-After": str(FULL.retry_after)})))

    def data_received(self, data: bytes) -> None:
        """Collect the request's head, and act on it once it is complete."""
        if self._answered:
            if not self._transport.can_write_eof():
                self._transport.close()  # over TLS, where we cannot half-close: it has read the answer
            return
        self._head += data
        head = self._head
        end = head.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        request = read_upgrade(head[:end]) if end >= len(_END_OF_HEAD) else None
        if request is not None:
            self._decide(request, head[end:], is_plain=True)
            return
        read = read_request(head)
        if isinstance(read, HttpResponse):
            self._answer_unread(read)
        elif read is not None:
            request, end = read
            self._decide(request, head[end:], is_plain=False)

    def eof_received(self) -> bool:
        """Close our side too when the peer has closed its own."""
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        """Be forgotten."""
        self._cancel_timer()
        self._gate.remove(self)

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def _decide(self, request: Request, rest: bytes, *, is_plain: bool) -> None:
        """Answer a request, or let a connection take over; `is_plain`: it is known to be a proper handshake."""
        policy = self._gate.policy
        peer = self._transport.get_extra_info("peername") or ("",)
        verdict = policy.judge(request, str(peer[0]))
        if isinstance(verdict, HttpResponse):
            self._finish(serialize(verdict, to_head=request.method == "HEAD"))
            return
        if is_plain:
            accepted = accept_upgrade(request)
        else:
            response = accept_unusual(request)
            accepted = response.serialize()
            if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
                policy.dismiss(verdict)
                self._finish(accepted)
                return
        if isinstance(verdict, Admitted):
            self._upgrade(verdict, accepted, rest)
        else:
            self._finish(accepted + verdict.close_frame, may_reply=True)

    def _upgrade(self, admitted: Admitted, answer: bytes, rest: bytes) -> None:
        """Answer, and let a connection take over."""
        self._cancel_timer()
        connection = Connection(self._gate, self._transport, admitted)
        self._transport.set_protocol(connection)
        self._gate.replace(self, connection)
        connection.open(answer)
        if rest:
            connection.data_received(rest)

    def _answer_unread(self, answer: HttpResponse) -> None:
        self._gate.policy.router.count("other", answer.status)
        self._finish(serialize(answer, to_head=self._head.startswith(b"HEAD ")))

    def _finish(self, data: bytes, *, may_reply: bool = False) -> None:
        """Send an answer, and give the peer some seconds to read it.

        Args:
            data: the answer.
            may_reply: whether the peer answers it, as a close frame is answered.
        """
        self._answered = True
        self._head = b""
        self._cancel_timer()
        self._transport.write(data)
        if self._transport.can_write_eof():
            # Half-close: closing with bytes unread would reset the connection, and the answer could be lost.
            self._transport.write_eof()
        elif not may_reply:
            self._transport.close()
            return
        self._timer = self._gate.loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _time_out(self) -> None:
        self._answer_unread(plain(HTTPStatus.REQUEST_TIMEOUT))
