"""Where to connect, and what can go wrong on the way there.

ClientError                root; `label` is the few words under which failures are counted
+-- ConnectError           no connection came about
|   +-- UnreachableError   no TCP connection: refused, no route, no such host, timed out
|   +-- TlsError           the TLS handshake failed
|   +-- RefusedError       the server answered the upgrade with another HTTP status
|   +-- NotWebSocketError  what answered does not speak WebSocket
+-- LostError              an open connection ended without our doing
+-- TargetError            the address itself is unusable; one line for the person who gave it
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from gevent import socket as gevent_socket
from websockets.uri import WebSocketURI, parse_uri

from stampede.generator_faults import FaultKind, kind_of
from stampede.redaction import redact
from stampede.websocket.addresses import Address, Addresses

if TYPE_CHECKING:
    from stampede.websocket.headers import Header

DEFAULT_HOST: Final = "ws://127.0.0.1:8080"


class ClientError(Exception):
    """Root of what the client raises.

    Attributes:
        label: few and fixed words for statistics; the exception's text says more.
        fault: which limit of the load generator's own machine it shows, if it does: then it is not about the server.
    """

    def __init__(self, label: str, text: str | None = None, fault: FaultKind | None = None) -> None:
        super().__init__(text or label)
        self.label = label
        self.fault = fault


class ConnectError(ClientError):
    """No connection came about."""


class UnreachableError(ConnectError):
    """There is no TCP connection to be had."""

    @classmethod
    def from_os(cls, error: OSError) -> UnreachableError:
        """Word an error of the operating system, and say whether it is this machine's own."""
        words = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error.args[-1]).lower()
        fault = kind_of(error)
        return cls(words) if fault is None else cls(f"load generator: {fault}", words, fault)


class TlsError(ConnectError):
    """The TLS handshake failed."""


class RefusedError(ConnectError):
    """The server answered the upgrade with another HTTP status.

    Attributes:
        status: HTTP status code.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"HTTP {status}", f"HTTP {status} {words}".rstrip())
        self.status = status


class NotWebSocketError(ConnectError):
    """What answered does not speak WebSocket."""


class LostError(ClientError):
    """An open connection ended without our doing.

    Attributes:
        code: WebSocket close code; 1006 when there was no close frame.
        reason: the server's words.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"connection lost: {code}", f"connection lost: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class TargetError(ClientError):
    """The address is unusable."""


@dataclass(frozen=True, slots=True)
class Target:
    """A resolved WebSocket address.

    Attributes:
        url: as given, with path.
        uri: its parts.
        addresses: where it is, in this process.
        tls: context for wss, or None.
        headers: of each upgrade request, beside those of the handshake.
    """

    url: str
    uri: WebSocketURI
    addresses: Addresses
    tls: ssl.SSLContext | None
    headers: tuple[Header, ...] = ()


def join_url(host: str, path: str) -> str:
    """Return the address to connect to: `host` with `path`, unless it brings a path of its own.

    Raises:
        TargetError: `host` is no ws:// or wss:// address.
    """
    try:
        parts = urlsplit(host)
        port = parts.port
    except ValueError as error:
        raise TargetError(f"--host {redact(host)}: {redact(str(error))}") from error
    if parts.scheme not in ("ws", "wss") or not parts.hostname or port == 0:
        raise TargetError(f"--host {redact(host)}: not a WebSocket address; it must look like {DEFAULT_HOST}")
    own = parts.path if parts.path != "/" else ""
    return urlunsplit((parts.scheme, parts.netloc, own or path, parts.query, ""))


def resolve(
    url: str, *, verify: bool = True, ca_file: str | None = None, first: int = 0, headers: tuple[Header, ...] = ()
) -> Target:
    """Look an address up once, so that thousands of connections do not.

    Args:
        url: see `join_url`.
        verify: whether a wss server must prove who it is.
        ca_file: certificates (PEM) of who may vouch for it, in place of the system's.
        first: at which of several addresses the first connection begins.
        headers: of each upgrade request, beside those of the handshake.

    Raises:
        TargetError: the file of certificates is unusable.
        UnreachableError: there is no such host.
    """
    uri = parse_uri(url)
    tls = _tls_context(verify=verify, ca_file=ca_file) if uri.secure else None
    try:
        found = gevent_socket.getaddrinfo(uri.host, uri.port, type=gevent_socket.SOCK_STREAM)
    except OSError as error:
        raise UnreachableError.from_os(error) from error
    addresses = Addresses([Address(family, address) for family, *_, address in found], first)
    return Target(url, uri, addresses, tls, headers)


def _tls_context(*, verify: bool, ca_file: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise TargetError(f"--ca-file {ca_file}: no certificates in PEM") from None
    except OSError as error:
        raise TargetError(f"--ca-file {ca_file}: {os.strerror(error.errno or 0)}") from None
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
