"""Split received bytes into WebSocket frames, and frame text: pure, shared by server and load generator.

The laws of this file:

1. A final, unfragmented, unremarkable text frame comes out as its unmasked payload (`bytes`).
2. Every other frame comes out whole and untouched (`WholeFrame`), in its place in the order, for websockets'
   Sans-I/O protocol to judge: it stays the authority on RFC 6455.
3. The protocol never holds a partial frame - except one whose header alone already condemns it (invalid opcode, wrong
   masking, longer than allowed). From there on every byte is handed over as it comes, so that the protocol fails the
   connection as early as it would by itself.
4. What is kept between calls is bounded by the largest allowed frame, or by what one call was given.

Why: the library's parser is a generator that costs 4-5 us a frame, as much as the system call that brought it.
"""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING, Final

from websockets.speedups import apply_mask

if TYPE_CHECKING:
    from collections.abc import Mapping

_VALID_OPCODES: Final = frozenset({0x0, 0x1, 0x2, 0x8, 0x9, 0xA})
_FINAL_TEXT: Final = 0x81
_FINAL_BINARY: Final = 0x82
_SHORT_MASKED: Final = {bytes((_FINAL_TEXT, 0x80 | n)): n + 6 for n in range(126)}
"""How long a short masked text frame is, by its first two bytes."""
_SHORT_TEXT_HEADERS: Final = tuple(bytes((_FINAL_TEXT, n)) for n in range(126))


class WholeFrame(bytes):
    """Bytes of one frame (or of a condemned stream) that only the protocol may judge."""

    __slots__ = ()


class FrameSplitter:
    """Walk the frames of one direction of one connection.

    Args:
        masked: whether frames must be masked, i.e. whether this end is the server (RFC 6455, section 5.1).
        max_size: largest message in bytes, fragments added up; must equal the protocol's `max_size`.
        most: frames that one call returns at most; after so many, `split(b"")` goes on with what is there.
    """

    __slots__ = ("_condemned", "_fragments", "_masked", "_max_size", "_most", "_need", "_rest", "_short")

    def __init__(self, *, masked: bool, max_size: int, most: int = sys.maxsize) -> None:
        self._masked = masked
        self._max_size = max_size
        self._most = most
        self._rest: bytes | bytearray = b""  # start of an incomplete frame; a bytearray once it has grown
        self._need = 0  # bytes that `_rest` must reach before looking at it again
        self._fragments: int | None = None  # size so far of a fragmented message in progress
        self._condemned = False
        self._short: Mapping[bytes, int] = _SHORT_MASKED if masked and max_size >= 125 else {}

    @property
    def idle(self) -> bool:
        """Whether nothing is kept, and the next bytes begin a message: a lone text frame then needs no splitting."""
        return not self._rest and not self._condemned and self._fragments is None

    def split(self, data: bytes) -> list[bytes]:  # noqa: PLR0912 - one walk; what it calls costs more than it does
        """Take received bytes and return what is complete: text payloads, and `WholeFrame`s for the protocol."""
        if self._rest:
            data = self._join(data)
            if not data:
                return []
        elif self._short.get(data[:2]) == len(data) and self._fragments is None:
            return [apply_mask(data[6:], data[2:6])]  # one short text and nothing else: by far the most common
        if self._condemned:
            return [WholeFrame(data)] if data else []
        items: list[bytes] = []
        masked, most = self._masked, self._most
        key_size = 4 if masked else 0
        start = 0
        end = len(data)
        while end - start >= 2 and len(items) < most:
            first = data[start]
            second = data[start + 1]
            length = second & 0x7F
            if first & 0x0F not in _VALID_OPCODES or (second > 0x7F) is not masked:
                return self._condemn(items, data[start:])
            body = start + 2
            if length > 125:
                size = 2 if length == 126 else 8
                body += size
                if body > end:
                    self._keep(data[start:], body - start)
                    return items
                length = int.from_bytes(data[body - size : body])
            if length > (self._max_size if self._fragments is None else self._max_size - self._fragments):
                return self._condemn(items, data[start:])
            body += key_size
            stop = body + length
            if stop > end:
                self._keep(data[start:], stop - start)
                return items
            if first == _FINAL_TEXT and self._fragments is None:
                payload = data[body:stop]
                items.append(apply_mask(payload, data[body - 4 : body]) if masked else payload)
            else:
                self._note_fragment(first, length)
                items.append(WholeFrame(data[start:stop]))
            start = stop
        if start < end:
            self._keep(data[start:], 2)
        return items

    def _join(self, data: bytes) -> bytes:
        """Add to the kept start of a frame; return all of it once there is enough to look at, else nothing."""
        rest = self._rest
        if len(rest) + len(data) < self._need:
            # A bytearray grows in place: a frame that trickles in costs its length, not its square.
            if isinstance(rest, bytes):
                rest = bytearray(rest)
                self._rest = rest
            rest += data
            return b""
        self._rest = b""
        return bytes(rest) + data

    def _keep(self, rest: bytes, need: int) -> None:
        self._rest = rest
        self._need = need

    def _note_fragment(self, first: int, length: int) -> None:
        """Follow fragmentation as the protocol does (RFC 6455, section 5.4), to know the size that is left."""
        final, opcode = first & 0x80, first & 0x0F
        if opcode in (0x1, 0x2):
            if not final and self._fragments is None:
                self._fragments = length
        elif opcode == 0x0 and self._fragments is not None:
            self._fragments = None if final else self._fragments + length

    def _condemn(self, items: list[bytes], rest: bytes) -> list[bytes]:
        self._condemned = True
        self._short = {}
        items.append(WholeFrame(rest))
        return items


def text_frame(payload: bytes) -> bytes:
    """Return a final text frame as a server sends it: unmasked, uncompressed (RFC 6455, section 5.2)."""
    length = len(payload)
    if length < 126:
        return _SHORT_TEXT_HEADERS[length] + payload
    return _header(_FINAL_TEXT, 0, length) + payload


def binary_frame(payload: bytes) -> bytes:
    """Return a final binary frame as a server sends it."""
    return _header(_FINAL_BINARY, 0, len(payload)) + payload


def masked_text_frame(payload: bytes, key: bytes) -> bytes:
    """Return a final text frame as a client sends it, masked with the four bytes of `key`."""
    return _header(_FINAL_TEXT, 0x80, len(payload)) + key + apply_mask(payload, key)


def _header(first: int, mask_bit: int, length: int) -> bytes:
    if length < 126:
        return bytes((first, mask_bit | length))
    if length < 65536:
        return struct.pack("!BBH", first, mask_bit | 126, length)
    return struct.pack("!BBQ", first, mask_bit | 127, length)
