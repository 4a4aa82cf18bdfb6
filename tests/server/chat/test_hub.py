"""The hub as a plain object: no socket, no loop, time as it is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.chat.hub import CHAT_BURST_SECONDS
from server.chat.room import DIRECT_MEMBERS, SLOW
from server.errors import ErrorCode
from server.protocol import messages as wire
from tests.server.chat.hub_world import Subscribing, World


def test_all_rooms_of_a_tick_are_flushed_from_one_callback() -> None:
    members = DIRECT_MEMBERS + 1
    world = World(3 * members)
    for index in range(3 * members):
        world.do(index, wire.JoinRoom(room=f"room-{index // members}"))
    world.end_tick()
    for index in range(3 * members):
        world.do(index, wire.SendChatMessage(text="hi"))
    assert len(world.callbacks) == 1
    world.end_tick()
    assert all(world.seen(index)[-1]["text"] == "hi" for index in range(3 * members))


@pytest.mark.parametrize("clients", [2, DIRECT_MEMBERS + 1])
def test_an_own_chat_is_never_overtaken_by_a_later_answer_or_room_message(clients: int) -> None:
    world = World(clients)
    for index in range(clients):
        world.do(index, wire.JoinRoom(room="r"))
    world.end_tick()
    world.do(0, wire.SendChat(user="a", text="1"))
    world.do(0, wire.SendChatMessage(text="2"))
    world.do(0, wire.SendChat(user="a", text="3"))
    world.do(0, wire.Ping())
    world.end_tick()
    assert [m.get("text", m["type"]) for m in world.seen(0)[-3:]] == ["1", "3", "pong"]
    assert [m["text"] for m in world.seen(1)[-3:]] == ["1", "2", "3"]


def test_speaking_without_a_room_is_refused() -> None:
    world = World(1)
    assert world.refusal(0, wire.SendChatMessage(text="x")) == (ErrorCode.NO_ROOM, "chatMessage")


@pytest.mark.parametrize("clients", [100, 10_000])
def test_answers_while_a_chat_to_everyone_waits_do_not_multiply_its_writes(clients: int) -> None:
    world = World(clients)
    greetings = sum(peer.writes for peer in world.peers)
    for _ in range(50):
        world.do(0, wire.SendChat(user="a", text="x"))
        world.do(0, wire.Ping())
    world.end_tick()
    assert sum(peer.writes for peer in world.peers) - greetings <= clients + 2 * 50
    assert [m["type"] for m in world.seen(0)[1:]] == ["chat", "pong"] * 50
    assert [m["type"] for m in world.seen(clients - 1)[1:]] == ["chat"] * 50
    assert world.stats.messages_delivered["chat"] == 50 * clients


def test_a_client_may_chat_to_everyone_no_faster_than_its_rate() -> None:
    world = World(2, chat_rate=2.0, chat_rate_total=1000.0)
    for _ in range(2 * CHAT_BURST_SECONDS):
        world.do(0, wire.SendChat(user="a", text="x"))
    assert world.refusal(0, wire.SendChat(user="a", text="x")) == (ErrorCode.RATE_LIMITED, "chat")
    world.do(1, wire.SendChat(user="b", text="another's is not held against it"))
    assert world.refusal(0, wire.SendChat(user="a", text="x"), at=0.9)[0] is ErrorCode.RATE_LIMITED
    world.do(0, wire.SendChat(user="a", text="x"), at=1.0)
    assert world.stats.rate_limited["chat"] == 2
    world.end_tick()
    assert world.stats.messages_delivered["chat"] == 2 * (2 * CHAT_BURST_SECONDS + 2)


def test_all_clients_together_may_chat_to_everyone_no_faster_than_the_total_rate() -> None:
    world = World(20, chat_rate=2.0, chat_rate_total=5.0)
    most = 5 * CHAT_BURST_SECONDS
    for index in range(most):
        world.do(index, wire.SendChat(user="a", text="x"))
    for index in range(most, 20):
        assert world.refusal(index, wire.SendChat(user="a", text="x")) == (ErrorCode.RATE_LIMITED, "chat")
    assert world.stats.rate_limited["chat"] == 20 - most


def test_without_rates_a_chat_is_never_refused() -> None:
    world = World(1)
    for _ in range(1000):
        world.do(0, wire.SendChat(user="a", text="x"))
    assert world.stats.rate_limited["chat"] == 0


def joined(world: World, index: int) -> list[str]:
    return [m["room"] for m in world.seen(index) if m["type"] == "roomJoined"]


def test_a_join_is_confirmed_once_its_subscription_is_active() -> None:
    world = World(1)
    relay = world.hub.relay = Subscribing()
    world.do(0, wire.JoinRoom(room="r"))
    world.end_tick()
    assert joined(world, 0) == []
    relay.confirm()
    assert joined(world, 0) == ["r"]


@pytest.mark.parametrize("then", ["left", "other", "gone"])
def test_a_join_is_not_confirmed_after_the_room_changed(then: str) -> None:
    world = World(2)
    relay = world.hub.relay = Subscribing()
    world.do(1, wire.JoinRoom(room="r"))  # the room stays open
    relay.confirm()
    world.do(0, wire.JoinRoom(room="r"))
    if then == "left":
        world.do(0, wire.LeaveRoom())
    elif then == "other":
        world.do(0, wire.JoinRoom(room="other"))
    else:
        world.hub.disconnect(world.clients[0], 0.5)
    relay.confirm()
    assert joined(world, 0) == []
    if then == "other":
        relay.confirm()
        assert joined(world, 0) == ["other"]


def test_a_room_left_and_entered_again_is_confirmed_by_its_last_subscription_alone() -> None:
    world = World(2)
    relay = world.hub.relay = Subscribing()
    world.do(1, wire.JoinRoom(room="r"))
    relay.confirm()
    world.do(0, wire.JoinRoom(room="r"))
    world.do(0, wire.LeaveRoom())
    world.do(0, wire.JoinRoom(room="r"))
    relay.confirm()
    assert joined(world, 0) == [], "this was the subscription of the first stay"
    relay.confirm()
    assert joined(world, 0) == ["r"]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("   ", ErrorCode.NAME_BLANK),
        ("\u200b", ErrorCode.NAME_BLANK),
        ("\u3164", ErrorCode.NAME_BLANK),
        ("\u202e", ErrorCode.NAME_BLANK),
        ("ann\u200b", ErrorCode.NAME_INVISIBLE),
        ("\u202eann", ErrorCode.NAME_INVISIBLE),
    ],
)
def test_names_that_deceive_are_refused_with_a_reason_and_change_nothing(name: str, error: ErrorCode) -> None:
    world = World(1)
    world.do(0, wire.SetUsername(username="ann"))
    world.do(0, wire.JoinRoom(room="r"))
    assert world.refusal(0, wire.SetUsername(username=name)) == (error, "setUsername")
    assert world.refusal(0, wire.JoinRoom(room=name)) == (error, "joinRoom")
    assert world.clients[0].username == "ann"
    assert list(world.hub.rooms) == ["r"]
    if error is ErrorCode.NAME_INVISIBLE:
        assert world.refusal(0, wire.SendChat(user=name, text="x")) == (error, "chat")


def test_a_room_is_one_however_its_name_is_spelled_and_each_is_answered_in_its_own_spelling() -> None:
    world = World(3)
    spellings = ["caf\u00e9", "cafe\u0301", " caf\u00e9  "]
    for index, spelling in enumerate(spellings):
        world.do(index, wire.SetUsername(username=spelling))
        world.do(index, wire.JoinRoom(room=spelling))
    world.end_tick()
    assert len(world.hub.rooms) == 1
    for index, spelling in enumerate(spellings):
        assert {"type": "usernameSet", "username": spelling} in world.seen(index)
        assert {"type": "roomJoined", "room": spelling, "userCount": index + 1} in world.seen(index)
    assert world.seen(0)[-1] == {"type": "userJoined", "user": spellings[2], "room": spellings[0], "userCount": 3}
    for index in (2, 1):
        world.do(index, wire.LeaveRoom())
        assert world.seen(index)[-1] == {"type": "roomLeft", "room": spellings[index]}
    world.end_tick()
    assert world.seen(0)[-1] == {"type": "userLeft", "user": spellings[1], "room": spellings[0], "userCount": 1}


moves = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["a", "b", None, "vanish", "tick"])),
    max_size=40,
)


@given(moves)
def test_counts_and_membership_are_right_after_any_moves(steps: list[tuple[int, str | None]]) -> None:
    world = World(5)
    where: dict[int, str | None] = dict.fromkeys(range(5))
    joins = 0
    for index, step in steps:
        if step == "tick":
            world.end_tick()
        elif index not in where:
            continue
        elif step == "vanish":
            world.hub.disconnect(world.clients[index], 0.5)
            del where[index]
        elif step is None:
            world.do(index, wire.LeaveRoom())
            where[index] = None
        else:
            world.do(index, wire.JoinRoom(room=step))
            where[index] = step
            joins += 1
            world.end_tick()
            answer = world.seen(index)[-1]
            assert answer == {"type": "roomJoined", "room": step, "userCount": list(where.values()).count(step)}
    world.end_tick()
    assert world.stats.messages_dropped == dict.fromkeys(world.stats.messages_dropped, 0)
    occupied = {room for room in where.values() if room}
    assert set(world.hub.rooms) == occupied
    assert {name: len(room) for name, room in world.hub.rooms.items()} == {
        room: list(where.values()).count(room) for room in occupied
    }
    inside = sum(room is not None for room in where.values())
    assert world.stats.room_joins == joins
    assert world.stats.room_joins - world.stats.room_leaves == inside
    assert world.stats.messages_delivered == {
        kind: sum(m["type"] == kind for index in range(5) for m in world.seen(index))
        for kind in world.stats.messages_delivered
    }


def test_a_client_that_is_behind_misses_what_is_ephemeral_and_nothing_else() -> None:
    world = World(2)
    for index in range(2):
        world.do(index, wire.JoinRoom(room="r"))
    world.end_tick()
    world.peers[0].written = b""
    world.peers[0].trouble = SLOW
    world.do(1, wire.SendTyping())
    world.do(1, wire.SendChatMessage(text="kept"))
    world.do(1, wire.SetUsername(username="bob"))
    world.end_tick()
    world.do(0, wire.Ping())
    assert [message["type"] for message in world.seen(0)] == ["chatMessage", "pong"]
    assert world.stats.messages_dropped["userTyping", "slow"] == 1
    assert world.stats.messages_delivered["userTyping"] == 0
    assert world.stats.messages_delivered["chatMessage"] == 1


def test_comings_and_goings_of_a_large_room_are_told_in_sum() -> None:
    world = World(10, presence_threshold=4)
    for index in range(10):
        world.do(index, wire.JoinRoom(room="r"))
        world.end_tick()
    assert [m["type"] for m in world.seen(0)].count("userJoined") == 4
    assert world.seen(9) == [world.seen(9)[0], {"type": "roomJoined", "room": "r", "userCount": 10}]
    world.hub.disconnect(world.clients[9], 0.5)
    assert len(world.later) == 1, "one notice at a time"
    world.later.pop()()
    world.end_tick()
    notice = {"type": "roomPresence", "room": "r", "userCount": 9, "joined": 6, "left": 1}
    assert all(world.seen(index)[-1] == notice for index in range(9))
    assert all(m["type"] != "userLeft" for m in world.seen(0))


def test_a_room_that_empties_before_its_notice_is_told_nothing() -> None:
    world = World(3, presence_threshold=1)
    for index in range(3):
        world.do(index, wire.JoinRoom(room="r"))
    for index in range(3):
        world.do(index, wire.LeaveRoom())
    world.later.pop()()
    world.end_tick()
    assert world.hub.rooms == {}
    assert all(m["type"] != "roomPresence" for index in range(3) for m in world.seen(index))
