"""Parse and accept the upgrade request that all browsers and libraries send. Pure.

This takes a fifth of the time of the general parser. `server.http.parser` parses any other request, and websockets'
Sans-I/O protocol decides whether it is a valid handshake. Such a request has a repeated header, a character that is not
ASCII, an absolute target, another version, or a malformed key.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from websockets.server import ServerProtocol
from websockets.utils import accept_key

if TYPE_CHECKING:
    from websockets.http11 import Request, Response

_quiet = logging.getLogger("stampede.websockets")  # the response contains the reason that the library would log

MAX_BYTES: Final = 8000
MAX_LINES: Final = 100
_PLAIN: Final = re.compile(rb"GET (/[!\"$-~]*) HTTP/1\.1\r\n((?:[A-Za-z0-9][A-Za-z0-9-]*:[ -~]*\r\n)+)\r\n")
_FIELD: Final = re.compile(r"([^:]+): *([^\r]*)\r\n")
_CONNECTION: Final = frozenset({"upgrade", "keep-alive, upgrade"})
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==")  # 16 bytes in base64 (RFC 6455, section 4.1)
_KEY_NAME: Final = b"\r\nSec-WebSocket-Key: "
_KEY_BYTES: Final = 24
_SAMPLE_KEY: Final = b"A" * 22 + b"=="
_MEMO_HEADS: Final = 256
_MEMO_BYTES: Final = 1024
"""Longer heads have cookies or tokens, and would not occur again."""

_BODY_HEADERS: Final = frozenset({"content-length", "transfer-encoding"})


class PlainFields(dict[str, str]):
    """Header fields by lower-case name; none is repeated."""

    __slots__ = ()

    def get_all(self, name: str) -> list[str]:
        """Return the value of a field as a list, which is empty without the field."""
        value = self.get(name.lower())
        return [] if value is None else [value]


class UpgradeRequest(NamedTuple):
    """A plain upgrade request: its target, its header fields except the key, and the key."""

    path: str
    headers: PlainFields
    key: str


def read_upgrade(head: bytes) -> UpgradeRequest | None:
    """Return the request if a complete head is a plain upgrade request, otherwise None."""
    before, name, rest = head.partition(_KEY_NAME)
    if not name or len(head) > _MEMO_BYTES:
        return _parse(head)
    template = _parse_without_key(before, rest[_KEY_BYTES:])
    key = rest[:_KEY_BYTES].decode("latin-1")
    return UpgradeRequest(template.path, template.headers, key) if template and _KEY.fullmatch(key) else None


@lru_cache(_MEMO_HEADS)
def _parse_without_key(before: bytes, after: bytes) -> UpgradeRequest | None:
    """Parse a head with another key. Heads of one program on one machine usually differ only in the key."""
    return _parse(before + _KEY_NAME + _SAMPLE_KEY + after)


def _parse(head: bytes) -> UpgradeRequest | None:
    plain = _PLAIN.fullmatch(head) if len(head) <= MAX_BYTES else None
    if plain is None:
        return None
    found = _FIELD.findall(plain[2].decode())
    fields = PlainFields([(name.lower(), value.rstrip(" ")) for name, value in found])
    is_upgrade = (
        len(fields) == len(found) <= MAX_LINES
        and fields.get("upgrade", "").lower() == "websocket"
        and fields.get("connection", "").lower() in _CONNECTION
        and fields.get("sec-websocket-version") == "13"
        and _KEY.fullmatch(fields.get("sec-websocket-key", ""))
        and _BODY_HEADERS.isdisjoint(fields)
    )
    return UpgradeRequest(plain[1].decode(), fields, fields.pop("sec-websocket-key")) if is_upgrade else None


def accept_upgrade(request: UpgradeRequest) -> bytes:
    """Return the response to a plain upgrade request (RFC 6455, section 4.2.2): no extension, no subprotocol."""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(request.key)}\r\n\r\n"
    ).encode()


def accept_unusual(request: Request) -> Response:
    """Return the library's response to an upgrade request: status 101, or an error."""
    response = ServerProtocol(logger=_quiet).accept(request)
    if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
        response.headers["Sec-WebSocket-Version"] = "13"  # RFC 6455, section 4.2.2
    return response
