"""What clients say, and how its JSON travels in text frames: as it is, or in another protocol's wrapping."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Final

from server.protocol.frames import masked_text_frame

TEXT_BYTES: Final = 32

_MASK: Final = bytes.fromhex("37fa213d")  # of RFC 6455's own example; a server has to unmask with any
_STAMP_DIGITS: Final = TEXT_BYTES - 1


@dataclass(frozen=True, slots=True)
class Dialect:
    """A wrapping.

    Attributes:
        path: of the upgrade.
        hello: text that a client says before anything else; empty: nothing.
        before: what stands before the JSON of each message, in both directions; `after` likewise.
    """

    path: str = "/chat"
    hello: bytes = b""
    before: bytes = b""
    after: bytes = b""

    def wrap(self, text: bytes) -> bytes:
        """Return the text of a frame that carries a message."""
        return self.before + text + self.after

    def unwrap(self, text: bytes) -> bytes | None:
        """Return the message in a frame's text; None for what is the protocol's own."""
        if not (text.startswith(self.before) and text.endswith(self.after)):
            return None
        return text[len(self.before) : len(text) - len(self.after)]


PLAIN: Final = Dialect()
SOCKET_IO: Final = Dialect("/socket.io/?EIO=4&transport=websocket", b"40", b'42["message",', b"]")
"""Engine.IO 4 on WebSocket alone, Socket.IO 5's default namespace, each message an event named `message`
(socket.io/docs/v4/engine-io-protocol and .../socket-io-protocol)."""


class Talk:
    """What clients say, as frames: chat messages or pings, with the time of their sending or without."""

    def __init__(self, dialect: Dialect, *, pings: bool) -> None:
        self._dialect = dialect
        self._pings = pings
        self.heard = b'"type":"pong"' if pings else b'"type":"chatMessage"'
        self._stamp = b'"timestamp":' if pings else b'"text":"@'

    def frame(self, **fields: object) -> bytes:
        """Return the frame of a client's message."""
        text = json.dumps(fields, separators=(",", ":")).encode()
        return masked_text_frame(self._dialect.wrap(text), _MASK)

    def hello(self) -> bytes:
        """Return the frame that opens the conversation; empty where there is none."""
        return masked_text_frame(self._dialect.hello, _MASK) if self._dialect.hello else b""

    def plain(self) -> bytes:
        """Return a message without a stamp."""
        return self.stamped() if self._pings else self.frame(type="chatMessage", text="x" * TEXT_BYTES)

    def stamped(self) -> bytes:
        """Return a message that carries the time of its sending."""
        if self._pings:
            return self.frame(type="ping", timestamp=time.monotonic_ns())
        return self.frame(type="chatMessage", text=f"@{time.monotonic_ns():0{_STAMP_DIGITS}d}")

    def sent_at(self, payload: bytes) -> int | None:
        """Return the stamp of what came back, in ns; None without one."""
        place = payload.find(self._stamp)
        if place < 0:
            return None
        start = end = place + len(self._stamp)
        while payload[end : end + 1].isdigit():
            end += 1
        return int(payload[start:end])
