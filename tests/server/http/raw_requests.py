"""Raw HTTP requests to a server, and the parts of its responses."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tests.clients import SECONDS

if TYPE_CHECKING:
    from tests.processes import RunningServer

UPGRADE = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\n"
HOST = b"Host: x\r\n"


def exchange(server: RunningServer, request: bytes) -> bytes:
    """Send bytes; return all received bytes until the server closes the connection."""
    host, port = server.http.removeprefix("http://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        connection.sendall(request)
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer


def status(server: RunningServer, request: bytes) -> int:
    return int(exchange(server, request).split(b" ", 2)[1])


def fields(answer: bytes) -> list[tuple[str, str]]:
    """Return the header fields of a response, names in lower case."""
    lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
