"""Encode client messages as text frames, in our own JSON or wrapped in another protocol."""

from __future__ import annotations

import json
from dataclasses import dataclass
from time import monotonic_ns
from typing import Final

from stampede.websocket.frames import masked_text_frame

TEXT_BYTES: Final = 32

_MASK: Final = bytes.fromhex("37fa213d")  # the example of RFC 6455; a server unmasks with any key
_STAMP_DIGITS: Final = TEXT_BYTES - 1
_FIRST_TIMESTAMP: Final = 10**15
"""Timestamp of a ping at the beginning, in ns.

All timestamps of the next 92 days have as many digits, so that all pongs have the same size. They are exact in servers
that parse them as floating-point numbers.
"""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a protocol wraps the JSON of a message.

    Attributes:
        path: the request path of the upgrade.
        opening: the first text that a client sends; empty for none.
        prefix: the text before the JSON of each message, in both directions.
        suffix: the text after it.
    """

    path: str = "/chat"
    opening: bytes = b""
    prefix: bytes = b""
    suffix: bytes = b""

    def wrap(self, text: bytes) -> bytes:
        """Return the text of a frame that carries a message."""
        return self.prefix + text + self.suffix


PLAIN: Final = Dialect()
SOCKET_IO: Final = Dialect("/socket.io/?EIO=4&transport=websocket", b"40", b'42["message",', b"]")
"""Engine.IO 4 over WebSocket only, the default namespace of Socket.IO 5, each message an event named `message`
(socket.io/docs/v4/engine-io-protocol and .../socket-io-protocol)."""


class MessageEncoder:
    """Encodes the load as frames: chat messages or pings, with or without a send time.

    Args:
        dialect: the protocol that the clients use.
        pings: whether the load consists of pings.
        begin: time of the clock `monotonic_ns` before the first message; now if omitted.
    """

    def __init__(self, dialect: Dialect, *, pings: bool, begin: int | None = None) -> None:
        self._dialect = dialect
        self._pings = pings
        self._shift = _FIRST_TIMESTAMP - (monotonic_ns() if begin is None else begin) if pings else 0
        self.delivery_mark = b'"type":"pong"' if pings else b'"type":"chatMessage"'
        self._stamp = b'"timestamp":' if pings else b'"text":"@'

    def frame(self, **fields: object) -> bytes:
        """Return the frame of a client's message."""
        text = json.dumps(fields, separators=(",", ":")).encode()
        return masked_text_frame(self._dialect.wrap(text), _MASK)

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
