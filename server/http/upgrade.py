"""Parse and accept the upgrade request that all browsers and libraries send. Pure.

This takes a fifth of the time of the general parser. `server.http.parser` parses any other request, and websockets'
Sans-I/O protocol decides whether it is a valid handshake. Such a request has a repeated header, a character that is not
ASCII, an absolute target, another version, or a malformed key.
"""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from typing import Final

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.utils import accept_key

_quiet = logging.getLogger("stampede.websockets")  # the response contains the reason that the library would log

MAX_BYTES: Final = 8000
MAX_LINES: Final = 100
_PLAIN: Final = re.compile(rb"GET (/[!\"$-~]*) HTTP/1\.1\r\n((?:[A-Za-z0-9][A-Za-z0-9-]*:[ -~]*\r\n)+)\r\n")
_CONNECTION: Final = frozenset({"upgrade", "keep-alive, upgrade"})
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==")  # 16 bytes in base64 (RFC 6455, section 4.1)
_BODY_HEADERS: Final = frozenset({"content-length", "transfer-encoding"})


def read_upgrade(head: bytes) -> Request | None:
    """Return the request if a complete head is a plain upgrade request, otherwise None."""
    plain = _PLAIN.fullmatch(head) if len(head) <= MAX_BYTES else None
    if plain is None:
        return None
    lines = plain[2].decode().split("\r\n")
    lines.pop()
    headers = Headers()
    values: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        value = value.strip(" ")
        values[name.lower()] = value
        headers.set_insecure(name, value)
    is_upgrade = (
        len(values) == len(lines) <= MAX_LINES
        and values.get("upgrade", "").lower() == "websocket"
        and values.get("connection", "").lower() in _CONNECTION
        and values.get("sec-websocket-version") == "13"
        and _KEY.fullmatch(values.get("sec-websocket-key", ""))
        and _BODY_HEADERS.isdisjoint(values)
    )
    return Request(plain[1].decode(), headers) if is_upgrade else None


def accept_upgrade(request: Request) -> bytes:
    """Return the response to a plain upgrade request (RFC 6455, section 4.2.2): no extension, no subprotocol."""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(request.headers['Sec-WebSocket-Key'])}\r\n\r\n"
    ).encode()


def accept_unusual(request: Request) -> Response:
    """Return the library's response to an upgrade request: status 101, or an error."""
    response = ServerProtocol(logger=_quiet).accept(request)
    if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
        response.headers["Sec-WebSocket-Version"] = "13"  # RFC 6455, section 4.2.2
    return response
