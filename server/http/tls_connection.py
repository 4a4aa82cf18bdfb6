"""A TLS connection that is not a WebSocket yet: TLS handshake, one request, then a response or an upgrade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from uvloop import loop as uvloop_loop

from server.http.connection import CLOSE_SECONDS, HANDSHAKE_SECONDS, HttpConnection

if TYPE_CHECKING:
    import asyncio
    import ssl

    from server.http.listener import Listener

_TlsProtocol: Any = vars(uvloop_loop)["SSLProtocol"]
"""What `create_server(ssl=...)` uses. That argument itself would hide connections during their TLS handshake."""


class TlsHttpConnection(HttpConnection):
    """An `HttpConnection` that belongs to its listener during the TLS handshake, too.

    `connection_made` is called twice: with the TCP transport, then with the TLS transport on top of it.
    """

    __slots__ = ("_has_started", "_is_secure", "_tls_context")

    def __init__(self, listener: Listener, tls_context: ssl.SSLContext) -> None:
        super().__init__(listener)
        self._tls_context = tls_context
        self._has_started = self._is_secure = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the TLS handshake; after it, wait for a request."""
        if self._has_started:
            self._is_secure = True
            super().connection_made(transport)
            return
        self._has_started = True
        self._transport = cast("asyncio.Transport", transport)
        self._listener.add(self)
        if self._listener.is_full:  # without a response, which would require the TLS handshake
            self._transport.abort()
            return
        loop = self._listener.context.loop
        done = loop.create_future()
        done.add_done_callback(self._handshake_done)
        protocol = _TlsProtocol(
            loop,
            self,
            self._tls_context,
            done,
            server_side=True,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=CLOSE_SECONDS,
        )
        self._transport.set_protocol(protocol)
        protocol.connection_made(transport)

    def _handshake_done(self, done: asyncio.Future[None]) -> None:
        done.exception()  # retrieves it, so that asyncio does not log the client's fault
        if not self._is_secure:
            self._listener.discard(self)
