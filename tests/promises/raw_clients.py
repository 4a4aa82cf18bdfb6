"""Thousands of raw clients in one thread: non-blocking sockets under one epoll, which never wait for each other.

A client is cut into frames, or - where bytes are all that matters - only counted: the kernel then throws its data
away uncopied. Clients are as well-behaved as a test makes them: each may send any bytes, at any time, or stop reading.
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

PATIENCE_SECONDS: Final = 90.0
"""How long a test waits for what has to happen: far longer than it takes."""

SWEEP_SECONDS: Final = 0.002
_IN_FLIGHT: Final = 200
_DISCARD_BYTES: Final = 1 << 20
_TEXT: Final = 0x1
_CLOSE: Final = 0x8
_PING: Final = 0x9


def head(path: str = "/ws/chat", **headers: str) -> bytes:
    """Return a request to upgrade."""
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
    """Return a client's frame; masked with zeros, which cost the server as much as any other mask and us nothing."""
    size = len(payload)
    if size < 126:
        return bytes((first, 0x80 | size)) + bytes(4) + payload
    if size < 65536:
        return bytes((first, 0xFE)) + size.to_bytes(2) + bytes(4) + payload
    return bytes((first, 0xFF)) + size.to_bytes(8) + bytes(4) + payload


def message(kind: str, **fields: object) -> bytes:
    """Return the frame of a chat message."""
    return frame(json.dumps({"type": kind, **fields}, separators=(",", ":")).encode())


class Client:
    """One socket.

    Attributes:
        status: of the HTTP answer; 0 while there is none.
        is_open: whether the upgrade has succeeded and nothing has ended it.
        ended: whether the connection is gone.
        code: of the close frame that came; 0 while none has.
        reason: of that frame.
        received: bytes that came, the handshake included.
        counting: whether bytes are only counted.
        hear: gets the client and the payload of each text message.
        joined: how many `roomJoined` have come.
    """

    __slots__ = (
        "answer",
        "code",
        "counting",
        "ended",
        "hear",
        "is_open",
        "joined",
        "name",
        "out",
        "reader",
        "reason",
        "received",
        "sock",
        "status",
        "stopped",
    )

    def __init__(self, sock: socket.socket, request: bytes, name: str) -> None:
        self.sock = sock
        self.out = request
        self.name = name
        self.reader = FrameReader()
        self.answer = b""
        self.status = 0
        self.is_open = False
        self.ended = False
        self.stopped = False
        self.counting = False
        self.code = 0
        self.reason = ""
        self.received = 0
        self.joined = 0
        self.hear: Callable[[Client, bytes], None] | None = None


class RawClientPool:
    """Clients of one server; closes its sockets when it is left.

    Attributes:
        handshakes: how many have not been answered yet.
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
        self.drop(list(self.clients.values()))
        self._epoll.close()

    # --- coming and going ---

    def add(self, request: bytes | None = None, *, receive_buffer: int = 0) -> Client:
        """Begin a connection that sends some bytes first: by default, a request to upgrade."""
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
        """Return so many upgraded clients."""
        clients: list[Client] = []
        while len(clients) < count:
            clients += (
                self.add(request, receive_buffer=receive_buffer)
                for _ in range(min(count - len(clients), _IN_FLIGHT - self.handshakes))
            )
            self.until(lambda: self.handshakes < _IN_FLIGHT // 2, "handshakes to be answered")
        self.until(lambda: not self.handshakes, "handshakes to be answered")
        refused = [client.answer[:200] for client in clients if not client.is_open]
        assert not refused, (len(refused), refused[0])
        return clients

    def enter(self, clients: Sequence[Client], rooms: Sequence[str]) -> None:
        """Name the clients and let them join rooms, by turns; return when all are in."""
        wanted = [client.joined + 1 for client in clients]
        for number, client in enumerate(clients):
            self.send(client, message("setUsername", username=client.name))
            self.send(client, message("joinRoom", room=rooms[number % len(rooms)]))
            if not number % 64:
                self.sweep()
        pending = list(zip(clients, wanted, strict=True))

        def all_in() -> bool:
            while pending and pending[-1][0].joined >= pending[-1][1]:
                pending.pop()
            return not pending

        self.until(all_in, "everyone to be in a room")

    def drop(self, clients: Iterable[Client]) -> None:
        """Close sockets without a word."""
        for client in clients:
            self._forget(client)

    # --- talking ---

    def send(self, client: Client, data: bytes) -> None:
        """Send bytes; what the socket does not take now goes when it does."""
        if client.ended:
            return
        if not client.out:
            try:
                data = data[client.sock.send(data) :]
            except BlockingIOError:
                pass
            except OSError:
                self._forget(client)
                return
            if not data:
                return
            self._epoll.modify(client.sock, self._interest(client) | select.EPOLLOUT)
        client.out += data

    def stop_reading(self, client: Client) -> None:
        """Leave what comes to the kernel."""
        client.stopped = True
        self._epoll.modify(client.sock, self._interest(client))

    def read_again(self, client: Client) -> None:
        """Take what comes, and what has come meanwhile."""
        client.stopped = False
        if not client.ended:
            self._epoll.modify(client.sock, self._interest(client))

    # --- time ---

    def sweep(self, timeout: float = 0.0) -> None:
        """Send and receive whatever can be."""
        for fd, events in self._epoll.poll(timeout, 8192):
            client = self.clients.get(fd)
            if client is None:
                continue
            if events & select.EPOLLOUT:
                self._write(client)
            if events & ~select.EPOLLOUT and not client.ended:
                if client.stopped and not events & (select.EPOLLHUP | select.EPOLLERR):
                    continue
                self._read(client)

    def until(self, happened: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Go on until something has happened; fail when it does not."""
        deadline = time.perf_counter() + seconds
        while not happened():
            assert time.perf_counter() < deadline, f"waited in vain for {what}"
            self.sweep(0.01)

    def run(self, seconds: float, each: Callable[[float], object] = lambda _now: None) -> None:
        """Go on for a while; `each` is called in every sweep with the seconds that have passed."""
        begin = time.perf_counter()
        while (now := time.perf_counter() - begin) < seconds:
            each(now)
            self.sweep()
            rest = begin + now + SWEEP_SECONDS - time.perf_counter()
            if rest > 0:
                time.sleep(rest)

    # --- one socket ---

    @staticmethod
    def _interest(client: Client) -> int:
        return 0 if client.stopped else select.EPOLLIN

    def _write(self, client: Client) -> None:
        try:
            client.out = client.out[client.sock.send(client.out) :] if client.out else b""
        except BlockingIOError:
            return
        except OSError:
            self._forget(client)
            return
        if not client.out:
            self._epoll.modify(client.sock, self._interest(client))

    def _read(self, client: Client) -> None:
        try:
            if client.counting:
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
            self._forget(client)
        elif client.counting:
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
                if client.hear is not None:
                    client.hear(client, payload)
            elif opcode == _CLOSE:
                client.code = int.from_bytes(payload[:2])
                client.reason = payload[2:].decode()
                self.send(client, frame(payload[:2], 0x88))
            elif opcode == _PING:
                self.send(client, frame(payload, 0x8A))

    def _forget(self, client: Client) -> None:
        if client.ended:
            return
        client.ended = True
        if not client.is_open:
            self.handshakes -= 1
        client.is_open = False
        with contextlib.suppress(OSError):
            self._epoll.unregister(client.sock)
        del self.clients[client.sock.fileno()]
        client.sock.close()
