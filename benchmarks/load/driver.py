"""Offer a chat load from one Python thread, cheaply enough that the thread is not the limit, and count deliveries.

Every message is a text of 32 bytes from a name of fixed length, so all delivery frames have the same size. On most
connections the driver counts bytes, which the kernel discards without a copy. On one connection per room it parses
frames, to verify the size and to measure the latency of the stamped messages of one sender in the room.

The load is open: message k is due at k / rate, and the clients send in turn. A client with a full socket buffer skips
its message; the driver never blocks.
"""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from benchmarks.load.dialects import PLAIN, MessageEncoder, request_path
from benchmarks.load.wire import TEXT, DisconnectedError, FrameReader, upgrade

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.load.dialects import ChatDialect

SWEEP_SECONDS: Final = 0.002
"""Time between two reads of the sockets, and the resolution of latencies unless `audit` is set.

Long enough to be cheap, and short enough that no receive buffer fills up."""

_DISCARD_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ChatLoad:
    """The offered load.

    Attributes:
        clients: number of clients, spread evenly over the rooms.
        rooms: number of rooms.
        rate: messages per second, in total.
        batch: messages that a client sends with one call. Above 1 in saturated loads, so that the driver is not the
            limit.
        audit: whether every message carries its send time, and every connection is parsed as soon as it is readable.
        pings: whether clients send pings in place of chat messages.
        sweep: seconds between two reads of the sockets.
    """

    clients: int
    rooms: int
    rate: int
    batch: int = 1
    audit: bool = False
    pings: bool = False
    sweep: float = SWEEP_SECONDS


@dataclass(frozen=True, slots=True)
class WindowResult:
    """The counts of one measurement window.

    Attributes:
        seconds: length of the window.
        offered: messages due.
        sent: messages that the sockets accepted.
        received_bytes: bytes received on all connections.
        driver_cpu: CPU seconds of the driver.
        latencies_ns: latencies of stamped deliveries, ascending.
        frame_bytes: size of a delivery frame; None without deliveries.
        uniform: whether all parsed deliveries had that size.
    """

    seconds: float
    offered: int
    sent: int
    received_bytes: int
    driver_cpu: float
    latencies_ns: list[int]
    frame_bytes: int | None
    uniform: bool

    @property
    def deliveries(self) -> int:
        """Messages received by the other members of the senders' rooms."""
        return self.received_bytes // self.frame_bytes if self.frame_bytes else 0

    @property
    def driver_share(self) -> float:
        """Share of one CPU that the driver used."""
        return self.driver_cpu / self.seconds

    def latency_ms(self, q: float) -> float | None:
        """Return the q-quantile of latency in milliseconds, or None without samples."""
        if not self.latencies_ns:
            return None
        return self.latencies_ns[min(int(q * len(self.latencies_ns)), len(self.latencies_ns) - 1)] / 1e6


class _Client:
    """A client: its socket, its encoded messages, and the bytes that the socket has not accepted yet."""

    __slots__ = ("batch", "encoder", "frames", "name", "reader", "sock", "stamps", "unsent")

    def __init__(self, sock: socket.socket, start: bytes, name: str, encoder: MessageEncoder, batch: int) -> None:
        self.sock = sock
        self.name = name
        self.encoder = encoder
        self.batch = batch
        self.reader = FrameReader(start)
        self.frames = encoder.plain() * batch
        self.unsent = b""
        self.stamps = False

    def greet(self) -> None:
        """Send the opening frame, if any, and read until the server's greeting."""
        self.sock.sendall(self.encoder.opening())
        self._read_until("connected")

    def ask(self, until: str, **fields: object) -> None:
        """Send a message and read until an answer of the given type, which must be the last message received."""
        self.sock.sendall(self.encoder.frame(**fields))
        self._read_until(until)

    def _read_until(self, until: str) -> None:
        wanted = f'"type":"{until}"'.encode()
        found = any(wanted in payload for _, _, payload in self.reader.feed(b""))
        while not found:
            found = any(wanted in payload for _, _, payload in self.reader.read(self.sock))

    def send(self) -> bool:
        """Send the next messages unless the socket buffer is full; return whether any byte was accepted."""
        try:
            if self.unsent:
                self.unsent = self.unsent[self.sock.send(self.unsent) :]
                if self.unsent:
                    return False
            frames = self._stamped() if self.stamps else self.frames
            self.unsent = frames[self.sock.send(frames) :]
        except BlockingIOError:
            return False
        return True

    def _stamped(self) -> bytes:
        return b"".join([self.encoder.stamped() for _ in range(self.batch)])


@dataclass(slots=True)
class _Counters:
    sent: int = 0
    received_bytes: int = 0
    latencies_ns: list[int] = field(default_factory=list)
    sizes: set[int] = field(default_factory=set)


