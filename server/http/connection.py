"""A connection that is not a WebSocket yet: one request, then a response or an upgrade."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from server.http.admission import FULL
from server.http.file_response import FileResponse
from server.http.handshake import FileRequest, refuse
from server.http.parser import read_request
from server.http.response import HttpResponse, plain, serialize
from server.http.upgrade import accept_unusual, accept_upgrade, read_upgrade
from server.websocket.connection import Connection
from server.websocket.routes import AcceptedUpgrade

if TYPE_CHECKING:
    from websockets.http11 import Request

    from server.http.handshake import RejectedToken
    from server.http.listener import Listener
    from server.http.upgrade import UpgradeRequest

HANDSHAKE_SECONDS: Final = 10.0
"""How long the client may take to send the head of its request."""

CLOSE_SECONDS: Final = 5.0
"""How long the client may take to close after a response; then the connection is aborted."""

_END_OF_HEAD: Final = b"\r\n\r\n"


class HttpConnection(asyncio.Protocol):
    """Read one request, and respond to it or hand the transport to a WebSocket `Connection`."""

    __slots__ = ("_close_timer", "_file", "_has_responded", "_head", "_listener", "_task", "_transport")

    _transport: asyncio.Transport

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._close_timer: asyncio.TimerHandle | None = None
        self._head = b""
        self._has_responded = False
        self._file: FileResponse | None = None
        self._task: asyncio.Task[None] | None = None  # asyncio itself keeps only a weak reference

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request for a limited time; above the listener's limits, refuse the connection at once."""
        self._transport = cast("asyncio.Transport", transport)
        listener = self._listener
        listener.add(self)
        if listener.is_overloaded:
            self._transport.abort()
            return
        listener.handshakes.add(self, HANDSHAKE_SECONDS)
        if listener.is_full:
            listener.context.stats.handshakes_rejected[FULL.label] += 1
            self._finish(serialize(refuse(FULL)))

    def data_received(self, data: bytes) -> None:
        """Collect the head of the request; handle the request once the head is complete."""
        if self._has_responded:
            if not self._transport.can_write_eof() and self._file is None:
                self._transport.close()  # TLS cannot half-close; a client that sends more has read the response
            return
        self._head += data
        head = self._head
        end = head.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        upgrade = read_upgrade(head[:end]) if end >= len(_END_OF_HEAD) else None
        if upgrade is not None:
            self._handle_upgrade(upgrade, head[end:])
            return
        read = read_request(head)
        if isinstance(read, HttpResponse):
            self._respond_unparsed(read)
        elif read is not None:
            request, end = read
            self._handle(request, head[end:])

    def connection_lost(self, _exc: Exception | None) -> None:
        """Remove the connection from the listener."""
        self._cancel_timeout()
        self._listener.discard(self)
        if self._file is not None:
            self._file.sender.connection_lost()

    def pause_writing(self) -> None:
        """Pause sending a file."""
        if self._file is not None:
            self._file.sender.pause_writing()

    def resume_writing(self) -> None:
        """Resume sending a file."""
        if self._file is not None:
            self._file.sender.resume_writing()

    def abort(self) -> None:
        """Close the transport at once, without a response."""
        self._transport.abort()

    def time_out(self) -> None:
        """Respond to a client that has not sent its request in time."""
        self._respond_unparsed(plain(HTTPStatus.REQUEST_TIMEOUT))

    def _handle_upgrade(self, request: UpgradeRequest, rest: bytes) -> None:
        """Accept or refuse a plain upgrade request; `rest` is what followed it."""
        decision = self._listener.policy.decide_upgrade(request, self._peer_address())
        if isinstance(decision, HttpResponse):
            self._finish(serialize(decision))
        else:
            self._accept(decision, accept_upgrade(request), rest)

    def _handle(self, request: Request, rest: bytes) -> None:
        """Respond to any other request, or upgrade the connection if the library accepts the handshake."""
        policy = self._listener.policy
        decision = policy.decide(request, self._peer_address())
        if isinstance(decision, HttpResponse):
            self._finish(serialize(decision, head_only=request.method == "HEAD"))
            return
        if isinstance(decision, FileRequest):
            self._has_responded = True
            self._cancel_timeout()
            self._file = FileResponse(decision, request.method, self._listener.context, self._transport)
            self._task = self._listener.context.loop.create_task(self._send_file(self._file))
            return
        checked = accept_unusual(request)
        if checked.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            self._accept(decision, checked.serialize(), rest)
        else:
            policy.revoke(decision)
            self._finish(checked.serialize())

    def _peer_address(self) -> str:
        peer = self._transport.get_extra_info("peername")
        return str(peer[0]) if peer else ""

    def _accept(self, decision: AcceptedUpgrade | RejectedToken, response: bytes, rest: bytes) -> None:
        """Upgrade the connection, or respond and close it because of its token."""
        if isinstance(decision, AcceptedUpgrade):
            self._upgrade(decision, response, rest)
        else:
            self._finish(response + decision.close_frame, is_answered=True)

    def _upgrade(self, upgrade: AcceptedUpgrade, response: bytes, rest: bytes) -> None:
        """Hand the transport to a WebSocket connection, which sends the response."""
        listener = self._listener
        listener.handshakes.discard(self)
        connection = Connection(listener.context, self._transport, upgrade, listener.on_websocket_closed)
        self._transport.set_protocol(connection)
        listener.replace(self, connection)
        connection.open(response)
        if rest:
            connection.data_received(rest)

    async def _send_file(self, response: FileResponse) -> None:
        is_sent = False
        try:
            is_sent = await response.send()
        finally:
            self._file = None
            if not is_sent:
                self._transport.abort()
            elif not response.sender.lost.is_set():
                self._end()

    def _respond_unparsed(self, response: HttpResponse) -> None:
        """Respond to a request whose path is unknown because its head is malformed or incomplete."""
        self._listener.policy.router.count("other", response.status)
        self._finish(serialize(response, head_only=self._head.startswith(b"HEAD ")))

    def _finish(self, data: bytes, *, is_answered: bool = False) -> None:
        """Send a whole response and end the connection.

        Args:
            data: the response.
            is_answered: whether the client answers the data, as it answers a close frame.
        """
        self._has_responded = True
        self._head = b""
        self._cancel_timeout()
        self._transport.write(data)
        self._end(is_answered=is_answered)

    def _end(self, *, is_answered: bool = False) -> None:
        """End the connection after a response, and give the client some seconds to read it."""
        if self._transport.can_write_eof():
            # Half-close: closing with bytes unread would reset the connection, and the response could be lost.
            self._transport.write_eof()
        elif not is_answered:
            self._transport.close()
            return
        self._close_timer = self._listener.context.loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def _cancel_timeout(self) -> None:
        self._listener.handshakes.discard(self)
        if self._close_timer is not None:
            self._close_timer.cancel()
