"""Reassembly of fragmented messages, and the UTF-8 check of text."""

from __future__ import annotations

import codecs


class MessageAssembler:
    """A message that arrives in several frames (RFC 6455, section 5.4).

    Args:
        is_text: whether the payload must be UTF-8.
    """

    __slots__ = ("_decoder", "_message", "is_text")

    def __init__(self, *, is_text: bool) -> None:
        self.is_text = is_text
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._message = bytearray()  # one buffer: many tiny fragments cost no more memory than their bytes

    def add(self, data: bytes, *, final: bool) -> None:
        """Add a fragment; text is checked at once, so that invalid text fails as early as possible.

        Raises:
            UnicodeDecodeError: the text is not UTF-8.
        """
        if self.is_text:
            self._decoder.decode(data, final)
        self._message += data

    def message(self) -> bytes:
        """Return the fragments joined."""
        return bytes(self._message)


def is_utf8(data: bytes) -> bool:
    """Return whether bytes are valid UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
