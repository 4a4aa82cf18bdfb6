"""Encode the chat's messages as text frames of clients, as they are or in another protocol."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Final, TypeAlias

from stampede.dialects.events import Answer
from stampede.dialects.socketio import SocketIoDialect
from stampede.dialects.stampede import StampedeDialect
from stampede.websocket.frames import masked_text_frame

if TYPE_CHECKING:
    from stampede.dialects.base import Message

TEXT_BYTES: Final = 32

_MASK: Final = bytes.fromhex("37fa213d")  # the example of RFC 6455; a server unmasks with any key
_STAMP_DIGITS: Final = TEXT_BYTES - 1
_FIRST_TIMESTAMP: Final = 10**15
"""Timestamp of a ping at the beginning, in ns.

All timestamps of the next 92 days have as many digits, so that all pongs have the same size. They are exact in servers
that parse them as floating-point numbers.
"""


class OwnChat(StampedeDialect):
    """The chat's JSON messages as they are."""

    path = "/chat"
    opening = b""
    """What a client sends before the server's greeting."""


class OwnChatInSocketIo(SocketIoDialect):
    """The chat's JSON messages, each as the only argument of an event `message`, in both directions."""

    def __init__(self) -> None:
        super().__init__()
        (answer,) = self.converse({}, ()).receive(b"0{}")
        assert isinstance(answer, Answer)  # noqa: S101 - to the open packet
        self.opening = answer.payload

    def encode(self, message: Message) -> bytes:
        """Return the event of a message."""
        return super().encode({"type": "message", "arguments": [message]})


ChatDialect: TypeAlias = OwnChat | OwnChatInSocketIo
PLAIN: Final = OwnChat()
SOCKET_IO: Final = OwnChatInSocketIo()


def request_path(dialect: ChatDialect) -> str:
    """Return the path and the query of the upgrade request."""
    query = dialect.request({}, ()).query
    return f"{dialect.path}?{query}" if query else dialect.path


class MessageEncoder:
    """Encodes the load as frames: chat messages or pings, with or without a send time.

    Args:
        dialect: the protocol that the clients use.
        pings: whether the load consists of pings.
        begin: time of the clock `monotonic_ns` before the first message; now if omitted.
    """

    def __init__(self, dialect: ChatDialect, *, pings: bool, begin: int | None = None) -> None:
        self._dialect = dialect
        self._pings = pings
        self._shift = _FIRST_TIMESTAMP - (monotonic_ns() if begin is None else begin) if pings else 0
        self.delivery_mark = b'"type":"pong"' if pings else b'"type":"chatMessage"'
        self._stamp = b'"timestamp":' if pings else b'"text":"@'

    def frame(self, **fields: object) -> bytes:
        """Return the frame of a client's message."""
        return masked_text_frame(self._dialect.encode(fields), _MASK)

    def opening(self) -> bytes:
        """Return the frame that a client sends first; empty for none."""
        return masked_text_frame(self._dialect.opening, _MASK) if self._dialect.opening else b""

    def plain(self) -> bytes:
        """Return a chat message without a send time, or a ping."""
        return self.stamped() if self._pings else self.frame(type="chatMessage", text="x" * TEXT_BYTES)

    def stamped(self) -> bytes:
        """Return a message that carries its send time."""
        if self._pings:
            return self.frame(type="ping", timestamp=monotonic_ns() + self._shift)
        return self.frame(type="chatMessage", text=f"@{monotonic_ns():0{_STAMP_DIGITS}d}")

    def sent_at(self, payload: bytes) -> int | None:
        """Return the send time in a received message, in ns of `monotonic_ns`; None without one."""
        place = payload.find(self._stamp)
        if place < 0:
            return None
        start = end = place + len(self._stamp)
        while payload[end : end + 1].isdigit():
            end += 1
        return int(payload[start:end]) - self._shift
