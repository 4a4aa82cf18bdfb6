"""Outbound messages of a node: their size, the drop policy, and the counters."""

from __future__ import annotations

from server.chat.client import Client
from server.cluster.messages import decode
from server.cluster.outbox import HARD_BACKLOG, SOFT_BACKLOG
from server.protocol import messages as wire
from tests.server.cluster.node_helpers import (
    MAX_PAYLOAD,
    ROOM,
    FakeConnection,
    Process,
    deliver,
    pair,
    texts,
)


def test_a_backlog_drops_ephemeral_messages_first_and_then_all() -> None:
    here, _ = pair()
    ann, _ = here.join_room("ann")
    here.link.published.clear()
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
        kinds = [kind for _, payload in here.link.published for kind, _ in decode(payload).entries]  # type: ignore[union-attr] # batches
        here.link.published.clear()
        assert len(kinds) == 2 - sum(dropped.values())
        assert not kinds or kinds[-1] == "chatMessage"


def test_messages_dropped_while_disconnected_are_counted() -> None:
    here, _ = pair()
    ann, _ = here.join_room("ann")
    here.link.is_connected = False
    here.link.published.clear()
    here.send(ann, "dropped")
    assert here.stats.bus_dropped["disconnected"] == 1
    assert not here.link.published


def test_an_iteration_with_too_many_frames_for_one_message_is_divided() -> None:
    here, there = pair()
    ann, _ = here.join_room("ann")
    _, bob = there.join_room("bob")
    deliver(here, there)
    sent = [f"{number} {'x' * 700}" for number in range(10)]
    for text in sent:
        here.hub.handle(ann, wire.SendChatMessage(text), 0.0)
    here.run_callbacks()
    assert len(here.link.published) > 1
    assert all(len(payload) <= MAX_PAYLOAD for _, payload in here.link.published)
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
    assert len(here.link.published) > 1
    deliver(here, there)
    assert sorted(there.node.remote.rooms) == rooms
    here.node.send_heartbeat()
    (heartbeat,) = here.link.published
    here.link.published.clear()
    there.receive(*heartbeat)
    assert not there.link.published, "the node requested a snapshot"


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
