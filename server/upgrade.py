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

MAX_LINE_BYTES: Final = 8000  # the library takes 8192
MAX_LINES: Final = 100  # the library takes 128 headers
_CONNECTION: Final = frozenset({"upgrade", "keep-alive, upgrade"})
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==")  # 16 bytes in base64 (RFC 6455, section 4.1)


def read_upgrade(head: bytes) -> Request | None:
    """Return the request in a complete head if it is a plain one for a WebSocket; else the library has to look."""
    if not head.isascii():
        return None
    request_line, *lines = head[:-4].decode().split("\r\n")
    words = request_line.split(" ")
    if len(words) != 3 or words[0] != "GET" or words[2] != "HTTP/1.1" or not words[1].isprintable():
        return None
    if len(lines) > MAX_LINES or len(request_line) > MAX_LINE_BYTES:
        return None
    headers = Headers()
    values: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        value = value.strip(" \t")
        if not (colon and name.replace("-", "").isalnum() and value.isprintable() and len(line) <= MAX_LINE_BYTES):
            return None
        values[name.lower()] = value
        headers.set_insecure(name, value)
    asks = (
        len(values) == len(lines)
        and values.get("upgrade", "").lower() == "websocket"
        and values.get("connection", "").lower() in _CONNECTION
        and values.get("sec-websocket-version") == "13"
        and _KEY.fullmatch(values.get("sec-websocket-key", ""))
    )
    return Request(words[1], headers) if asks else None


def accept_upgrade(request: Request) -> bytes:
    """Return the answer to a plain request (RFC 6455, section 4.2.2): no extension, no subprotocol."""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(request.headers['Sec-WebSocket-Key'])}\r\n\r\n"
    ).encode()
