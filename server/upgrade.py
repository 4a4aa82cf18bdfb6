"""The plain request for a WebSocket, read and answered without the library: pure.

What every browser and library sends is recognized here, in a fifth of the time. Whatever is the least bit unusual - a
header twice, folded or not ASCII, another version, a key that is none - is left to websockets' Sans-I/O protocol, which
stays the authority on what is wrong with it.
"""

from __future__ import annotations

import re
from typing import Final

from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.utils import accept_key

MAX_BYTES: Final = 8000  # the library takes 8192 in each line
MAX_LINES: Final = 100  # the library takes 128 headers
_PLAIN: Final = re.compile(rb"GET ([!-~]+) HTTP/1\.1\r\n((?:[A-Za-z0-9][A-Za-z0-9-]*:[ -~]*\r\n)+)\r\n")
_CONNECTION: Final = frozenset({"upgrade", "keep-alive, upgrade"})
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==")  # 16 bytes in base64 (RFC 6455, section 4.1)
_OF_A_BODY: Final = frozenset({"content-length", "transfer-encoding"})


def read_upgrade(head: bytes) -> Request | None:
    """Return the request in a complete head if it is a plain one for a WebSocket; else the library has to look."""
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
    asks = (
        len(values) == len(lines) <= MAX_LINES
        and values.get("upgrade", "").lower() == "websocket"
        and values.get("connection", "").lower() in _CONNECTION
        and values.get("sec-websocket-version") == "13"
        and _KEY.fullmatch(values.get("sec-websocket-key", ""))
        and _OF_A_BODY.isdisjoint(values)
    )
    return Request(plain[1].decode(), headers) if asks else None


def accept_upgrade(request: Request) -> bytes:
    """Return the answer to a plain request (RFC 6455, section 4.2.2): no extension, no subprotocol."""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(request.headers['Sec-WebSocket-Key'])}\r\n\r\n"
    ).encode()
