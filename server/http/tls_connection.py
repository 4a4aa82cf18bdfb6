"""A TCP connection from its first moment, through its TLS handshake, to the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from uvloop import loop as uvloop_loop

from server.http.connection import CLOSE_SECONDS, HANDSHAKE_SECONDS, HttpConnection

if TYPE_CHECKING:
    import asyncio
    import ssl

    from server.http.listener import Gate

_TlsProtocol: Any = vars(uvloop_loop)["SSLProtocol"]
"""What `create_server(ssl=...)` uses; with that, nobody could count the handshakes under way."""


class TlsHttpConnection(HttpConnection):
    """A visitor that counts as one during its TLS handshake, too, and has a limited time for that.

    `connection_made` is called twice: with the TCP connection, then with TLS on top of it.
    """

    __slots__ = ("_context", "_is_secure", "_is_shaking")

    def __init__(self, gate: Gate, context: ssl.SSLContext) -> None:
        super().__init__(gate)
        self._context = context
        self._is_shaking = self._is_secure = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the TLS handshake; after it, wait for a request."""
        if self._is_shaking:
            self._is_secure = True
            super().connection_made(transport)
            return
        gate = self._gate
        self._is_shaking = True
        self._transport = cast("asyncio.Transport", transport)
        gate.guests.add(self)
        if gate.is_full:  # it could not be told so: that costs a handshake
            self._transport.abort()
            return
        done = gate.loop.create_future()
        done.add_done_callback(self._shaken)
        protocol = _TlsProtocol(
            gate.loop,
            self,
            self._context,
            done,
            server_side=True,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=CLOSE_SECONDS,
        )
        self._transport.set_protocol(protocol)
        protocol.connection_made(transport)

    def _shaken(self, done: asyncio.Future[None]) -> None:
        done.exception()  # a handshake that fails is the client's affair
        if not self._is_secure:
            self._gate.remove(self)
