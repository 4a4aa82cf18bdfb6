"""Splitting of received bytes into WebSocket frames, and framing of messages. Server and load generator share it.

The parser of websockets is a generator that costs 4 to 5 us a frame, as much as the system call that reads it. This
splitter parses plain text frames itself and leaves all other frames to the library. Rules:

1. A complete, unfragmented text frame without reserved bits is returned as its unmasked payload (`bytes`). So is such
   a binary frame, if the owner makes no difference between the two.
2. Every other frame is returned unchanged and in order (`RawFrame`), for the library's Sans-I/O protocol to check.
   The library remains the authority on RFC 6455.
3. The protocol never gets a partial frame, except after an invalid header (invalid opcode, wrong masking, too long).
   From there on all bytes are returned as they arrive, so that the protocol fails the connection as early as it would
   without the splitter.
4. The bytes kept between calls are limited by the largest allowed frame, or by the data of one call.
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
"""Length of a short masked text frame, by its first two bytes."""
_SHORT_TEXT_HEADERS: Final = tuple(bytes((_FINAL_TEXT, n)) for n in range(126))


class RawFrame(bytes):
    """Bytes of one frame, or of an invalid stream, that the library's protocol must check."""

    __slots__ = ()


class FrameSplitter:
    """Split the received bytes of one connection into frames.

    Args:
        masked: whether frames must be masked, that is, whether this end is the server (RFC 6455, section 5.1).
        max_size: size limit of a message in bytes, all fragments together; must equal the protocol's `max_size`.
        max_frames: limit of the frames that one call returns; `split(b"")` then returns the next ones.
        binary: whether whole binary frames are returned as text frames are.
    """

    __slots__ = (
        "_binary",
        "_fragments",
        "_is_invalid",
        "_masked",
        "_max_frames",
        "_max_size",
        "_need",
        "_rest",
        "_short",
    )

    def __init__(self, *, masked: bool, max_size: int, max_frames: int = sys.maxsize, binary: bool = False) -> None:
        self._binary = binary
        self._masked = masked
        self._max_size = max_size
        self._max_frames = max_frames
        self._rest: bytes | bytearray = b""  # start of an incomplete frame; a bytearray once it grows
        self._need = 0  # length that `_rest` must reach before it is parsed again
        self._fragments: int | None = None  # size of the fragments received so far; None: no fragmented message
        self._is_invalid = False
        self._short: Mapping[bytes, int] = _SHORT_MASKED if masked and max_size >= 125 else {}

    @property
    def is_idle(self) -> bool:
        """Whether the next bytes begin a new message, so that a single text frame needs no splitting."""
        return not self._rest and not self._is_invalid and self._fragments is None

    def split(self, data: bytes) -> list[bytes]:  # noqa: PLR0912 - calls would cost more than the branches
        """Return the complete frames: payloads of text frames, and `RawFrame`s for the protocol."""
        if self._rest:
            data = self._join(data)
            if not data:
                return []
        elif self._short.get(data[:2]) == len(data) and self._fragments is None:
            return [apply_mask(data[6:], data[2:6])]  # a single short text frame: the usual case
        if self._is_invalid:
            return [RawFrame(data)] if data else []
        items: list[bytes] = []
        masked, max_frames = self._masked, self._max_frames
        key_size = 4 if masked else 0
        start = 0
        end = len(data)
        while end - start >= 2 and len(items) < max_frames:
            first = data[start]
            second = data[start + 1]
            length = second & 0x7F
            if first & 0x0F not in _VALID_OPCODES or (second > 0x7F) is not masked:
                return self._fail(items, data[start:])
            body = start + 2
            if length > 125:
                size = 2 if length == 126 else 8
                body += size
                if body > end:
                    self._keep(data[start:], body - start)
                    return items
                length = int.from_bytes(data[body - size : body])
            if length > (self._max_size if self._fragments is None else self._max_size - self._fragments):
                return self._fail(items, data[start:])
            body += key_size
            stop = body + length
            if stop > end:
                self._keep(data[start:], stop - start)
                return items
            if (first == _FINAL_TEXT or (self._binary and first == _FINAL_BINARY)) and self._fragments is None:
                payload = data[body:stop]
                items.append(apply_mask(payload, data[body - 4 : body]) if masked else payload)
            else:
                self._note_fragment(first, length)
                items.append(RawFrame(data[start:stop]))
            start = stop
        if start < end:
            self._keep(data[start:], 2)
        return items

    def _join(self, data: bytes) -> bytes:
        """Append to the incomplete frame; return it once it can be parsed, else nothing."""
        rest = self._rest
        if len(rest) + len(data) < self._need:
            # A bytearray grows in place: a frame that arrives byte by byte costs its length, not its square.
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
        """Track the size of a fragmented message (RFC 6455, section 5.4)."""
        final, opcode = first & 0x80, first & 0x0F
        if opcode in (0x1, 0x2):
            if not final and self._fragments is None:
                self._fragments = length
        elif opcode == 0x0 and self._fragments is not None:
            self._fragments = None if final else self._fragments + length

    def _fail(self, items: list[bytes], rest: bytes) -> list[bytes]:
        self._is_invalid = True
        self._short = {}
        items.append(RawFrame(rest))
        return items


def text_frame(payload: bytes) -> bytes:
    """Return an unmasked, uncompressed text frame, as a server sends it (RFC 6455, section 5.2)."""
    length = len(payload)
    if length < 126:
        return _SHORT_TEXT_HEADERS[length] + payload
    return _header(_FINAL_TEXT, 0, length) + payload


def binary_frame(payload: bytes) -> bytes:
    """Return an unmasked binary frame, as a server sends it."""
    return _header(_FINAL_BINARY, 0, len(payload)) + payload


def masked_text_frame(payload: bytes, key: bytes) -> bytes:
    """Return a text frame masked with the four bytes of `key`, as a client sends it."""
    return _header(_FINAL_TEXT, 0x80, len(payload)) + key + apply_mask(payload, key)


def masked_binary_frame(payload: bytes, key: bytes) -> bytes:
    """Return a binary frame masked with the four bytes of `key`, as a client sends it."""
    return _header(_FINAL_BINARY, 0x80, len(payload)) + key + apply_mask(payload, key)


def _header(first: int, mask_bit: int, length: int) -> bytes:
    if length < 126:
        return bytes((first, mask_bit | length))
    if length < 65536:
        return struct.pack("!BBH", first, mask_bit | 126, length)
    return struct.pack("!BBQ", first, mask_bit | 127, length)