class ClientPool:
    """Clients that have joined their rooms. A context manager: its end closes the sockets.

    Args:
        url: URL of the server, without a path.
        load: the load to offer.
        rooms: prefix of the room names.
        dialect: the protocol that the clients use.
    """

    def __init__(self, url: str, load: ChatLoad, rooms: str = "room", dialect: ChatDialect = PLAIN) -> None:
        host, _, port = url.removeprefix("ws://").rpartition(":")
        self._load = load
        self._rooms = rooms
        self._encoder = MessageEncoder(dialect, pings=load.pings)
        self._clients: list[_Client] = []
        self._counters = _Counters()
        self._due = 0
        self._discard = bytearray(_DISCARD_BYTES)
        self._epoll = select.epoll()
        try:
            for number in range(load.clients):
                sock, start = upgrade(host, int(port), request_path(dialect))
                self._clients.append(_Client(sock, start, f"user{number:06d}", self._encoder, load.batch))
            self._enter_rooms()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def rejoin(self) -> None:
        """From now on send `joinRoom` for the client's own room in place of each chat message."""
        for number, client in enumerate(self._clients):
            client.stamps = False
            client.frames = self._encoder.frame(type="joinRoom", room=f"{self._rooms}{number % self._load.rooms}")

    def close(self) -> None:
        """Close every socket."""
        self._epoll.close()
        for client in self._clients:
            client.sock.close()

    def run(self, warm_up: float, seconds: float, mark: Callable[[], None]) -> WindowResult:
        """Offer the load for a warm-up and a window; return the counts of the window. Calls `mark` at both of its ends.

        Raises:
            DisconnectedError: the server closed a connection.
        """
        self._due = 0
        begin = time.perf_counter()
        self._sweep_until(begin, begin + warm_up)
        counters = self._counters = _Counters()
        mark()
        due, cpu, start = self._due, time.process_time(), time.perf_counter()
        self._sweep_until(begin, start + seconds)
        mark()
        end = time.perf_counter()
        return WindowResult(
            seconds=end - start,
            offered=self._due - due,
            sent=counters.sent,
            received_bytes=counters.received_bytes,
            driver_cpu=time.process_time() - cpu,
            latencies_ns=sorted(counters.latencies_ns),
            frame_bytes=max(counters.sizes, default=None),
            uniform=len(counters.sizes) <= 1,
        )

    def _enter_rooms(self) -> None:
        for number, client in enumerate(self._clients):
            client.greet()
            client.ask("usernameSet", type="setUsername", username=client.name)
            client.ask("roomJoined", type="joinRoom", room=f"{self._rooms}{number % self._load.rooms}")
        for client in self._clients:
            client.ask("pong", type="ping")  # answered after all notices of the joins: the stream is empty now
        for number, client in enumerate(self._clients):
            client.sock.setblocking(False)
            self._epoll.register(client.sock, select.EPOLLIN)
            client.stamps = self._load.audit or number < self._load.rooms
        # The last client of each room measures the latency of the first.
        parsed = self._clients if self._load.audit else self._clients[-self._load.rooms :]
        self._parsed = {client.sock.fileno(): client for client in parsed}
        self._counted = {m.sock.fileno(): m.sock for m in self._clients if m.sock.fileno() not in self._parsed}

    def _sweep_until(self, begin: float, end: float) -> None:
        """Send due messages and read available bytes in sweeps; `begin` is the time at which message 0 was due."""
        now = time.perf_counter()
        while now < end:
            self._send_due(int((now - begin) * self._load.rate))
            self._read_ready()
            while (rest := now + self._load.sweep - time.perf_counter()) > 0:
                if self._load.audit:
                    self._read_ready(rest)  # the arrival time counts
                else:
                    time.sleep(rest)
            now = time.perf_counter()

    def _send_due(self, due: int) -> None:
        clients, count, batch, sent = self._clients, len(self._clients), self._load.batch, 0
        for number in range(self._due // batch, due // batch):
            sent += clients[number % count].send()
        self._due = due - due % batch
        self._counters.sent += sent * batch

    def _read_ready(self, wait: float = 0.0) -> None:
        counted, discard, received = self._counted, self._discard, 0
        for fd, _events in self._epoll.poll(wait, len(self._clients)):
            sock = counted.get(fd)
            if sock is None:
                received += self._read_frames(self._parsed[fd])
                continue
            size = sock.recv_into(discard, _DISCARD_BYTES, socket.MSG_TRUNC)  # tcp(7): discarded, not copied
            if not size:
                raise DisconnectedError("the server closed a connection")
            received += size
        self._counters.received_bytes += received

    def _read_frames(self, client: _Client) -> int:
        frames = client.reader.read(client.sock)
        now = time.monotonic_ns()
        counters, encoder, received = self._counters, self._encoder, 0
        for opcode, size, payload in frames:
            if opcode != TEXT or encoder.delivery_mark not in payload:
                continue  # a presence notice, or a ping: the benchmark ends before its timeout
            received += size
            counters.sizes.add(size)
            sent_at = encoder.sent_at(payload)
            if sent_at is not None:
                counters.latencies_ns.append(now - sent_at)
        return received
