"""Offer a chat load from one Python thread that is far from being the limit, and count what comes back.

Every message is a text of 32 bytes from a name of fixed length, so every delivery is a frame of one size: on most
connections bytes are counted, and thrown away by the kernel uncopied. One connection a room is cut into frames; it
proves that the size holds, and takes the latency of the stamped messages of one sender of its room.

The load is open: message k is due at k / rate, from one client after the other. A client whose socket takes no more
skips what is due; the driver never blocks, and reads all the time.
"""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from benchmarks._talk import PLAIN, Talk
from benchmarks._wire import TEXT, DisconnectedError, FrameReader, upgrade

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks._talk import Dialect

SWEEP_SECONDS: Final = 0.002
"""Each socket is looked at once in this time, which is also the resolution of latencies unless they are audited: cheap,
and far below what a receive buffer holds."""

_DISCARD_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Load:
    """What is offered.

    Attributes:
        clients: spread evenly over rooms.
        rooms: how many.
        rate: messages per second in total.
        batch: messages that a client sends at once; above 1 where more is offered than anyone takes, so that sockets
            always hold several and the driver is not the limit.
        audit: whether every message is stamped, and every connection cut into frames as soon as it is readable.
        pings: whether clients ask for pongs in place of chatting.
        sweep: seconds in which each socket is looked at once.
    """

    clients: int
    rooms: int
    rate: int
    batch: int = 1
    audit: bool = False
    pings: bool = False
    sweep: float = SWEEP_SECONDS


