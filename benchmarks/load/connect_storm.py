"""Connect many clients as fast as the server accepts them, then keep the connections idle.

A client is connected once the server has sent its greeting. The number of concurrent handshakes is bounded, because a
full listen queue would measure the kernel's retransmission timeout.
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

from benchmarks.load.dialects import PLAIN, MessageEncoder, request_path
from benchmarks.load.wire import DisconnectedError, upgrade_request

if TYPE_CHECKING:
    from benchmarks.load.dialects import ChatDialect

CONCURRENT_HANDSHAKES: Final = 64

_GREETING: Final = b'"type":"connected"'
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing leaves no socket in TIME_WAIT
_TIMEOUT_SECONDS: Final = 60
_OTHER_FILES: Final = 500


class ConnectStorm:
    """Connected, idle clients. A context manager: its end closes them.

    Attributes:
        seconds: time from the first connect to the last greeting.
        driver_cpu: CPU seconds of the driver in that time.
    """

    def __init__(self, url: str, clients: int, dialect: ChatDialect = PLAIN) -> None:
        host, _, port = url.removeprefix("ws://").rpartition(":")
        self._address = (host, int(port))
        self._request = upgrade_request(host, int(port), request_path(dialect))
        self._opening = MessageEncoder(dialect, pings=False).opening()
        self._sockets: list[socket.socket] = []
        self._pending: dict[int, tuple[socket.socket, bytes]] = {}
        self._epoll = select.epoll()
        cpu, start = time.process_time(), time.perf_counter()
        try:
            self._connect_all(clients)
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

    def _connect_all(self, clients: int) -> None:
        while len(self._sockets) < clients or self._pending:
            while len(self._pending) < CONCURRENT_HANDSHAKES and len(self._sockets) < clients:
                self._start_one()
            ready = self._epoll.poll(_TIMEOUT_SECONDS, CONCURRENT_HANDSHAKES)
            if not ready:
                raise DisconnectedError(f"the server accepted no client within {_TIMEOUT_SECONDS} s")
            for number, _events in ready:
                self._continue(number)

    def _start_one(self) -> None:
        client = socket.socket()
        self._sockets.append(client)
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        code = client.connect_ex(self._address)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
        self._pending[client.fileno()] = (client, b"")
        self._epoll.register(client, select.EPOLLOUT)

    def _continue(self, number: int) -> None:
        client, received = self._pending[number]
        if not received and client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise DisconnectedError("the server refused a connection")
        try:
            data = client.recv(4096)
        except BlockingIOError:  # connected: send the request
            client.sendall(self._request)
            self._epoll.modify(number, select.EPOLLIN)
            return
        before, received = received, received + data
        if not data or not received.startswith(b"HTTP/1.1 101"[: len(received)]):
            raise DisconnectedError(f"the server refused a client: {received[:80]!r}")
        if self._opening and b"\r\n\r\n" in received and b"\r\n\r\n" not in before:
            client.sendall(self._opening)
        if _GREETING in received:
            self._epoll.unregister(number)
            del self._pending[number]
        else:
            self._pending[number] = (client, received)


def raise_open_file_limit(clients: int) -> None:
    """Raise the limit on open files of this process and of its future children to the hard limit.

    Raises:
        OSError: the hard limit is too low for so many clients.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < clients + _OTHER_FILES:
        raise OSError(f"{clients:,} clients need {clients + _OTHER_FILES:,} open files; ulimit -Hn says {hard:,}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
