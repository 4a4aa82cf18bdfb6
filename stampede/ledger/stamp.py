"""The sender's stamp: a short ASCII prefix of a message's text with its sender and its send times; pure.

The stamp is part of the message text, so it works with any server that delivers the text unchanged. It is 36 bytes in
base64: the characters need no escape in JSON, and one C call decodes them. A slice that contains anything else, such as
an escaped character, fails to decode or comes out too short. A slice that unpacks is exactly what was sent.

Some servers escape `+` or `/` all the same. `for_any_server` avoids both; that costs 0.05 us a delivery.
"""

from __future__ import annotations

import binascii
import re
import struct
from typing import Final, NamedTuple

_LAYOUT = struct.Struct("<QQ4xIIII")  # four bytes are unused: earlier versions wrote the machine there
MARK = b"~"
"""First byte of a stamp."""

_CODE_SIZE = 48
SIZE = len(MARK) + _CODE_SIZE
"""Length of a stamp in bytes, which are characters."""

_TEXT_KEY = b'"text":"' + MARK
_TEXT_SKIP = len(_TEXT_KEY)
_CHAT = b'{"type":"chatMessage",'

_pack = _LAYOUT.pack
_unpack = _LAYOUT.unpack
_encode = binascii.b2a_base64
_decode = binascii.a2b_base64
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")
_ANYWHERE: Final = re.compile(rb"~([A-Za-z0-9_-]{48})")

Fields = tuple[int, int, int, int, int, int]
"""The fields of a stamp, in the order of `Stamp`; a plain tuple costs less."""


class Stamp(NamedTuple):
    """The fields of a stamp.

    Attributes:
        intended: when the message was due, in nanoseconds of the sender's monotonic clock.
        sent: when the message was sent, on the same clock.
        origin: number of the sending process and test run. Sequences of different origins are unrelated.
        room: number of the room.
        slot: the sender's slot in the room.
        seq: sequence number of the message in its slot.
    """

    intended: int
    sent: int
    origin: int
    room: int
    slot: int
    seq: int


def make(  # noqa: PLR0917 # in the order of `Stamp`, and in the hot path
    intended: int, sent: int, origin: int, room: int, slot: int, seq: int
) -> bytes:
    """Return a stamp of `SIZE` bytes. The arguments are those of `Stamp`: times below 2**64, numbers below 2**32."""
    return MARK + _encode(_pack(intended, sent, origin, room, slot, seq), newline=False)


def for_any_server(prefix: bytes) -> bytes:
    """Return a stamp in the alphabet for URLs (RFC 4648, section 5), which no serializer of any language escapes."""
    return prefix.translate(_TO_URL)


def from_payload(payload: bytes) -> Fields | None:
    """Return the fields of the stamp in a `chatMessage` as most servers write it, without decoding its JSON.

    The key cannot occur inside a string, where a quote is escaped. None does not mean that there is no stamp: then
    decode the message and call `from_text`.
    """
    if not payload.startswith(_CHAT):
        return None
    start = payload.find(_TEXT_KEY) + _TEXT_SKIP
    if start < _TEXT_SKIP:
        return None
    try:
        return _unpack(_decode(payload[start : start + _CODE_SIZE]))
    except (binascii.Error, struct.error):
        return None


def from_text(text: str) -> Stamp | None:
    """Return the stamp at the start of a decoded message text, or None."""
    if not text.startswith("~"):
        return None
    try:
        code = text[1:SIZE].encode("ascii").translate(_FROM_URL)
        return Stamp._make(_unpack(binascii.a2b_base64(code, strict_mode=True)))
    except (ValueError, struct.error):  # not base64, not ASCII, or too short
        return None


def search(payload: bytes) -> Fields | None:
    """Return the fields of the first stamp anywhere in a message, or None."""
    found = _ANYWHERE.search(payload)
    return _unpack(_decode(found[1].translate(_FROM_URL))) if found is not None else None
