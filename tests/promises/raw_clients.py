"""Thousands of raw clients in one thread: non-blocking sockets under one epoll.

Received data is split into frames. Where only the number of bytes matters, the kernel discards the data without copying
it. A test may send any bytes at any time, and may stop reading.
"""

from __future__ import annotations

import contextlib
import errno
import json
import select
import socket
import time
from typing import TYPE_CHECKING, Final, Self

from benchmarks.load.wire import FrameReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

TIMEOUT_SECONDS: Final = 90.0
"""How long a test waits for an expected event: far longer than it takes."""

POLL_SECONDS: Final = 0.002
_IN_FLIGHT: Final = 200
_DISCARD_BYTES: Final = 1 << 20
_TEXT: Final = 0x1
_CLOSE: Final = 0x8
_PING: Final = 0x9


def head(path: str = "/ws/chat", **headers: str) -> bytes:
    """Return an upgrade request."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: stampede.test",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def frame(payload: bytes, first: int = 0x81) -> bytes:
    """Return a client's frame, masked with zeros: for the server any mask costs the same."""
    size = len(payload)
    if size < 126:
        return bytes((first, 0x80 | size)) + bytes(4) + payload
    if size < 65536:
        return bytes((first, 0xFE)) + size.to_bytes(2) + bytes(4) + payload
    return bytes((first, 0xFF)) + size.to_bytes(8) + bytes(4) + payload


def message(kind: str, **fields: object) -> bytes:
    """Return the frame of a message of the chat protocol."""
    return frame(json.dumps({"type": kind, **fields}, separators=(",", ":")).encode())


class Client:
    """One socket.

    Attributes:
        unsent: bytes that the socket has not accepted yet.
        answer: the HTTP response, unless it is an upgrade.
        status: of the HTTP response; 0 before it.
        is_open: whether the connection is upgraded and not closed.
        is_gone: whether the socket is closed.
        is_paused: whether the test has stopped reading.
        code: of the received close frame; 0 before it.
        reason: of that frame.
        received: number of received bytes, with the handshake.
        discards_data: whether received bytes are only counted.
        on_text: called with the client and the payload of each text message.
        joined: number of received `roomJoined`.
    """

    __slots__ = (
        "answer",
        "code",
        "discards_data",
        "is_gone",
        "is_open",
        "is_paused",
        "joined",
        "name",
        "on_text",
        "reader",
        "reason",
        "received",
        "sock",
        "status",
        "unsent",
    )

    def __init__(self, sock: socket.socket, request: bytes, name: str) -> None:
        self.sock = sock
        self.unsent = request
        self.name = name
        self.reader = FrameReader()
        self.answer = b""
        self.status = 0
        self.is_open = False
        self.is_gone = False
        self.is_paused = False
        self.discards_data = False
        self.code = 0
        self.reason = ""
        self.received = 0
        self.joined = 0
        self.on_text: Callable[[Client, bytes], None] | None = None


