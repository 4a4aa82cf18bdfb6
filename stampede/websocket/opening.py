"""The opening of a connection: TCP connect, TLS handshake, upgrade request, HTTP response. The reactor drives it."""

from __future__ import annotations

import ssl
from time import monotonic
from typing import TYPE_CHECKING

from stampede.generator_faults import kind_of
from stampede.websocket.errors import ConnectError, HandshakeError, TlsError, UnreachableError
from stampede.websocket.handshake import Handshake
from stampede.websocket.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from websockets.client import ClientProtocol

    from stampede.websocket.addresses import Address
    from stampede.websocket.headers import Header
    from stampede.websocket.reactor import Watched
    from stampede.websocket.transport import Transport


class Opening:
    """The opening of one connection.

    Attributes:
        has_connected: whether the TCP connect has succeeded.
    """

    __slots__ = ("_failure", "_handshake", "_progress", "_protocol", "_transport", "has_connected")

    def __init__(self, transport: Transport, protocol: ClientProtocol, headers: Sequence[Header]) -> None:
        self._transport = transport
        self._protocol = protocol
        self._handshake = Handshake(protocol, headers)
        self._failure: ConnectError | None = None
        self._progress = Progress()
        self.has_connected = False

    def run(self, address: Address, watched: Watched, timeout: float, attempt_timeout: float) -> None:
        """Connect, and wait for the end of the handshakes. Other greenlets run meanwhile.

        Args:
            address: where to connect.
            watched: handles the events of the socket.
            timeout: seconds for everything.
            attempt_timeout: seconds for the TCP connect.

        Raises:
            ConnectError: the connection was not opened; the subclass names the reason.
        """
        deadline = monotonic() + timeout
        self._transport.connect(address, watched)
        has_ended = self._progress.wait(self._has_ended, attempt_timeout)
        if not has_ended and self.has_connected:
            has_ended = self._progress.wait(self._has_ended, deadline - monotonic())
        if self._failure is not None:
            raise self._failure
        if not has_ended:
            raise (HandshakeError if self.has_connected else UnreachableError)("connect timed out")

    def _has_ended(self) -> bool:
        return self._failure is not None or self._handshake.succeeded

    @property
    def has_succeeded(self) -> bool:
        """Whether the server has accepted the WebSocket."""
        return self._handshake.succeeded

    def tcp_connected(self) -> None:
        """Handle the end of the TCP connect, then start the TLS handshake or send the upgrade request."""
        try:
            self._transport.complete_connect()
        except ConnectError as error:
            self._fail(error)
            return
        self.has_connected = True
        if self._transport.tls is not None:
            self._decrypt(b"")
        else:
            self._send_request()

    def _send_request(self) -> None:
        self._handshake.send_request()
        for data in self._protocol.data_to_send():
            self._transport.write(data)

    def receive(self, data: bytes) -> bytes:
        """Handle received bytes; return those of frames that follow the response."""
        if self._transport.tls is not None:
            data = self._decrypt(data)
        if not data:
            return b""
        try:
            data = self._handshake.receive_data(data)
        except ConnectError as error:
            self._fail(error)
            return b""
        if self._handshake.succeeded:
            self._progress.notify()
        return data

    def _decrypt(self, data: bytes) -> bytes:
        tls = self._transport.tls
        was_established = tls is not None and tls.established
        try:
            plain = self._transport.decrypt(data)
        except ssl.SSLCertVerificationError as error:
            text = f"certificate not trusted: {error.verify_message}"
            self._fail(TlsError("certificate not trusted", text, kind_of(error)))
            return b""
        except ssl.SSLError as error:
            self._fail(TlsError("TLS handshake failed", f"TLS handshake failed: {error.reason}"))
            return b""
        if tls is not None and tls.established and not was_established:
            self._send_request()
        return plain

    def end(self, error: OSError | None) -> None:
        """Handle the end of the stream, which is a failure."""
        if error is not None:
            self._fail(HandshakeError.from_os(error))
            return
        try:
            self._handshake.receive_eof()
        except ConnectError as problem:
            self._fail(problem)

    def _fail(self, error: ConnectError) -> None:
        """Give up. The first error counts."""
        if self._failure is None:
            self._failure = error
            self._transport.ignore()
            self._progress.notify()
