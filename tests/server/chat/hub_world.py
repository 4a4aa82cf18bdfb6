"""A hub with its clients and its relay, as plain objects, for tests."""

from __future__ import annotations

import json
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

import pytest

from server.chat.batching import Tick
from server.chat.hub import Client, Hub
from server.chat.relay import Alone
from server.chat.room import CLOSED
from server.errors import ErrorCode, RequestError
from server.protocol import messages as wire
from server.protocol.frames import FrameSplitter
from server.stats import ServerStats

if TYPE_CHECKING:
    from collections.abc import Callable


def read(frames: bytes) -> list[dict[str, Any]]:
    """Return the messages in some frames."""
    return [json.loads(item) for item in FrameSplitter(masked=False, max_size=1 << 20).split(frames)]


class Peer:
    """A transport that takes everything, until it is told not to."""

    def __init__(self) -> None:
        self.written = b""
        self.writes = 0
        self.trouble = ""
        self.takes_push = True

    def write(self, data: bytes) -> str:
        self.writes += 1
        if not self.trouble:
            self.written += data
        return self.trouble

    def enqueue(self, data: bytes) -> str:
        if self.trouble == CLOSED or not self.takes_push:
            return self.trouble
        self.written += data
        return ""


class Subscribing(Alone):
    """The relay of a node whose subscriptions take effect when a test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def once_heard(self, room: str, callback: Callable[[], None]) -> None:
        self.waiting.append(callback)

    def confirm(self) -> None:
        """Confirm the oldest subscription."""
        self.waiting.pop(0)()


class Recording(Alone):
    """A relay that notes what it is told, and says how many are elsewhere."""

    def __init__(self, **members: int) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.members = Counter(members)

    def forward(self, room: str, kind: str, frame: bytes) -> None:
        [message] = read(frame)
        assert message.pop("type") == kind
        self.told.append(("forward", room, kind, message))

    def came(self, room: str, user: str | None, *, by_name: bool) -> None:
        self.told.append(("came", room, user, by_name))

    def went(self, room: str, user: str | None, *, by_name: bool) -> None:
        self.told.append(("went", room, user, by_name))

    def opened(self, room: str) -> None:
        self.told.append(("opened", room))

    def once_heard(self, room: str, callback: Callable[[], None]) -> None:
        self.told.append(("once heard", room))
        callback()

    def closed(self, room: str) -> None:
        self.told.append(("closed", room))

    def elsewhere(self, room: str) -> int:
        return self.members[room]


class World:
    """A hub, its clients, and the end of a tick when one says so."""

    def __init__(self, clients: int, presence_threshold: int = 0, **limits: float) -> None:
        self.stats = ServerStats()
        self.callbacks: deque[Callable[[], None]] = deque()
        self.later: list[Callable[[], None]] = []
        self.delays: list[float] = []  # of those callbacks, in seconds
        self.hub = Hub(
            self.stats,
            tick=Tick(self.callbacks.append, lambda: 1.0),
            clock=lambda: 1.0,
            wall_ms=lambda: 1_700_000_000_000,
            call_later=self._call_later,
            presence_threshold=presence_threshold,
            **limits,
        )
        self.peers = [Peer() for _ in range(clients)]
        self.clients = [Client(str(i), peer) for i, peer in enumerate(self.peers)]
        for client in self.clients:
            self.hub.connect(client, wire.Connected("c", 30.0, 1, 1))

    def do(self, index: int, message: wire.HubMessage, at: float = 0.5) -> None:
        self.hub.handle(self.clients[index], message, at)

    def refusal(self, index: int, message: wire.HubMessage, at: float = 0.5) -> tuple[ErrorCode, str | None]:
        with pytest.raises(RequestError) as caught:
            self.do(index, message, at)
        return caught.value.error, caught.value.about

    def end_tick(self) -> None:
        while self.callbacks:
            self.callbacks.popleft()()

    def seen(self, index: int) -> list[dict[str, Any]]:
        return read(self.peers[index].written)

    def forget_what_was_seen(self) -> None:
        for peer in self.peers:
            peer.written = b""

    def watch(self) -> Peer:
        """Return the transport of a client that watches the server."""
        peer = Peer()
        self.hub.watch(Client("watcher", peer))
        return peer

    def _call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.delays.append(seconds)
        self.later.append(callback)
