"""Joining and leaving rooms on one node, and presence messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.chat.room import DIRECT_MEMBERS
from server.protocol import messages as wire
from tests.server.chat.hub_helpers import Harness, ManualBroker


def joined(harness: Harness, index: int) -> list[str]:
    return [m["room"] for m in harness.received(index) if m["type"] == "roomJoined"]


def test_a_join_is_confirmed_once_its_subscription_is_active() -> None:
    broker = ManualBroker()
    harness = Harness(1, broker=broker)
    harness.do(0, wire.JoinRoom(room="r"))
    harness.end_iteration()
    assert joined(harness, 0) == []
    broker.confirm()
    assert joined(harness, 0) == ["r"]


@pytest.mark.parametrize("then", ["left", "other", "disconnected"])
def test_a_join_is_not_confirmed_after_the_room_changed(then: str) -> None:
    broker = ManualBroker()
    harness = Harness(2, broker=broker)
    harness.do(1, wire.JoinRoom(room="r"))  # keeps the room open
    broker.confirm()
    harness.do(0, wire.JoinRoom(room="r"))
    if then == "left":
        harness.do(0, wire.LeaveRoom())
    elif then == "other":
        harness.do(0, wire.JoinRoom(room="other"))
    else:
        harness.hub.disconnect(harness.clients[0], 0.5)
    broker.confirm()
    assert joined(harness, 0) == []
    if then == "other":
        broker.confirm()
        assert joined(harness, 0) == ["other"]


def test_a_repeated_join_is_confirmed_by_its_own_subscription() -> None:
    broker = ManualBroker()
    harness = Harness(2, broker=broker)
    harness.do(1, wire.JoinRoom(room="r"))
    broker.confirm()
    harness.do(0, wire.JoinRoom(room="r"))
    harness.do(0, wire.LeaveRoom())
    harness.do(0, wire.JoinRoom(room="r"))
    broker.confirm()
    assert joined(harness, 0) == [], "this was the subscription of the first join"
    broker.confirm()
    assert joined(harness, 0) == ["r"]


def test_joining_another_room_leaves_the_first_one() -> None:
    harness = Harness(2)
    for index in range(2):
        harness.do(index, wire.JoinRoom(room="r"))
    harness.clear_received()
    before = harness.stats.fanout_duration.total
    harness.do(0, wire.JoinRoom(room="s"), at=0.25)
    assert harness.received(1) == [{"type": "userLeft", "user": None, "userCount": 1, "room": "r"}]
    assert [message["type"] for message in harness.received(0)] == ["userJoined", "roomJoined"]
    assert harness.stats.fanout_duration.total - before == 2 * 0.75


def test_a_new_member_sees_its_own_join_before_the_reply_and_nothing_older() -> None:
    harness = Harness(DIRECT_MEMBERS + 2)
    new_member = DIRECT_MEMBERS + 1
    for index in range(new_member):
        harness.do(index, wire.JoinRoom(room="r"))
    harness.do(0, wire.SendChatMessage(text="before"))
    harness.do(new_member, wire.JoinRoom(room="r"))
    assert [message["type"] for message in harness.received(new_member)] == ["connected", "userJoined", "roomJoined"]
    harness.end_iteration()
    assert [message["type"] for message in harness.received(new_member)] == ["connected", "userJoined", "roomJoined"]


def test_spellings_of_one_name_share_a_room_and_each_client_is_answered_in_its_own() -> None:
    harness = Harness(3)
    spellings = ["caf\u00e9", "cafe\u0301", " caf\u00e9  "]
    for index, spelling in enumerate(spellings):
        harness.do(index, wire.SetUsername(username=spelling))
        harness.do(index, wire.JoinRoom(room=spelling))
    harness.end_iteration()
    assert len(harness.registry.rooms) == 1
    for index, spelling in enumerate(spellings):
        assert {"type": "usernameSet", "username": spelling} in harness.received(index)
        assert {"type": "roomJoined", "room": spelling, "userCount": index + 1} in harness.received(index)
    assert harness.received(0)[-1] == {"type": "userJoined", "user": spellings[2], "room": spellings[0], "userCount": 3}
    for index in (2, 1):
        harness.do(index, wire.LeaveRoom())
        assert harness.received(index)[-1] == {"type": "roomLeft", "room": spellings[index]}
    harness.end_iteration()
    assert harness.received(0)[-1] == {"type": "userLeft", "user": spellings[1], "room": spellings[0], "userCount": 1}


MOVES = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["a", "b", None, "disconnect", "end iteration"])),
    max_size=40,
)


@given(MOVES)
def test_counts_and_membership_are_exact_after_any_moves(steps: list[tuple[int, str | None]]) -> None:
    harness = Harness(5)
    where: dict[int, str | None] = dict.fromkeys(range(5))
    joins = 0
    for index, step in steps:
        if step == "end iteration":
            harness.end_iteration()
        elif index not in where:
            continue
        elif step == "disconnect":
            harness.hub.disconnect(harness.clients[index], 0.5)
            del where[index]
        elif step is None:
            harness.do(index, wire.LeaveRoom())
            where[index] = None
        else:
            harness.do(index, wire.JoinRoom(room=step))
            where[index] = step
            joins += 1
            harness.end_iteration()
            answer = harness.received(index)[-1]
            assert answer == {"type": "roomJoined", "room": step, "userCount": list(where.values()).count(step)}
    harness.end_iteration()
    assert harness.stats.messages_dropped == dict.fromkeys(harness.stats.messages_dropped, 0)
    occupied = {room for room in where.values() if room}
    assert set(harness.registry.rooms) == occupied
    assert {name: len(room) for name, room in harness.registry.rooms.items()} == {
        room: list(where.values()).count(room) for room in occupied
    }
    inside = sum(room is not None for room in where.values())
    assert harness.stats.room_joins == joins
    assert harness.stats.room_joins - harness.stats.room_leaves == inside
    assert harness.stats.messages_delivered == {
        kind: sum(m["type"] == kind for index in range(5) for m in harness.received(index))
        for kind in harness.stats.messages_delivered
    }


def test_presence_of_a_large_room_is_coalesced() -> None:
    harness = Harness(10, presence_threshold=4)
    for index in range(10):
        harness.do(index, wire.JoinRoom(room="r"))
        harness.end_iteration()
    assert [m["type"] for m in harness.received(0)].count("userJoined") == 4
    assert harness.received(9) == [harness.received(9)[0], {"type": "roomJoined", "room": "r", "userCount": 10}]
    harness.hub.disconnect(harness.clients[9], 0.5)
    assert len(harness.later) == 1, "one presence message at a time"
    harness.later.pop()()
    harness.end_iteration()
    expected = {"type": "roomPresence", "room": "r", "userCount": 9, "joined": 6, "left": 1}
    assert all(harness.received(index)[-1] == expected for index in range(9))
    assert all(m["type"] != "userLeft" for m in harness.received(0))


def test_leaves_while_a_presence_message_waits_are_reported_in_it() -> None:
    harness = Harness(6, presence_threshold=4)
    for index in range(6):
        harness.do(index, wire.JoinRoom(room="r"))
    harness.later.pop()()
    harness.end_iteration()
    harness.clear_received()
    for index in (5, 4, 3):  # the last one leaves a room that is no longer large
        harness.do(index, wire.LeaveRoom())
    assert len(harness.later) == 1
    harness.later.pop()()
    harness.end_iteration()
    assert harness.received(0) == [{"type": "roomPresence", "room": "r", "userCount": 3, "joined": 0, "left": 3}]
    harness.do(2, wire.LeaveRoom())
    harness.end_iteration()
    assert harness.received(0)[1:] == [{"type": "userLeft", "user": None, "userCount": 2, "room": "r"}]


def test_a_room_that_empties_before_its_presence_message_gets_none() -> None:
    harness = Harness(3, presence_threshold=1)
    for index in range(3):
        harness.do(index, wire.JoinRoom(room="r"))
    for index in range(3):
        harness.do(index, wire.LeaveRoom())
    harness.later.pop()()
    harness.end_iteration()
    assert harness.registry.rooms == {}
    assert all(m["type"] != "roomPresence" for index in range(3) for m in harness.received(index))


def test_a_join_while_a_presence_message_waits_is_reported_in_it() -> None:
    harness = Harness(3, presence_threshold=2)
    for index in range(3):
        harness.do(index, wire.JoinRoom(room="r"))
    harness.do(2, wire.LeaveRoom())
    harness.do(1, wire.LeaveRoom())
    harness.end_iteration()
    harness.clear_received()
    harness.do(1, wire.JoinRoom(room="r"))  # the room is no longer large
    harness.end_iteration()
    assert harness.received(0) == []
    [publish_presence] = harness.later
    publish_presence()
    harness.end_iteration()
    assert harness.received(0) == [{"type": "roomPresence", "room": "r", "userCount": 2, "joined": 2, "left": 2}]
