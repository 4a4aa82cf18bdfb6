"""A TCP server that answers with scripted bytes."""

from __future__ import annotations

import re
import socket
import threading
import time

from websockets.utils import accept_key

from tests.stampede.connections import TIMEOUT

ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


def accepted(request: bytes) -> bytes:
    """Return the response that accepts a handshake."""
    key = re.findall(rb"Sec-WebSocket-Key: (\S+)", request)[0].decode()
    return ACCEPTED + f"Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n".encode()


class ScriptedServer:
    """A TCP server that answers one connection with scripted bytes, after the head of the request."""

    def __init__(self, *answers: bytes, hold: bool = False, accepts: bool = False, pause: float = 0.0) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._socket.getsockname()[1]}/"
        self._answers = answers
        self._accepts = accepts
        self._pause = pause
        self._hold = threading.Event()
        if not hold:
            self._hold.set()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        client, _ = self._socket.accept()
        with client:
            request = b""
            while b"\r\n\r\n" not in request:
                request += client.recv(4096)
            if self._accepts:
                client.sendall(accepted(request))
            for answer in self._answers:
                client.sendall(answer)
                time.sleep(self._pause)
            self._hold.wait(TIMEOUT)

    def close(self) -> None:
        self._hold.set()
        self._thread.join()
        self._socket.close()