@dataclass(frozen=True, slots=True)
class Tally:
    """What happened in a window.

    Attributes:
        seconds: its length.
        offered: messages due.
        sent: messages taken by the sockets.
        received_bytes: on all connections.
        driver_cpu: CPU seconds of the driver.
        latencies_ns: of stamped deliveries, ascending.
        frame_bytes: size of a delivery; None when none came.
        uniform: whether every delivery on the connections that were cut into frames had that size.
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
        """Messages received by room mates."""
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


class _Member:
    """One client: its socket, its ready-made messages, and the rest of what its socket did not take."""

    __slots__ = ("batch", "frames", "name", "reader", "rest", "sock", "stamps", "talk")

    def __init__(self, sock: socket.socket, start: bytes, name: str, talk: Talk, batch: int) -> None:
        self.sock = sock
        self.name = name
        self.talk = talk
        self.batch = batch
        self.reader = FrameReader(start)
        self.frames = talk.plain() * batch
        self.rest = b""
        self.stamps = False

    def greet(self) -> None:
        """Open the conversation, and read on until the server has greeted."""
        self.sock.sendall(self.talk.hello())
        self._hear("connected")

    def ask(self, until: str, **fields: object) -> None:
        """Send a message, and read on until an answer of the given type, which has to be the last thing there is."""
        self.sock.sendall(self.talk.frame(**fields))
        self._hear(until)

    def _hear(self, until: str) -> None:
        wanted = f'"type":"{until}"'.encode()
        found = any(wanted in payload for _, _, payload in self.reader.feed(b""))
        while not found:
            found = any(wanted in payload for _, _, payload in self.reader.read(self.sock))

    def send(self) -> bool:
        """Send the next messages unless the socket is full; return whether they were taken, at least in part."""
        try:
            if self.rest:
                self.rest = self.rest[self.sock.send(self.rest) :]
                if self.rest:
                    return False
            frames = self._stamped() if self.stamps else self.frames
            self.rest = frames[self.sock.send(frames) :]
        except BlockingIOError:
            return False
        return True

    def _stamped(self) -> bytes:
        return b"".join([self.talk.stamped() for _ in range(self.batch)])


@dataclass(slots=True)
class _Counters:
    sent: int = 0
    received_bytes: int = 0
    latencies_ns: list[int] = field(default_factory=list)
    sizes: set[int] = field(default_factory=set)


class Herd:
    """Clients in their rooms, ready to chat; closes its sockets when it is left.

    Args:
        url: of the server.
        load: what to offer.
        rooms: what the names of rooms begin with.
        dialect: what the clients speak.
    """

    def __init__(self, url: str, load: Load, rooms: str = "room", dialect: Dialect = PLAIN) -> None:
        host, _, port = url.removeprefix("ws://").rpartition(":")
        self._load = load
        self._rooms = rooms
        self._talk = Talk(dialect, pings=load.pings)
        self._members: list[_Member] = []
        self._counters = _Counters()
        self._due = 0
        self._discard = bytearray(_DISCARD_BYTES)
        self._epoll = select.epoll()
        try:
            for number in range(load.clients):
                sock, start = upgrade(host, int(port), dialect.path)
                self._members.append(_Member(sock, start, f"user{number:06d}", self._talk, load.batch))
            self._enter_rooms()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def join_again(self) -> None:
        """From now on join one's own room again where a chat message is due."""
        for number, member in enumerate(self._members):
            member.stamps = False
            member.frames = self._talk.frame(type="joinRoom", room=f"{self._rooms}{number % self._load.rooms}")

    def close(self) -> None:
        """Close every socket."""
        self._epoll.close()
        for member in self._members:
            member.sock.close()

    def run(self, warm_up: float, seconds: float, mark: Callable[[], None]) -> Tally:
        """Offer the load for both times and return what happened in the second; `mark` is called at its two ends.

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
        return Tally(
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
        for number, member in enumerate(self._members):
            member.greet()
            member.ask("usernameSet", type="setUsername", username=member.name)
            member.ask("roomJoined", type="joinRoom", room=f"{self._rooms}{number % self._load.rooms}")
        for member in self._members:
            member.ask("pong", type="ping")  # behind everything that the others' joins sent: the stream is empty now
        for number, member in enumerate(self._members):
            member.sock.setblocking(False)
            self._epoll.register(member.sock, select.EPOLLIN)
            member.stamps = self._load.audit or number < self._load.rooms
        # The last of each room listens to its first.
        listening = self._members if self._load.audit else self._members[-self._load.rooms :]
        self._cut = {member.sock.fileno(): member for member in listening}
        self._whole = {m.sock.fileno(): m.sock for m in self._members if m.sock.fileno() not in self._cut}

    def _sweep_until(self, begin: float, end: float) -> None:
        """Send what is due and read what is there, one sweep after the other; `begin` is the timeline's origin."""
        now = time.perf_counter()
        while now < end:
            self._send_due(int((now - begin) * self._load.rate))
            self._read_ready()
            while (rest := now + self._load.sweep - time.perf_counter()) > 0:
                if self._load.audit:
                    self._read_ready(rest)  # the moment of arrival counts
                else:
                    time.sleep(rest)
            now = time.perf_counter()

    def _send_due(self, due: int) -> None:
        members, clients, batch, sent = self._members, len(self._members), self._load.batch, 0
        for number in range(self._due // batch, due // batch):
            sent += members[number % clients].send()
        self._due = due - due % batch
        self._counters.sent += sent * batch

    def _read_ready(self, wait: float = 0.0) -> None:
        whole, discard, received = self._whole, self._discard, 0
        for fd, _events in self._epoll.poll(wait, len(self._members)):
            sock = whole.get(fd)
            if sock is None:
                received += self._read_frames(self._cut[fd])
                continue
            size = sock.recv_into(discard, _DISCARD_BYTES, socket.MSG_TRUNC)  # tcp(7): discarded, not copied
            if not size:
                raise DisconnectedError("the server closed a connection")
            received += size
        self._counters.received_bytes += received

    def _read_frames(self, member: _Member) -> int:
        frames = member.reader.read(member.sock)
        now = time.monotonic_ns()
        counters, talk, received = self._counters, self._talk, 0
        for opcode, size, payload in frames:
            if opcode != TEXT or talk.heard not in payload:
                continue  # a ping, which a benchmark is too short to have to answer, or what presence sums up
            received += size
            counters.sizes.add(size)
            sent_at = talk.sent_at(payload)
            if sent_at is not None:
                counters.latencies_ns.append(now - sent_at)
        return received
