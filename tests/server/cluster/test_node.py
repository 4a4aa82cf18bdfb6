"""Two nodes as plain objects, over a bus that loses, delays and repeats messages as a test says."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from server.chat.batching import BatchScheduler
from server.chat.client import Client
from server.chat.hub import Hub
from server.chat.member import SENT
from server.chat.registry import Registry
from server.cluster.messages import decode, slot_of, slot_subject
from server.cluster.node import HARD_BACKLOG, LATE_SECONDS, SOFT_BACKLOG, Node
from server.protocol import messages as wire
from server.protocol.frames import FrameSplitter
from server.stats import ServerStats

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
    """A node's link to the bus; published messages wait in `outbox` until `deliver` is called."""

    def __init__(self) -> None:
        self.max_payload = MAX_PAYLOAD
        self.is_connected = True
        self.delay = 0.0
        self.backlog = 0
        self.outbox: deque[tuple[str, bytes]] = deque()
        self.subjects: set[str] = set()

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        assert all(len(payload) <= self.max_payload for _, payload in messages), "NATS would close the connection"
        self.outbox += messages

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
    while any(process.link.outbox for process in processes):
        for process in processes:
            while process.link.outbox:
                message = process.link.outbox.popleft()
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


FATES = st.sampled_from(["arrives", "is lost", "arrives late", "arrives twice"])


@given(st.lists(st.tuples(FATES, st.booleans()), max_size=30))
def test_messages_arrive_in_order_at_most_once_and_losses_are_counted(
    steps: list[tuple[str, bool]],
) -> None:
    """Each step: the fate of a message, and whether the last delayed message arrives after it."""
    here, there = pair()
    ann, _ = here.join_room("ann")
    _, bob = there.join_room("bob")
    deliver(here, there)
    late: list[tuple[str, bytes]] = []
    for number, (fate, late_one_arrives) in enumerate([*steps, ("arrives", True)]):
        here.send(ann, str(number))
        (message,) = here.link.outbox
        here.link.outbox.clear()
        if fate == "arrives late":
            late.append(message)
        elif fate != "is lost":
            there.receive(*message)
            if fate == "arrives twice":
                there.receive(*message)
        if late and late_one_arrives:
            there.receive(*late.pop())
    numbers = [int(text) for text in texts(bob)]
    assert numbers == sorted(set(numbers))
    first = next(iter(numbers))
    assert there.stats.bus_dropped["lost"] == numbers[-1] - first + 1 - len(numbers)


def test_a_node_ignores_its_own_messages() -> None:
    here, there = pair()
    ann, _ = here.join_room("ann")
    _, amy = here.join_room("amy")
    here.send(ann, "once")
    echo = list(here.link.outbox)
    deliver(here, there)
    for message in echo:
        here.receive(*message)
    assert texts(amy) == ["once"]
    assert here.node.remote.nodes == 1


def test_a_stale_presence_message_changes_nothing() -> None:
    here, there = pair()
    here.join_room("ann")
    early = [message for message in here.link.outbox if b"presence" in message[1]]
    here.join_room("amy")
    deliver(here, there)
    for message in early:
        there.receive(*message)
    assert there.node.remote.members(ROOM) == 2


def test_a_backlog_drops_ephemeral_messages_first_and_then_all() -> None:
    here, _ = pair()
    ann, _ = here.join_room("ann")
    here.link.outbox.clear()
    policy: dict[int, dict[str, int]] = {
        SOFT_BACKLOG: {},
        SOFT_BACKLOG + 1: {"ephemeral": 1},
        HARD_BACKLOG + 1: {"backlog": 2},
    }
    for backlog, dropped in policy.items():
        here.link.backlog = backlog
        before = dict(here.stats.bus_dropped)
        here.hub.handle(ann, wire.SendTyping(), 0.0)
        here.send(ann, "hello")
        increase = {reason: count - before[reason] for reason, count in here.stats.bus_dropped.items()}
        assert {reason: count for reason, count in increase.items() if count} == dropped
        kinds = [kind for _, payload in here.link.outbox for kind, _ in decode(payload).entries]  # type: ignore[union-attr] # batches
        here.link.outbox.clear()
        assert len(kinds) == 2 - sum(dropped.values())
        assert not kinds or kinds[-1] == "chatMessage"


def test_an_overloaded_node_drops_the_ephemeral_messages_it_receives() -> None:
    here, there = pair()
    ann, _ = here.join_room("ann")
    _, bob = there.join_room("bob")
    deliver(here, there)
    bob.received.clear()
    there.link.delay = LATE_SECONDS + 0.1
    here.hub.handle(ann, wire.SendTyping(), 0.0)
    here.send(ann, "hello")
    deliver(here, there)
    assert [message["type"] for message in bob.received] == ["chatMessage"]
    assert there.stats.bus_dropped["ephemeral"] == 1


