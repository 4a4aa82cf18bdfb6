"""A proxy that can stop forwarding without closing, as when a router drops a connection from its table."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import Self


@dataclass
class SilentLink:
    """Forward bytes between clients and `server` (`host:port`) until the `with` block ends.

    `silence` affects the connections that exist; later ones are forwarded.
    """

    server: str
    _ends: list[tuple[socket.socket, socket.socket]] = field(default_factory=list)
    _silenced: set[socket.socket] = field(default_factory=set)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for pair in self._ends:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    @property
    def http(self) -> str:
        """Base URL of pages."""
        return "http://{}:{}".format(*self._listener.getsockname())

    @property
    def url(self) -> str:
        """Base URL of WebSockets."""
        return self.http.replace("http", "ws")

    def silence(self) -> int:
        """Stop forwarding on the existing connections; return their number."""
        self._silenced.update(end for pair in self._ends for end in pair)
        return len(self._ends)

    def _accept(self) -> None:
        host, port = self.server.rsplit(":", 1)
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection((host, int(port)))
                self._ends.append((near, far))
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=(source, target), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if source not in self._silenced:
                    target.sendall(data)
        if source not in self._silenced:
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_WR)
