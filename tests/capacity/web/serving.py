"""Serve a board in this process, and send requests to it."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from typing import TYPE_CHECKING, NamedTuple

from capacity.config.listen_address import ListenAddress
from capacity.web.board import Board
from capacity.web.http_server import PageServer

if TYPE_CHECKING:
    from collections.abc import Iterator

TITLE = "Capacity of <b>this</b>"


class Response(NamedTuple):
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes


class Served(NamedTuple):
    """A board that is served."""

    board: Board
    server: PageServer
    port: int

    def request(self, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Response:
        """Send one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            return Response(response.status, dict(response.getheaders()), response.read())

    def connect(self) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


@contextlib.contextmanager
def serving(host: str = "127.0.0.1") -> Iterator[Served]:
    """Serve a board; `host` is the address that its socket is said to have."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    board = Board()
    with PageServer(listening, ListenAddress(host, port), board, TITLE) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield Served(board, server, port)
        finally:
            server.shutdown()
            thread.join()
