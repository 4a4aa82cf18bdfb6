"""Two nodes as plain objects, over a bus that loses, holds back and repeats what it is told to."""

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


class Peer:
    """A client's transport; `heard` are the messages written to it."""

    def __init__(self) -> None:
        self._splitter = FrameSplitter(masked=False, max_size=1 << 20)
        self.heard: list[dict[str, Any]] = []

    def write(self, data: bytes) -> WriteResult:
        self.heard += [json.loads(text) for text in self._splitter.split(data)]
        return SENT

    enqueue = write


class Wire:
    """A node's link: what it publishes waits in `out` until it is carried over."""

    def __init__(self) -> None:
        self.max_payload = MAX_PAYLOAD
        self.is_connected = True
        self.delay = 0.0
        self.backlog = 0
        self.out: deque[tuple[str, bytes]] = deque()
        self.subjects: set[str] = set()

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        assert all(len(payload) <= self.max_payload for _, payload in messages), "NATS closes the connection for that"
        self.out += messages

    def subscribe(self, subject: str) -> None:
        self.subjects.add(subject)

    def unsubscribe(self, subject: str) -> None:
        self.subjects.remove(subject)

    def when_subscribed(self, _subject: str, callback: Callable[[], None]) -> None:
        callback()


class Side:
    """One node with its hub."""

    def __init__(self, name: str) -> None:
        self._callbacks: deque[Callable[[], None]] = deque()
        self._later: list[Callable[[], None]] = []
        self.now = 0.0
        self.stats = ServerStats()
        scheduler = BatchScheduler(self._callbacks.append, lambda: self.now)
        registry = Registry(self.stats, scheduler, lambda: self.now)
        self.link = Wire()
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

    def enter(self, user: str, room: str = ROOM) -> tuple[Client, Peer]:
        client = Client(user, peer := Peer())
        self.hub.connect(client, wire.Connected(user, 30.0, 16384, 1))
        self.hub.handle(client, wire.SetUsername(user), 0.0)
        self.hub.handle(client, wire.JoinRoom(room), 0.0)
        self.settle()
        return client, peer

    def watch(self) -> Peer:
        client = Client("watcher", peer := Peer())
        self.hub.watch(client)
        return peer

    def say(self, client: Client, text: str) -> None:
        self.hub.handle(client, wire.SendChatMessage(text), 0.0)
        self.settle()

    def settle(self) -> None:
        while self._callbacks or self._later:
            while self._callbacks:
                self._callbacks.popleft()()
            while self._later:
                self._later.pop(0)()

    def receive(self, subject: str, payload: bytes) -> None:
        if subject in self.link.subjects:
            self.node.receive(subject, payload)
            self.settle()


def carry(*sides: Side) -> None:
    """Carry over all that waits, and what that brings about."""
    while any(side.link.out for side in sides):
        for side in sides:
            while side.link.out:
                message = side.link.out.popleft()
                for other in sides:
                    if other is not side:
                        other.receive(*message)


def pair() -> tuple[Side, Side]:
    sides = Side("a"), Side("b")
    carry(*sides)
    return sides


def texts(peer: Peer) -> list[str]:
    return [message["text"] for message in peer.heard if message["type"] == "chatMessage"]


def events(peer: Peer) -> list[tuple[str, str]]:
    return [(message["event"], message["room"]) for message in peer.heard if message["type"] == "notification"]


FATES = st.sampled_from(["arrives", "is lost", "comes late", "comes twice"])


