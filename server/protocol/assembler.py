"""Put a message together that comes in several frames."""

from __future__ import annotations

import codecs


class Fragments:
    """A message that comes in several frames (RFC 6455, section 5.4)."""

    __slots__ = ("_decoder", "_message", "is_text")

    def __init__(self, *, is_text: bool) -> None:
        self.is_text = is_text
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._message = bytearray()  # in one piece: any number of tiny parts costs no more than their bytes

    def add(self, data: bytes, *, final: bool) -> None:
        """Take the next part; text is checked as it comes, so that bad text fails as early as it can.

        Raises:
            UnicodeDecodeError: the text is not UTF-8.
        """
        if self.is_text:
            self._decoder.decode(data, final)
        self._message += data

    def whole(self) -> bytes:
        """Return the message."""
        return bytes(self._message)


def is_utf8(data: bytes) -> bool:
    """Tell whether bytes are text."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