def test_messages_dropped_while_disconnected_are_counted() -> None:
    here, _ = pair()
    ann, _ = here.join_room("ann")
    here.link.is_connected = False
    here.link.outbox.clear()
    here.send(ann, "dropped")
    assert here.stats.bus_dropped["disconnected"] == 1
    assert not here.link.outbox


def test_an_iteration_with_too_many_frames_for_one_message_is_divided() -> None:
    here, there = pair()
    ann, _ = here.join_room("ann")
    _, bob = there.join_room("bob")
    deliver(here, there)
    sent = [f"{number} {'x' * 700}" for number in range(10)]
    for text in sent:
        here.hub.handle(ann, wire.SendChatMessage(text), 0.0)
    here.run_callbacks()
    assert len(here.link.outbox) > 1
    assert all(len(payload) <= MAX_PAYLOAD for _, payload in here.link.outbox)
    deliver(here, there)
    assert texts(bob) == sent


def test_rooms_and_names_of_any_length_fit_in_bus_messages() -> None:
    here = Process("a")
    rooms = [f"{number:03}{'🦬' * 125}" for number in range(60)]
    members = [here.join_room("🐎" * 64, room)[0] for room in rooms]
    there = Process("b")
    deliver(here, there)
    assert sorted(there.node.remote.rooms) == rooms
    for client in members:  # all in one loop iteration
        here.hub.disconnect(client, 0.0)
    here.run_callbacks()
    here.node.send_heartbeat()
    deliver(here, there)
    assert list(there.node.remote.rooms) == []


def test_changes_divided_into_several_messages_need_no_snapshot() -> None:
    here, there = pair()
    rooms = [f"{number:03}{'x' * 125}" for number in range(100)]
    for number, room in enumerate(rooms):
        client = Client(str(number), FakeConnection())
        here.hub.connect(client, wire.Connected(str(number), 30.0, 16384, 1))
        here.hub.handle(client, wire.JoinRoom(room), 0.0)
    here.run_callbacks()
    assert len(here.link.outbox) > 1
    deliver(here, there)
    assert sorted(there.node.remote.rooms) == rooms
    here.node.send_heartbeat()
    (heartbeat,) = here.link.outbox
    here.link.outbox.clear()
    there.receive(*heartbeat)
    assert not there.link.outbox, "the node requested a snapshot"


def test_presence_without_room_for_the_names_is_coalesced() -> None:
    here, there = pair()
    _, bob = there.join_room("bob")
    deliver(here, there)
    for number in range(50):
        client = Client(str(number), FakeConnection())
        here.hub.connect(client, wire.Connected(str(number), 30.0, 16384, 1))
        here.hub.handle(client, wire.SetUsername("🐎" * 64), 0.0)
        here.hub.handle(client, wire.JoinRoom(ROOM), 0.0)
    here.run_callbacks()
    deliver(here, there)
    (presence,) = [message for message in bob.received if message["type"] == "roomPresence"]
    assert (presence["userCount"], presence["joined"], presence["left"]) == (51, 50, 0)


def test_a_frame_too_large_for_the_bus_is_counted_and_the_others_arrive() -> None:
    here, there = pair()
    ann, _ = here.join_room("ann")
    _, bob = there.join_room("bob")
    deliver(here, there)
    for text in ("before", "x" * MAX_PAYLOAD, "after"):
        here.hub.handle(ann, wire.SendChatMessage(text), 0.0)
    here.run_callbacks()
    deliver(here, there)
    assert texts(bob) == ["before", "after"]
    assert here.stats.bus_dropped["too_large"] == 1
    assert there.stats.bus_dropped["lost"] == 0


def test_watchers_of_all_nodes_are_told_once_of_rooms_and_files() -> None:
    here, there = pair()
    watchers = here.watch(), there.watch()
    ann, _ = here.join_room("ann")
    deliver(here, there)
    bob, _ = there.join_room("bob")
    deliver(here, there)
    assert [events(watcher) for watcher in watchers] == [[("roomOpened", ROOM)]] * 2
    here.hub.share_file(ann, "notes.txt", 7, "text/plain", 0.0)
    here.hub.disconnect(ann, 0.0)
    here.run_callbacks()
    deliver(here, there)
    there.hub.disconnect(bob, 0.0)
    there.run_callbacks()
    deliver(here, there)
    expected = [("roomOpened", ROOM), ("fileShared", ROOM), ("roomClosed", ROOM)]
    assert [events(watcher) for watcher in watchers] == [expected] * 2


def test_sequence_numbers_of_removed_nodes_are_limited() -> None:
    here, there = pair()
    there.join_room("bob")
    for number in range(200):
        short_lived = Process(f"node {number}")
        ann, _ = short_lived.join_room("ann")
        short_lived.send(ann, "hello")
        deliver(short_lived, there)
        there.now += 0.5
        there.node.remove_silent()
        for _ in range(7):
            there.now += 0.5
            there.node.remove_silent()
    assert there.node.remote.nodes == 0
    assert len(there.node._received) <= 64
    assert here.node.remote.nodes == 1