@given(st.lists(st.tuples(FATES, st.booleans()), max_size=30))
def test_each_sender_is_heard_in_its_order_at_most_once_and_what_is_missing_is_counted(
    story: list[tuple[str, bool]],
) -> None:
    """Each entry: what becomes of a message, and whether the latest of the late ones comes after it."""
    here, there = pair()
    ann, _ = here.enter("ann")
    _, bob = there.enter("bob")
    carry(here, there)
    late: list[tuple[str, bytes]] = []
    for number, (fate, late_one_comes) in enumerate([*story, ("arrives", True)]):
        here.say(ann, str(number))
        (message,) = here.link.out
        here.link.out.clear()
        if fate == "comes late":
            late.append(message)
        elif fate != "is lost":
            there.receive(*message)
            if fate == "comes twice":
                there.receive(*message)
        if late and late_one_comes:
            there.receive(*late.pop())
    heard = [int(text) for text in texts(bob)]
    assert heard == sorted(set(heard))
    first = next(iter(heard))
    assert there.stats.bus_dropped["lost"] == heard[-1] - first + 1 - len(heard)


def test_what_a_node_itself_has_said_is_not_heard_again() -> None:
    here, there = pair()
    ann, _ = here.enter("ann")
    _, amy = here.enter("amy")
    here.say(ann, "once")
    echo = list(here.link.out)
    carry(here, there)
    for message in echo:
        here.receive(*message)
    assert texts(amy) == ["once"]
    assert here.node.remote.nodes == 1


def test_presence_that_comes_late_changes_nothing() -> None:
    here, there = pair()
    here.enter("ann")
    early = [message for message in here.link.out if b"presence" in message[1]]
    here.enter("amy")
    carry(here, there)
    for message in early:
        there.receive(*message)
    assert there.node.remote.members(ROOM) == 2


def test_with_much_unsent_the_ephemeral_stays_behind_first_and_in_the_end_everything() -> None:
    here, _ = pair()
    ann, _ = here.enter("ann")
    here.link.out.clear()
    policy: dict[int, dict[str, int]] = {
        SOFT_BACKLOG: {},
        SOFT_BACKLOG + 1: {"ephemeral": 1},
        HARD_BACKLOG + 1: {"backlog": 2},
    }
    for backlog, dropped in policy.items():
        here.link.backlog = backlog
        before = dict(here.stats.bus_dropped)
        here.hub.handle(ann, wire.SendTyping(), 0.0)
        here.say(ann, "hello")
        gained = {reason: count - before[reason] for reason, count in here.stats.bus_dropped.items()}
        assert {reason: count for reason, count in gained.items() if count} == dropped
        kinds = [kind for _, payload in here.link.out for kind, _ in decode(payload).entries]  # type: ignore[union-attr] # batches
        here.link.out.clear()
        assert len(kinds) == 2 - sum(dropped.values())
        assert not kinds or kinds[-1] == "chatMessage"


def test_a_node_too_slow_for_the_bus_takes_nothing_ephemeral() -> None:
    here, there = pair()
    ann, _ = here.enter("ann")
    _, bob = there.enter("bob")
    carry(here, there)
    bob.heard.clear()
    there.link.delay = LATE_SECONDS + 0.1
    here.hub.handle(ann, wire.SendTyping(), 0.0)
    here.say(ann, "hello")
    carry(here, there)
    assert [message["type"] for message in bob.heard] == ["chatMessage"]
    assert there.stats.bus_dropped["ephemeral"] == 1


def test_without_a_bus_what_is_not_forwarded_is_counted() -> None:
    here, _ = pair()
    ann, _ = here.enter("ann")
    here.link.is_connected = False
    here.link.out.clear()
    here.say(ann, "nobody elsewhere hears this")
    assert here.stats.bus_dropped["disconnected"] == 1
    assert not here.link.out


def test_a_tick_that_is_too_large_for_one_message_goes_in_several() -> None:
    here, there = pair()
    ann, _ = here.enter("ann")
    _, bob = there.enter("bob")
    carry(here, there)
    said = [f"{number} {'x' * 700}" for number in range(10)]
    for text in said:
        here.hub.handle(ann, wire.SendChatMessage(text), 0.0)
    here.settle()
    assert len(here.link.out) > 1
    assert all(len(payload) <= MAX_PAYLOAD for _, payload in here.link.out)
    carry(here, there)
    assert texts(bob) == said


