"""Reassembly of fragmented messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from websockets.frames import Opcode

if TYPE_CHECKING:
    from websockets.frames import Frame

_DATA: Final = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class Assembler:
    """Joins the fragments of messages. Binary messages are ignored, unless the server sends its messages so.

    Attributes:
        ignored: how many binary messages were ignored.
    """

    __slots__ = ("_fragments", "_receives_binary", "ignored")

    def __init__(self, *, receives_binary: bool) -> None:
        self._receives_binary = receives_binary
        self._fragments: list[bytes] | None = None
        self.ignored = 0

    def add(self, frame: Frame) -> bytes | None:
        """Return the message that a frame completes; None if it completes none."""
        if frame.opcode is Opcode.TEXT or (frame.opcode is Opcode.BINARY and self._receives_binary):
            self._fragments = []
        if frame.opcode not in _DATA or self._fragments is None:
            self.ignored += frame.opcode is Opcode.BINARY
            return None
        self._fragments.append(bytes(frame.data))
        if not frame.fin:
            return None
        payload, self._fragments = b"".join(self._fragments), None
        return payload
