"""Record when each of many connections is closed."""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from contextlib import ExitStack, closing
from typing import Self

TIMEOUT_SECONDS = 120
UPGRADE = (
    "GET /ws/chat HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class ClosedConnections:
    """Clients that stay connected until the other side closes. Call `poll` regularly, or `wait_until_closed`.

    Attributes:
        at: times at which connections were closed, in monotonic seconds.
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
    def open(self) -> int:
        """Number of open connections."""
        return len(self._selector.get_map())

    def connect(self, host: str, number: int, trust: ssl.SSLContext | None = None) -> None:
        """Open `number` connections to `host:port`, over TLS if `trust` is given."""
        name, port = host.rsplit(":", 1)
        for _ in range(number):
            stream = socket.create_connection((name, int(port)), timeout=TIMEOUT_SECONDS)
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

    def poll(self, seconds: float = 0.0) -> None:
        """Record closed connections; wait up to `seconds` for one."""
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

    def wait_until_closed(self, left: int = 0) -> None:
        """Wait until at most `left` connections are open."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while self.open > left:
            assert time.monotonic() < deadline, f"{self.open} are still connected"
            self.poll(0.5)

    def busiest_second(self) -> int:
        """Return the highest number of connections closed within one second."""
        return max(sum(first <= at < first + 1 for at in self.at) for first in self.at)
