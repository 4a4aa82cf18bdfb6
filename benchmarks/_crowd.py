"""Many clients that come as fast as a server lets them in, and then only stay: a storm of connects, and idle memory.

A client is in when the server has greeted it. A bounded number is on its way at a time, so that no listen queue
overflows: that would measure the kernel's patience.
"""

from __future__ import annotations

import errno
import os
import resource
import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Final, Self

from benchmarks._talk import PLAIN, Talk
from benchmarks._wire import DisconnectedError, upgrade_request

if TYPE_CHECKING:
    from benchmarks._talk import Dialect

ON_THEIR_WAY: Final = 64

_GREETING: Final = b'"type":"connected"'
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing leaves no socket behind that would wait for a minute
_PATIENCE_SECONDS: Final = 60
_FILES_BESIDE: Final = 500


class Crowd:
    """Connected clients; closes them when it is left.

    Attributes:
        seconds: from the first connect to the last greeting.
        driver_cpu: CPU seconds of the driver meanwhile.
    """

    def __init__(self, url: str, clients: int, dialect: Dialect = PLAIN) -> None:
        host, _, port = url.removeprefix("ws://").rpartition(":")
        self._address = (host, int(port))
        self._request = upgrade_request(host, int(port), dialect.path)
        self._hello = Talk(dialect, pings=False).hello()
        self._sockets: list[socket.socket] = []
        self._coming: dict[int, tuple[socket.socket, bytes]] = {}
        self._epoll = select.epoll()
        cpu, start = time.process_time(), time.perf_counter()
        try:
            self._gather(clients)
        except BaseException:
            self.close()
            raise
        self.seconds = time.perf_counter() - start
        self.driver_cpu = time.process_time() - cpu

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Reset every connection."""
        self._epoll.close()
        for client in self._sockets:
            client.close()

    def _gather(self, clients: int) -> None:
        while len(self._sockets) < clients or self._coming:
            while len(self._coming) < ON_THEIR_WAY and len(self._sockets) < clients:
                self._set_out()
            ready = self._epoll.poll(_PATIENCE_SECONDS, ON_THEIR_WAY)
            if not ready:
                raise DisconnectedError(f"the server let nobody in for {_PATIENCE_SECONDS} s")
            for number, _events in ready:
                self._go_on(number)

    def _set_out(self) -> None:
        client = socket.socket()
        self._sockets.append(client)
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        code = client.connect_ex(self._address)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
        self._coming[client.fileno()] = (client, b"")
        self._epoll.register(client, select.EPOLLOUT)

    def _go_on(self, number: int) -> None:
        client, heard = self._coming[number]
        if not heard and client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise DisconnectedError("the server refused a connection")
        try:
            data = client.recv(4096)
        except BlockingIOError:  # connected: its turn to speak
            client.sendall(self._request)
            self._epoll.modify(number, select.EPOLLIN)
            return
        before, heard = heard, heard + data
        if not data or not heard.startswith(b"HTTP/1.1 101"[: len(heard)]):
            raise DisconnectedError(f"the server refused a client: {heard[:80]!r}")
        if self._hello and b"\r\n\r\n" in heard and b"\r\n\r\n" not in before:
            client.sendall(self._hello)
        if _GREETING in heard:
            self._epoll.unregister(number)
            del self._coming[number]
        else:
            self._coming[number] = (client, heard)


def files_for(clients: int) -> None:
    """Let this process, and the servers that it starts, have as many open files as the system allows.

    Raises:
        OSError: that is too few for so many clients.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < clients + _FILES_BESIDE:
        raise OSError(f"{clients:,} clients need {clients + _FILES_BESIDE:,} open files; ulimit -Hn says {hard:,}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
