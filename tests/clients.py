"""A chat client for tests: blocking, strict, and able to say 'this and nothing else'."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, Self

from websockets.sync.client import ClientConnection, connect

if TYPE_CHECKING:
    from types import TracebackType

SECONDS = 20


class ChatClient:
    """One connection. `received_bytes` and `sent_bytes` count WebSocket frames as they are on the wire."""

    _marks = itertools.count(1)

    def __init__(self, url: str, path: str = "/ws/chat") -> None:
        self.socket: ClientConnection = connect(
            url + path, compression=None, open_timeout=SECONDS, close_timeout=SECONDS, ping_interval=None, max_size=None
        )
        self.received_bytes = 0
        self.sent_bytes = 0
        self.received: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, type_: str, **fields: Any) -> None:
        self.send_raw(json.dumps({"type": type_, **fields}))

    def send_raw(self, message: str | bytes) -> None:
        self.socket.send(message)
        size = len(message.encode() if isinstance(message, str) else message)
        self.sent_bytes += size + header_bytes(size) + 4

    def receive(self) -> dict[str, Any]:
        text = self.socket.recv(timeout=SECONDS)
        assert isinstance(text, str)
        size = len(text.encode())
        self.received_bytes += size + header_bytes(size)
        message = json.loads(text)
        assert isinstance(message, dict)
        self.received.append(message)
        return message

    def expect(self, type_: str) -> dict[str, Any]:
        message = self.receive()
        assert message["type"] == type_, message
        return message

    def until_pong(self) -> list[dict[str, Any]]:
        """Ask for a pong and return what came before it: nothing else is on its way, from before the question."""
        mark = next(self._marks)
        self.send("ping", timestamp=mark)
        seen: list[dict[str, Any]] = []
        while True:
            message = self.receive()
            if message["type"] == "pong" and message["timestamp"] == mark:
                return seen
            seen.append(message)


def header_bytes(size: int) -> int:
    """Size of a frame's header without a mask (RFC 6455, section 5.2)."""
    if size < 126:
        return 2
    return 4 if size < 65536 else 10
