"""The sender's stamp: a short ASCII prefix of a message's text that says who sent it and when; pure.

The stamp is part of the message text, so it works with any server that delivers the text unchanged. It is 36 bytes in
base64: the characters need no escape in JSON, and one C call decodes them. A slice that contains anything else, such as
an escaped character, fails to decode or comes out too short. A slice that unpacks is exactly what was sent.
"""

from __future__ import annotations

import binascii
import struct
from typing import NamedTuple

_LAYOUT = struct.Struct("<QQ4xIIII")  # four bytes are unused: earlier versions wrote the machine there
_MARK = b"~"
_CODE_SIZE = 48
SIZE = len(_MARK) + _CODE_SIZE
"""Length of a stamp in bytes, which are characters."""

_TEXT_KEY = b'"text":"' + _MARK
_TEXT_SKIP = len(_TEXT_KEY)
_CHAT = b'{"type":"chatMessage",'

_pack = _LAYOUT.pack
_unpack = _LAYOUT.unpack
_encode = binascii.b2a_base64
_decode = binascii.a2b_base64


class Stamp(NamedTuple):
    """What a stamp says.

    Attributes:
        intended: when the message was due, in nanoseconds of the sender's monotonic clock.
        sent: when it was handed over, on the same clock.
        origin: which process and test run sent it; sequences of different origins have nothing to do with each other.
        room: number of the room it was meant for.
        slot: the sender's place in that room.
        seq: number of the message in the sequence of that slot.
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
    """Return a stamp of `SIZE` bytes; the arguments are those of `Stamp`, times below 2**64, numbers below 2**32."""
    return _MARK + _encode(_pack(intended, sent, origin, room, slot, seq), newline=False)


def from_payload(payload: bytes) -> tuple[int, int, int, int, int, int] | None:
    """Return the fields of the stamp in a `chatMessage` as most servers write it, without decoding its JSON.

    The key cannot be found inside a string, since a quote within one is escaped. None does not mean that there is no
    stamp: whatever does not look exactly as expected is for `from_text` after a real decode.
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
    """Return the stamp at the start of a decoded message text, or None when it has none."""
    if not text.startswith("~"):
        return None
    try:
        return Stamp._make(_unpack(binascii.a2b_base64(text[1:SIZE], strict_mode=True)))
    except (ValueError, struct.error):  # no base64, not even ASCII, or too short
        return None
