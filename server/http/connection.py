"""A connection that is not a WebSocket yet: one request, then a response or an upgrade."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from server.http.admission import FULL
from server.http.handshake import refuse
from server.http.parser import read_request
from server.http.response import HttpResponse, plain, serialize
from server.http.upgrade import accept_unusual, accept_upgrade, read_upgrade
from server.websocket.connection import Connection
from server.websocket.routes import AcceptedUpgrade

if TYPE_CHECKING:
    from websockets.http11 import Request

    from server.http.listener import Listener

HANDSHAKE_SECONDS: Final = 10.0
"""How long the client may take to send the head of its request."""

CLOSE_SECONDS: Final = 5.0
"""How long the client may take to close after a response; then the connection is aborted."""

_END_OF_HEAD: Final = b"\r\n\r\n"


class HttpConnection(asyncio.Protocol):
    """Read one request, and respond to it or hand the transport to a WebSocket `Connection`."""

    __slots__ = ("_has_responded", "_head", "_listener", "_timer", "_transport")

    _transport: asyncio.Transport

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._timer: asyncio.TimerHandle | None = None
        self._head = b""
        self._has_responded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request for a limited time; above the listener's limits, refuse the connection at once."""
        self._transport = cast("asyncio.Transport", transport)
        listener = self._listener
        listener.add(self)
        if listener.is_overloaded:
            self._transport.abort()
            return
        self._timer = listener.context.loop.call_later(HANDSHAKE_SECONDS, self._time_out)
        if listener.is_full:
            listener.context.stats.handshakes_rejected[FULL.label] += 1
            self._finish(serialize(refuse(FULL)))

    def data_received(self, data: bytes) -> None:
        """Collect the head of the request; handle the request once the head is complete."""
        if self._has_responded:
            if not self._transport.can_write_eof():
                self._transport.close()  # TLS cannot half-close; a client that sends more has read the response
            return
        self._head += data
        head = self._head
        end = head.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        request = read_upgrade(head[:end]) if end >= len(_END_OF_HEAD) else None
        if request is not None:
            self._handle(request, head[end:], is_plain_upgrade=True)
            return
        read = read_request(head)
        if isinstance(read, HttpResponse):
            self._respond_unparsed(read)
        elif read is not None:
            request, end = read
            self._handle(request, head[end:], is_plain_upgrade=False)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Remove the connection from the listener."""
        self._cancel_timer()
        self._listener.discard(self)

    def abort(self) -> None:
        """Close the transport at once, without a response."""
        self._transport.abort()

    def _handle(self, request: Request, rest: bytes, *, is_plain_upgrade: bool) -> None:
        """Respond to a request, or upgrade the connection.

        Args:
            request: the request.
            rest: bytes that followed its head.
            is_plain_upgrade: whether `read_upgrade` has checked the handshake; otherwise the library checks it.
        """
        policy = self._listener.policy
        peer = self._transport.get_extra_info("peername") or ("",)
        decision = policy.decide(request, str(peer[0]))
        if isinstance(decision, HttpResponse):
            self._finish(serialize(decision, head_only=request.method == "HEAD"))
            return
        if is_plain_upgrade:
            response = accept_upgrade(request)
        else:
            checked = accept_unusual(request)
            response = checked.serialize()
            if checked.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
                policy.revoke(decision)
                self._finish(response)
                return
        if isinstance(decision, AcceptedUpgrade):
            self._upgrade(decision, response, rest)
        else:
            self._finish(response + decision.close_frame, is_answered=True)

    def _upgrade(self, upgrade: AcceptedUpgrade, response: bytes, rest: bytes) -> None:
        """Hand the transport to a WebSocket connection, which sends the response."""
        self._cancel_timer()
        listener = self._listener
        connection = Connection(listener.context, self._transport, upgrade, listener.websocket_closed)
        self._transport.set_protocol(connection)
        listener.replace(self, connection)
        connection.open(response)
        if rest:
            connection.data_received(rest)

    def _respond_unparsed(self, response: HttpResponse) -> None:
        """Respond to a request whose path is unknown because its head is malformed or incomplete."""
        self._listener.policy.router.count("other", response.status)
        self._finish(serialize(response, head_only=self._head.startswith(b"HEAD ")))

    def _finish(self, data: bytes, *, is_answered: bool = False) -> None:
        """Send a response, and give the client some seconds to read it.

        Args:
            data: the response.
            is_answered: whether the client answers the data, as it answers a close frame.
        """
        self._has_responded = True
        self._head = b""
        self._cancel_timer()
        self._transport.write(data)
        if self._transport.can_write_eof():
            # Half-close: closing with bytes unread would reset the connection, and the response could be lost.
            self._transport.write_eof()
        elif not is_answered:
            self._transport.close()
            return
        self._timer = self._listener.context.loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _time_out(self) -> None:
        self._respond_unparsed(plain(HTTPStatus.REQUEST_TIMEOUT))
