"""Helpers for tests of the hub: its clients, its broker and its scheduler as plain objects."""

from __future__ import annotations

import json
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

import pytest

from server.chat.batching import BatchScheduler
from server.chat.broker import NullBroker
from server.chat.client import Client
from server.chat.hub import Hub
from server.chat.member import CLOSED, SENT
from server.chat.registry import Registry
from server.errors import ErrorCode, RequestError
from server.protocol import messages as wire
from server.stats import ServerStats
from stampede.websocket.frames import FrameSplitter

NOW_MS = 1_700_000_000_000

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.chat.broker import Broker
    from server.chat.member import WriteResult


def decode_frames(frames: bytes) -> list[dict[str, Any]]:
    """Return the messages in some frames."""
    return [json.loads(item) for item in FrameSplitter(masked=False, max_size=1 << 20).split(frames)]


class FakeConnection:
    """A connection that accepts all frames until a test changes `result`."""

    def __init__(self) -> None:
        self.written = b""
        self.writes = 0
        self.result = SENT
        self.accepts_queued = True

    def write(self, data: bytes) -> WriteResult:
        self.writes += 1
        if self.result is SENT:
            self.written += data
        return self.result

    def enqueue(self, data: bytes) -> WriteResult:
        if self.result is CLOSED or not self.accepts_queued:
            return self.result
        self.written += data
        return SENT


class ManualBroker(NullBroker):
    """A broker whose subscriptions a test activates."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def when_subscribed(self, room: str, callback: Callable[[], None]) -> None:
        self.waiting.append(callback)

    def confirm(self) -> None:
        """Confirm the oldest subscription."""
        self.waiting.pop(0)()


class RecordingBroker(NullBroker):
    """A broker that records its calls, with a given number of remote members per room."""

    def __init__(self, **members: int) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.members = Counter(members)

    def publish(self, room: str, kind: str, frame: bytes) -> None:
        [message] = decode_frames(frame)
        assert message.pop("type") == kind
        self.calls.append(("publish", room, kind, message))

    def member_joined(self, room: str, user: str | None, *, coalesced: bool) -> None:
        self.calls.append(("member_joined", room, user, coalesced))

    def member_left(self, room: str, user: str | None, *, coalesced: bool) -> None:
        self.calls.append(("member_left", room, user, coalesced))

    def subscribe(self, room: str) -> None:
        self.calls.append(("subscribe", room))

    def when_subscribed(self, room: str, callback: Callable[[], None]) -> None:
        self.calls.append(("when_subscribed", room))
        callback()

    def unsubscribe(self, room: str) -> None:
        self.calls.append(("unsubscribe", room))

    def remote_members(self, room: str) -> int:
        return self.members[room]


class Harness:
    """A hub and its clients; a test ends the loop iterations."""

    def __init__(
        self, clients: int, presence_threshold: int = 0, broker: Broker | None = None, **limits: float
    ) -> None:
        self.stats = ServerStats()
        self.callbacks: deque[Callable[[], None]] = deque()
        self.later: list[Callable[[], None]] = []
        self.delays: list[float] = []  # of those callbacks, in seconds
        self.registry = Registry(self.stats, BatchScheduler(self.callbacks.append, lambda: 1.0), lambda: 1.0)
        self.hub = Hub(
            self.registry,
            broker or NullBroker(),
            self.stats,
            clock=lambda: 1.0,
            wall_ms=lambda: NOW_MS,
            call_later=self._call_later,
            presence_threshold=presence_threshold,
            **limits,
        )
        self.connections = [FakeConnection() for _ in range(clients)]
        self.clients = [Client(str(i), connection) for i, connection in enumerate(self.connections)]
        for client in self.clients:
            client.write(self.hub.connect(client, wire.Connected("c", 30.0, 1, 1)))

    def do(self, index: int, message: wire.HubMessage, at: float = 0.5) -> None:
        self.hub.handle(self.clients[index], message, at)

    def refusal(self, index: int, message: wire.HubMessage, at: float = 0.5) -> tuple[ErrorCode, str | None]:
        with pytest.raises(RequestError) as caught:
            self.do(index, message, at)
        return caught.value.error, caught.value.about

    def end_iteration(self) -> None:
        while self.callbacks:
            self.callbacks.popleft()()

    def received(self, index: int) -> list[dict[str, Any]]:
        return decode_frames(self.connections[index].written)

    def clear_received(self) -> None:
        for connection in self.connections:
            connection.written = b""

    def watch(self) -> FakeConnection:
        """Return the connection of a new watcher."""
        connection = FakeConnection()
        connection.write(self.hub.watch(Client("watcher", connection)))
        return connection

    def _call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.delays.append(seconds)
        self.later.append(callback)


def harness_in_one_room(
    members: int, presence_threshold: int = 0, **remote_members: int
) -> tuple[Harness, RecordingBroker]:
    """Return a harness whose clients have all joined room `r`, with all messages so far cleared."""
    broker = RecordingBroker(**remote_members)
    harness = Harness(members, presence_threshold, broker)
    for index in range(members):
        harness.do(index, wire.JoinRoom(room="r"))
    for callback in harness.later:
        callback()
    harness.end_iteration()
    harness.clear_received()
    harness.later.clear()
    broker.calls.clear()
    return harness, broker