class RawClientPool:
    """Clients of one server; the context manager closes all sockets.

    Attributes:
        handshakes: number of requests without a response.
    """

    def __init__(self, url: str) -> None:
        host, _, port = url.partition("://")[2].rpartition(":")
        self._address = (host, int(port))
        self._epoll = select.epoll()
        self._discard = bytearray(_DISCARD_BYTES)
        self.handshakes = 0
        self._number = 0
        self.clients: dict[int, Client] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.abort(list(self.clients.values()))
        self._epoll.close()

    # --- connections ---

    def add(self, request: bytes | None = None, *, receive_buffer: int = 0) -> Client:
        """Connect, and send some bytes first: by default, an upgrade request."""
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        trouble = sock.connect_ex(self._address)
        assert trouble in (0, errno.EINPROGRESS), errno.errorcode[trouble]
        self._number += 1
        client = Client(sock, head() if request is None else request, f"user{self._number:06d}")
        self.clients[sock.fileno()] = client
        self._epoll.register(sock, select.EPOLLIN | select.EPOLLOUT)
        self.handshakes += 1
        return client

    def open(self, count: int, request: bytes | None = None, *, receive_buffer: int = 0) -> list[Client]:
        """Return `count` upgraded clients."""
        clients: list[Client] = []
        while len(clients) < count:
            clients += (
                self.add(request, receive_buffer=receive_buffer)
                for _ in range(min(count - len(clients), _IN_FLIGHT - self.handshakes))
            )
            self.wait_until(lambda: self.handshakes < _IN_FLIGHT // 2, "handshakes to be answered")
        self.wait_until(lambda: not self.handshakes, "handshakes to be answered")
        refused = [client.answer[:200] for client in clients if not client.is_open]
        assert not refused, (len(refused), refused[0])
        return clients

    def join_rooms(self, clients: Sequence[Client], rooms: Sequence[str]) -> None:
        """Set the clients' names and join them to the rooms in turn; return when all have joined."""
        wanted = [client.joined + 1 for client in clients]
        for number, client in enumerate(clients):
            self.send(client, message("setUsername", username=client.name))
            self.send(client, message("joinRoom", room=rooms[number % len(rooms)]))
            if not number % 64:
                self.poll()
        pending = list(zip(clients, wanted, strict=True))

        def all_in() -> bool:
            while pending and pending[-1][0].joined >= pending[-1][1]:
                pending.pop()
            return not pending

        self.wait_until(all_in, "all clients to join")

    def abort(self, clients: Iterable[Client]) -> None:
        """Close sockets without a close frame."""
        for client in clients:
            self._remove(client)

    # --- data ---

    def send(self, client: Client, data: bytes) -> None:
        """Send bytes; those that the socket does not accept now are sent later."""
        if client.is_gone:
            return
        if not client.unsent:
            try:
                data = data[client.sock.send(data) :]
            except BlockingIOError:
                pass
            except OSError:
                self._remove(client)
                return
            if not data:
                return
            self._epoll.modify(client.sock, self._interest(client) | select.EPOLLOUT)
        client.unsent += data

    def pause_reading(self, client: Client) -> None:
        """Stop reading from a client's socket."""
        client.is_paused = True
        self._epoll.modify(client.sock, self._interest(client))

    def resume_reading(self, client: Client) -> None:
        """Read from a client's socket again."""
        client.is_paused = False
        if not client.is_gone:
            self._epoll.modify(client.sock, self._interest(client))

    # --- time ---

    def poll(self, timeout: float = 0.0) -> None:
        """Send and receive as much as possible without waiting."""
        for fd, events in self._epoll.poll(timeout, 8192):
            client = self.clients.get(fd)
            if client is None:
                continue
            if events & select.EPOLLOUT:
                self._write(client)
            if events & ~select.EPOLLOUT and not client.is_gone:
                if client.is_paused and not events & (select.EPOLLHUP | select.EPOLLERR):
                    continue
                self._read(client)

    def wait_until(self, happened: Callable[[], bool], what: str, seconds: float = TIMEOUT_SECONDS) -> None:
        """Send and receive until a condition is true; fail after a timeout."""
        deadline = time.perf_counter() + seconds
        while not happened():
            assert time.perf_counter() < deadline, f"timed out waiting for {what}"
            self.poll(0.01)

    def run(self, seconds: float, each: Callable[[float], object] = lambda _now: None) -> None:
        """Send and receive for some seconds; `each` is called at every poll with the seconds since the start."""
        begin = time.perf_counter()
        while (now := time.perf_counter() - begin) < seconds:
            each(now)
            self.poll()
            rest = begin + now + POLL_SECONDS - time.perf_counter()
            if rest > 0:
                time.sleep(rest)

    # --- one socket ---

    @staticmethod
    def _interest(client: Client) -> int:
        return 0 if client.is_paused else select.EPOLLIN

    def _write(self, client: Client) -> None:
        try:
            client.unsent = client.unsent[client.sock.send(client.unsent) :] if client.unsent else b""
        except BlockingIOError:
            return
        except OSError:
            self._remove(client)
            return
        if not client.unsent:
            self._epoll.modify(client.sock, self._interest(client))

    def _read(self, client: Client) -> None:
        try:
            if client.discards_data:
                size = client.sock.recv_into(self._discard, _DISCARD_BYTES, socket.MSG_TRUNC)
                data = b""
            else:
                data = client.sock.recv(1 << 16)
                size = len(data)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        client.received += size
        if not size:
            self._remove(client)
        elif client.discards_data:
            pass
        elif client.is_open:
            self._frames(client, data)
        else:
            self._answer(client, data)

    def _answer(self, client: Client, data: bytes) -> None:
        client.answer += data
        end = client.answer.find(b"\r\n\r\n")
        if client.status or end < 0:
            return
        client.status = int(client.answer[9:12])
        if client.status == 101:
            self.handshakes -= 1
            client.is_open = True
            rest = client.answer[end + 4 :]
            client.answer = b""
            self._frames(client, rest)

    def _frames(self, client: Client, data: bytes) -> None:
        for opcode, _, payload in client.reader.feed(data):
            if opcode == _TEXT:
                if payload.startswith(b'{"type":"roomJoined"'):
                    client.joined += 1
                if client.on_text is not None:
                    client.on_text(client, payload)
            elif opcode == _CLOSE:
                client.code = int.from_bytes(payload[:2])
                client.reason = payload[2:].decode()
                self.send(client, frame(payload[:2], 0x88))
            elif opcode == _PING:
                self.send(client, frame(payload, 0x8A))

    def _remove(self, client: Client) -> None:
        if client.is_gone:
            return
        client.is_gone = True
        if not client.is_open:
            self.handshakes -= 1
        client.is_open = False
        with contextlib.suppress(OSError):
            self._epoll.unregister(client.sock)
        del self.clients[client.sock.fileno()]
        client.sock.close()
