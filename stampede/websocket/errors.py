"""The exceptions of a connection. All are `StampedeError`s.

ClientError                root; `label` is the few words under which failures are counted
+-- ConnectError           no connection was opened
|   +-- UnreachableError   no TCP connection: refused, no route, unknown host, timeout
|   +-- HandshakeError     the connection was lost during the handshake, or no answer arrived in time
|   +-- TlsError           the TLS handshake failed
|   +-- RefusedError       the server answered the upgrade request with another HTTP status
|   +-- NotWebSocketError  the peer does not speak WebSocket
+-- LostError              the peer or the network ended an open connection
+-- TargetError            the address is invalid; the text is one line for the user
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from stampede.errors import StampedeError
from stampede.generator_faults import kind_of

if TYPE_CHECKING:
    from stampede.generator_faults import FaultKind


class ClientError(StampedeError):
    """Root of the errors of a client.

    Attributes:
        label: few and fixed words for statistics; the text of the exception has the details.
        fault: the limit of the generator's own machine that caused the error, if one did. Then the server is not the
            cause.
    """

    def __init__(self, label: str, text: str | None = None, fault: FaultKind | None = None) -> None:
        super().__init__(text or label)
        self.label = label
        self.fault = fault


class ConnectError(ClientError):
    """No connection was opened."""

    @classmethod
    def from_os(cls, error: OSError) -> Self:
        """Return the error for one of the operating system, and note whether this machine is its cause."""
        words = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error.args[-1]).lower()
        fault = kind_of(error)
        return cls(words) if fault is None else cls(f"load generator: {fault}", words, fault)


class UnreachableError(ConnectError):
    """No TCP connection was opened."""


class HandshakeError(ConnectError):
    """The connection was lost during the handshake of TLS or WebSocket, or no answer arrived in time."""


class TlsError(ConnectError):
    """The TLS handshake failed."""


class RefusedError(ConnectError):
    """The server answered the upgrade request with another HTTP status.

    Attributes:
        status: HTTP status code.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"HTTP {status}", f"HTTP {status} {words}".rstrip())
        self.status = status


class NotWebSocketError(ConnectError):
    """The peer does not speak WebSocket."""


class LostError(ClientError):
    """The peer or the network ended an open connection.

    Attributes:
        code: WebSocket close code; 1006 when there was no close frame.
        reason: the reason in the server's close frame.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"connection lost: {code}", f"connection lost: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class TargetError(ClientError):
    """The address is invalid."""
