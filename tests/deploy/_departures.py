"""When each of many clients loses its connection."""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from contextlib import ExitStack, closing
from typing import Self

PATIENCE_SECONDS = 120
UPGRADE = (
    "GET /ws/chat HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Departures:
    """Clients that stay until they are cut off; call `look` now and then, or `wait_until_gone`.

    Attributes:
        at: when each was cut off, in monotonic seconds.
    """

    def __init__(self) -> None:
        self.at: list[float] = []
        self._clients = ExitStack()
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._clients.close()
        self._selector.close()

    @property
    def here(self) -> int:
        """How many are still connected."""
        return len(self._selector.get_map())

    def come(self, host: str, number: int, trust: ssl.SSLContext | None = None) -> None:
        """Connect so many to `host:port`, over TLS where there is somebody to trust."""
        name, port = host.rsplit(":", 1)
        for _ in range(number):
            stream = socket.create_connection((name, int(port)), timeout=PATIENCE_SECONDS)
            if trust is not None:
                stream = trust.wrap_socket(stream, server_hostname=name)
            self._clients.enter_context(closing(stream))
            stream.sendall(UPGRADE.format(host=host).encode())
            answer = b""
            while b'"connected"' not in answer:
                data = stream.recv(65536)
                assert data, answer
                answer += data
            stream.setblocking(False)
            self._selector.register(stream, selectors.EVENT_READ)

    def look(self, seconds: float = 0.0) -> None:
        """Take note of who has gone; wait so long for something to happen."""
        for key, _ in self._selector.select(seconds):
            try:
                data = key.fileobj.recv(65536)  # type: ignore[union-attr]
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            except OSError:
                data = b""
            if not data:
                self._selector.unregister(key.fileobj)
                self.at.append(time.monotonic())

    def wait_until_gone(self, left: int = 0) -> None:
        """Wait until no more than so many are left."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.here > left:
            assert time.monotonic() < deadline, f"{self.here} are still connected"
            self.look(0.5)

    def busiest_second(self) -> int:
        """Return how many went within one second, at most."""
        return max(sum(first <= at < first + 1 for at in self.at) for first in self.at)
