"""Helpers for tests of nodes: processes as plain objects, and a bus whose deliveries a test triggers."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

from server.chat.batching import BatchScheduler
from server.chat.client import Client
from server.chat.hub import Hub
from server.chat.member import SENT
from server.chat.registry import Registry
from server.cluster.messages import slot_of, slot_subject
from server.cluster.node import Node
from server.protocol import messages as wire
from server.stats import ServerStats
from stampede.websocket.frames import FrameSplitter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.chat.member import WriteResult

MAX_PAYLOAD = 4096
ROOM = "x"
SUBJECT = slot_subject(slot_of(ROOM))


class FakeConnection:
    """A client's connection that decodes its messages into `received`."""

    def __init__(self) -> None:
        self._splitter = FrameSplitter(masked=False, max_size=1 << 20)
        self.received: list[dict[str, Any]] = []

    def write(self, data: bytes) -> WriteResult:
        self.received += [json.loads(text) for text in self._splitter.split(data)]
        return SENT

    enqueue = write


class FakeLink:
    """A node's link to the bus; published messages wait in `published` until `deliver` is called."""

    def __init__(self) -> None:
        self.max_payload = MAX_PAYLOAD
        self.is_connected = True
        self.delay = 0.0
        self.backlog = 0
        self.published: deque[tuple[str, bytes]] = deque()
        self.subjects: set[str] = set()

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        assert all(len(payload) <= self.max_payload for _, payload in messages), "NATS would close the connection"
        self.published += messages

    def subscribe(self, subject: str) -> None:
        self.subjects.add(subject)

    def unsubscribe(self, subject: str) -> None:
        self.subjects.remove(subject)

    def when_subscribed(self, _subject: str, callback: Callable[[], None]) -> None:
        callback()


class Process:
    """One node with its hub."""

    def __init__(self, name: str) -> None:
        self._callbacks: deque[Callable[[], None]] = deque()
        self._later: list[Callable[[], None]] = []
        self.now = 0.0
        self.stats = ServerStats()
        scheduler = BatchScheduler(self._callbacks.append, lambda: self.now)
        registry = Registry(self.stats, scheduler, lambda: self.now)
        self.link = FakeLink()
        self.node = Node(
            name,
            self.link,
            registry.rooms,
            self.stats,
            scheduler=scheduler,
            clock=lambda: self.now,
            wall_ms=lambda: 0.0,
            messages_per_second=lambda: 0.0,
        )
        self.hub = Hub(
            registry,
            self.node,
            self.stats,
            clock=lambda: self.now,
            wall_ms=lambda: 0,
            call_later=lambda _seconds, callback: self._later.append(callback),
            presence_threshold=0,
        )
        self.node.start(self.hub)

    def join_room(self, user: str, room: str = ROOM) -> tuple[Client, FakeConnection]:
        client = Client(user, connection := FakeConnection())
        self.hub.connect(client, wire.Connected(user, 30.0, 16384, 1))
        self.hub.handle(client, wire.SetUsername(user), 0.0)
        self.hub.handle(client, wire.JoinRoom(room), 0.0)
        self.run_callbacks()
        return client, connection

    def watch(self) -> FakeConnection:
        client = Client("watcher", connection := FakeConnection())
        self.hub.watch(client)
        return connection

    def send(self, client: Client, text: str) -> None:
        self.hub.handle(client, wire.SendChatMessage(text), 0.0)
        self.run_callbacks()

    def run_callbacks(self) -> None:
        while self._callbacks or self._later:
            while self._callbacks:
                self._callbacks.popleft()()
            while self._later:
                self._later.pop(0)()

    def receive(self, subject: str, payload: bytes) -> None:
        if subject in self.link.subjects:
            self.node.receive(subject, payload)
            self.run_callbacks()


def deliver(*processes: Process) -> None:
    """Deliver all messages between the nodes until none are left."""
    while any(process.link.published for process in processes):
        for process in processes:
            while process.link.published:
                message = process.link.published.popleft()
                for other in processes:
                    if other is not process:
                        other.receive(*message)


def pair() -> tuple[Process, Process]:
    processes = Process("a"), Process("b")
    deliver(*processes)
    return processes


def texts(connection: FakeConnection) -> list[str]:
    return [message["text"] for message in connection.received if message["type"] == "chatMessage"]


def events(connection: FakeConnection) -> list[tuple[str, str]]:
    return [(message["event"], message["room"]) for message in connection.received if message["type"] == "notification"]
