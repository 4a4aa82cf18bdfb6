"""A minimal WebSocket client: the handshake and a frame parser."""

from __future__ import annotations

import base64
import os
import socket
from typing import Final

TEXT: Final = 0x1


class DisconnectedError(ConnectionError):
    """The server closed a connection, or refused it."""


def upgrade_request(host: str, port: int, path: str) -> bytes:
    """Return the upgrade request of a client."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )


def upgrade(host: str, port: int, path: str = "/chat") -> tuple[socket.socket, bytes]:
    """Open a WebSocket; return its blocking socket and the bytes received after the handshake.

    Raises:
        DisconnectedError: the server refused the upgrade.
    """
    client = socket.create_connection((host, port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(upgrade_request(host, port, path))
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = client.recv(4096)
        if not data:
            break
        answer += data
    head, _, rest = answer.partition(b"\r\n\r\n")
    if b" 101 " not in head.partition(b"\r\n")[0]:
        client.close()
        raise DisconnectedError(f"{host}:{port}{path} refused the upgrade: {head[:80]!r}")
    return client, rest


class FrameReader:
    """Parses the byte stream of a server into frames."""

    __slots__ = ("_buffer",)

    def __init__(self, start: bytes = b"") -> None:
        self._buffer = start

    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Return the complete frames, each as opcode, size of the whole frame, and payload."""
        buffer = self._buffer + data
        frames, start, end = [], 0, len(buffer)
        while end - start >= 2:
            size, head = buffer[start + 1], 2
            if size >= 126:
                head = 4 if size == 126 else 10
                if end - start < head:
                    break
                size = int.from_bytes(buffer[start + 2 : start + head], "big")
            stop = start + head + size
            if stop > end:
                break
            frames.append((buffer[start] & 0x0F, stop - start, buffer[start + head : stop]))
            start = stop
        self._buffer = buffer[start:]
        return frames

    def read(self, client: socket.socket) -> list[tuple[int, int, bytes]]:
        """Receive once and return the frames that are now complete.

        Raises:
            DisconnectedError: the server closed the connection.
        """
        data = client.recv(1 << 16)
        if not data:
            raise DisconnectedError("the server closed a connection")
        return self.feed(data)
