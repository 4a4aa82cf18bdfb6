"""The frames of STOMP 1.2 as bytes; pure.

A frame is a command, headers, an empty line, a body and a NUL byte. Newlines may stand between frames; a newline alone
is a heartbeat. A frame of WebSocket usually carries one frame of STOMP, but it may carry several, or a part of one.

    MESSAGE
    subscription:1
    content-length:5

    hello^@
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HEARTBEAT: Final = b"\n"
MESSAGE: Final = b"MESSAGE\n"
NOT_STOMP: Final = "not a STOMP server: expected a frame of STOMP 1.2"

_COMMANDS: Final = (b"CONNECTED", b"MESSAGE", b"RECEIPT", b"ERROR")
_UNESCAPED: Final = frozenset({"CONNECT", "CONNECTED"})  # STOMP 1.2, "Value Encoding"
_ESCAPES: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", ":": "\\c"}
_TO_ESCAPE: Final = str.maketrans(_ESCAPES)
_FROM_ESCAPE: Final = {escape: character for character, escape in _ESCAPES.items()}
_ESCAPE: Final = re.compile(r"\\.?", re.DOTALL)
_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")  # to search for two newlines is much faster
_LENGTH: Final = b"\ncontent-length:"
_NEWLINES: Final = re.compile(rb"[\r\n]*")
_NOTHING: Final = (b"", b"\n")


@dataclass(frozen=True, slots=True)
class Frame:
    """A received frame.

    Attributes:
        command: its command.
        headers: its headers; the first one of each name counts.
        body: its body.
    """

    command: str
    headers: Mapping[str, str]
    body: bytes


def encode(command: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Return a frame."""
    return b"%b\n%b\0" % (head(command, headers), body)


def head(command: str, headers: Mapping[str, str]) -> bytes:
    """Return the command and the headers of a frame, each with its newline."""
    escape = _unchanged if command in _UNESCAPED else _escape
    lines = [f"{escape(name)}:{escape(value)}\n" for name, value in headers.items()]
    return "".join((command, "\n", *lines)).encode()


def decode(payload: bytes) -> Frame:
    """Return the frame in a payload, which may begin and end with newlines.

    Raises:
        ValueError: it is no frame of a server.
    """
    start, end = _start(payload, 0), _END_OF_HEAD.search(payload)
    if end is None or not _is_command(payload, start):
        raise ValueError(NOT_STOMP)
    try:
        command, *lines = payload[start : end.start()].decode().split("\n")
        command = command.removesuffix("\r")
        unescape = _unchanged if command in _UNESCAPED else _unescape
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.removesuffix("\r").partition(":")
            if not colon:
                raise ValueError(NOT_STOMP)
            headers.setdefault(unescape(name), unescape(value))
    except UnicodeDecodeError:
        raise ValueError(NOT_STOMP) from None
    return Frame(command, headers, payload[end.end() : _frame_end(payload, start) - 1])


class FrameSplitter:
    """Joins and cuts the payloads of WebSocket frames at the ends of STOMP frames."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""  # of the payloads, behind the last complete frame

    def split(self, payload: bytes) -> Sequence[bytes]:
        """Return the frames that a payload completes. What is no STOMP at all is returned as it is."""
        if not self._rest:
            if payload == HEARTBEAT:
                return ()
            if payload.startswith(MESSAGE):  # most payloads are one of these
                end = _frame_end(payload, 0)
                if end and payload[end:] in _NOTHING:
                    return (payload,)
        buffer = self._rest + payload
        frames = []
        start = _start(buffer, 0)
        while start < len(buffer):
            end = _frame_end(buffer, start) if _is_command(buffer, start) else len(buffer)
            if not end:
                break
            frames.append(buffer[start:end])
            start = _start(buffer, end)
        self._rest = buffer[start:]
        return frames


def _start(buffer: bytes, position: int) -> int:
    """Return where the next frame begins: behind the newlines."""
    found = _NEWLINES.match(buffer, position)
    return found.end() if found else position


def _is_command(buffer: bytes, start: int) -> bool:
    """Return whether a frame may begin there, as far as it has come."""
    end = buffer.find(b"\n", start)
    if end < 0:
        line = buffer[start:].removesuffix(b"\r")
        return any(command.startswith(line) for command in _COMMANDS)
    return buffer[start:end].removesuffix(b"\r") in _COMMANDS


def _frame_end(buffer: bytes, start: int) -> int:
    """Return the position behind the NUL byte of a frame; 0 if it has not come yet."""
    body = _body_start(buffer, start)
    if not body:
        return 0
    at = buffer.find(_LENGTH, start, body)
    if at < 0:
        return buffer.find(b"\0", body) + 1
    at += len(_LENGTH)
    digits = buffer[at : buffer.find(b"\n", at)].removesuffix(b"\r")
    end = body + int(digits) + 1 if digits.isdigit() else len(buffer)
    return end if end <= len(buffer) else 0


def _body_start(buffer: bytes, start: int) -> int:
    """Return the position behind the empty line of a frame; 0 if that has not come yet."""
    end = buffer.find(b"\n\n", start)
    if end < 0 or buffer.find(b"\r", start, end) >= 0:
        found = _END_OF_HEAD.search(buffer, start)
        return found.end() if found is not None else 0
    return end + 2


def _escape(text: str) -> str:
    return text.translate(_TO_ESCAPE)


def _unescape(text: str) -> str:
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def _character(escape: re.Match[str]) -> str:
    character = _FROM_ESCAPE.get(escape[0])
    if character is None:
        raise ValueError(NOT_STOMP)
    return character


def _unchanged(text: str) -> str:
    return text