def test_rooms_and_names_of_any_length_fit_into_messages_of_the_bus() -> None:
    here = Side("a")
    rooms = [f"{number:03}{'🦬' * 125}" for number in range(60)]
    members = [here.enter("🐎" * 64, room)[0] for room in rooms]
    there = Side("b")
    carry(here, there)
    assert sorted(there.node.remote.rooms) == rooms
    for client in members:  # all in one tick
        here.hub.disconnect(client, 0.0)
    here.settle()
    here.node.send_heartbeat()
    carry(here, there)
    assert list(there.node.remote.rooms) == []


def test_changes_of_one_tick_that_do_not_fit_into_one_message_lose_none_and_ask_for_nothing() -> None:
    here, there = pair()
    rooms = [f"{number:03}{'x' * 125}" for number in range(100)]
    for number, room in enumerate(rooms):
        client = Client(str(number), Peer())
        here.hub.connect(client, wire.Connected(str(number), 30.0, 16384, 1))
        here.hub.handle(client, wire.JoinRoom(room), 0.0)
    here.settle()
    assert len(here.link.out) > 1
    carry(here, there)
    assert sorted(there.node.remote.rooms) == rooms
    here.node.send_heartbeat()
    (beat,) = here.link.out
    here.link.out.clear()
    there.receive(*beat)
    assert not there.link.out, "it asked for a snapshot"


def test_names_that_do_not_fit_into_one_message_are_told_in_sum() -> None:
    here, there = pair()
    _, bob = there.enter("bob")
    carry(here, there)
    for number in range(50):
        client = Client(str(number), Peer())
        here.hub.connect(client, wire.Connected(str(number), 30.0, 16384, 1))
        here.hub.handle(client, wire.SetUsername("🐎" * 64), 0.0)
        here.hub.handle(client, wire.JoinRoom(ROOM), 0.0)
    here.settle()
    carry(here, there)
    (told,) = [message for message in bob.heard if message["type"] == "roomPresence"]
    assert (told["userCount"], told["joined"], told["left"]) == (51, 50, 0)


def test_a_message_too_large_for_the_bus_is_counted_and_the_others_arrive() -> None:
    here, there = pair()
    ann, _ = here.enter("ann")
    _, bob = there.enter("bob")
    carry(here, there)
    for text in ("before", "x" * MAX_PAYLOAD, "after"):
        here.hub.handle(ann, wire.SendChatMessage(text), 0.0)
    here.settle()
    carry(here, there)
    assert texts(bob) == ["before", "after"]
    assert here.stats.bus_dropped["too_large"] == 1
    assert there.stats.bus_dropped["lost"] == 0


def test_watchers_of_any_node_are_told_once_of_rooms_that_open_and_close_and_of_files() -> None:
    here, there = pair()
    watchers = here.watch(), there.watch()
    ann, _ = here.enter("ann")
    carry(here, there)
    bob, _ = there.enter("bob")
    carry(here, there)
    assert [events(watcher) for watcher in watchers] == [[("roomOpened", ROOM)]] * 2
    here.hub.share_file(ann, "notes.txt", 7, "text/plain", 0.0)
    here.hub.disconnect(ann, 0.0)
    here.settle()
    carry(here, there)
    there.hub.disconnect(bob, 0.0)
    there.settle()
    carry(here, there)
    told = [("roomOpened", ROOM), ("fileShared", ROOM), ("roomClosed", ROOM)]
    assert [events(watcher) for watcher in watchers] == [told] * 2


def test_how_far_nodes_were_heard_is_not_kept_for_ever() -> None:
    here, there = pair()
    there.enter("bob")
    for number in range(200):
        gone = Side(f"gone {number}")
        ann, _ = gone.enter("ann")
        gone.say(ann, "hello")
        carry(gone, there)
        there.now += 0.5
        there.node.remove_silent()
        for _ in range(7):
            there.now += 0.5
            there.node.remove_silent()
    assert there.node.remote.nodes == 0
    assert len(there.node._received) <= 64
    assert here.node.remote.nodes == 1
