"""The server to connect to: its URL, resolved once for all connections of a process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from gevent import socket as gevent_socket
from websockets.uri import WebSocketURI, parse_uri

from stampede.redaction import redact
from stampede.websocket.addresses import Address, Addresses
from stampede.websocket.errors import TargetError, UnreachableError
from stampede.websocket.tls import client_context

if TYPE_CHECKING:
    import ssl

    from stampede.websocket.endpoint import Endpoint
    from stampede.websocket.headers import Header

DEFAULT_HOST: Final = "ws://127.0.0.1:8080"


@dataclass(frozen=True, slots=True)
class Target:
    """A resolved WebSocket server.

    Attributes:
        url: the URL as given, with its path; `uri` are its parts.
        addresses: the server's addresses, as this process uses them.
        tls: TLS context for a wss URL, or None.
        headers: headers of each upgrade request, beside those of the handshake.
        subprotocols: subprotocols to offer in the handshake.
        sends_binary: whether messages are sent in binary frames.
        receives_binary: whether binary frames are messages, too; otherwise they are ignored.
        preferred: label of the address to try first; None for the next one in turn.
    """

    url: str
    uri: WebSocketURI
    addresses: Addresses
    tls: ssl.SSLContext | None
    headers: tuple[Header, ...] = ()
    subprotocols: tuple[str, ...] = ()
    sends_binary: bool = False
    receives_binary: bool = False
    preferred: str | None = None


def join_url(host: str, path: str, what: str = "--host") -> str:
    """Return the URL to connect to: `host` with `path`, unless `host` has a path.

    Args:
        host: the URL.
        path: path of the chat endpoint.
        what: name of the URL in error messages.

    Raises:
        TargetError: `host` is not a ws:// or wss:// URL.
    """
    try:
        parts = urlsplit(host)
        port = parts.port
    except ValueError as error:
        raise TargetError(f"{what} {redact(host)}: {redact(str(error))}") from error
    if parts.scheme not in ("ws", "wss") or not parts.hostname or port == 0:
        raise TargetError(f"{what} {redact(host)}: not a WebSocket address; it must look like {DEFAULT_HOST}")
    own = parts.path if parts.path != "/" else ""
    return urlunsplit((parts.scheme, parts.netloc, own or path, parts.query, ""))


def http_url(host: str) -> str:
    """Return the base URL for HTTP requests to a WebSocket host: http for ws, https for wss, without a path."""
    parts = urlsplit(host)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, "", "", ""))


def resolve(
    url: str,
    *,
    verify: bool = True,
    ca_file: str | None = None,
    first: int = 0,
    headers: tuple[Header, ...] = (),
    connect_to: tuple[Endpoint, ...] = (),
) -> Target:
    """Look up the server of a URL once, so that thousands of connections need no lookup.

    Args:
        url: see `join_url`.
        verify: whether to verify the certificate of a wss server.
        ca_file: trusted certificates (PEM), in place of the system's.
        first: index of the address at which the first connection begins.
        headers: headers of each upgrade request, beside those of the handshake.
        connect_to: where to connect, in place of the host of the URL; the Host header and the TLS name stay.

    Raises:
        TargetError: the file of certificates is unusable.
        UnreachableError: a host is unknown.
    """
    uri = parse_uri(url)
    tls = client_context(verify=verify, ca_file=ca_file) if uri.secure else None
    if connect_to:
        found = [address for endpoint in connect_to for address in _look_up_endpoint(endpoint)]
    else:
        found = _look_up(uri.host, uri.port)
    return Target(url, uri, Addresses(found, first), tls, headers)


def _look_up_endpoint(endpoint: Endpoint) -> list[Address]:
    try:
        return _look_up(*endpoint)
    except UnreachableError as error:
        raise UnreachableError(error.label, f"{endpoint}: {error}", error.fault) from error


def _look_up(host: str, port: int) -> list[Address]:
    try:
        found = gevent_socket.getaddrinfo(host, port, type=gevent_socket.SOCK_STREAM)
    except OSError as error:
        raise UnreachableError.from_os(error) from error
    return [Address(family, address) for family, *_, address in found]
