"""The hub as a plain object: no socket, no loop, time as it is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.chat.commands import CHAT_BURST_SECONDS
from server.chat.member import SLOW
from server.chat.room import DIRECT_MEMBERS
from server.errors import ErrorCode
from server.protocol import messages as wire
from tests.server.chat.hub_helpers import Harness, ManualBroker


def test_all_rooms_of_a_tick_are_flushed_from_one_callback() -> None:
    members = DIRECT_MEMBERS + 1
    harness = Harness(3 * members)
    for index in range(3 * members):
        harness.do(index, wire.JoinRoom(room=f"room-{index // members}"))
    harness.end_iteration()
    for index in range(3 * members):
        harness.do(index, wire.SendChatMessage(text="hi"))
    assert len(harness.callbacks) == 1
    harness.end_iteration()
    assert all(harness.received(index)[-1]["text"] == "hi" for index in range(3 * members))


@pytest.mark.parametrize("clients", [2, DIRECT_MEMBERS + 1])
def test_an_own_chat_is_never_overtaken_by_a_later_answer_or_room_message(clients: int) -> None:
    harness = Harness(clients)
    for index in range(clients):
        harness.do(index, wire.JoinRoom(room="r"))
    harness.end_iteration()
    harness.do(0, wire.SendChat(user="a", text="1"))
    harness.do(0, wire.SendChatMessage(text="2"))
    harness.do(0, wire.SendChat(user="a", text="3"))
    harness.do(0, wire.Ping())
    harness.end_iteration()
    assert [m.get("text", m["type"]) for m in harness.received(0)[-3:]] == ["1", "3", "pong"]
    assert [m["text"] for m in harness.received(1)[-3:]] == ["1", "2", "3"]


def test_speaking_without_a_room_is_refused() -> None:
    harness = Harness(1)
    assert harness.refusal(0, wire.SendChatMessage(text="x")) == (ErrorCode.NO_ROOM, "chatMessage")


@pytest.mark.parametrize("clients", [100, 10_000])
def test_answers_while_a_chat_to_everyone_waits_do_not_multiply_its_writes(clients: int) -> None:
    harness = Harness(clients)
    greetings = sum(connection.writes for connection in harness.connections)
    for _ in range(50):
        harness.do(0, wire.SendChat(user="a", text="x"))
        harness.do(0, wire.Ping())
    harness.end_iteration()
    assert sum(connection.writes for connection in harness.connections) - greetings <= clients + 2 * 50
    assert [m["type"] for m in harness.received(0)[1:]] == ["chat", "pong"] * 50
    assert [m["type"] for m in harness.received(clients - 1)[1:]] == ["chat"] * 50
    assert harness.stats.messages_delivered["chat"] == 50 * clients


def test_a_client_may_chat_to_everyone_no_faster_than_its_rate() -> None:
    harness = Harness(2, chat_rate=2.0, chat_rate_total=1000.0)
    for _ in range(2 * CHAT_BURST_SECONDS):
        harness.do(0, wire.SendChat(user="a", text="x"))
    assert harness.refusal(0, wire.SendChat(user="a", text="x")) == (ErrorCode.RATE_LIMITED, "chat")
    harness.do(1, wire.SendChat(user="b", text="another's is not held against it"))
    assert harness.refusal(0, wire.SendChat(user="a", text="x"), at=0.9)[0] is ErrorCode.RATE_LIMITED
    harness.do(0, wire.SendChat(user="a", text="x"), at=1.0)
    assert harness.stats.rate_limited["chat"] == 2
    harness.end_iteration()
    assert harness.stats.messages_delivered["chat"] == 2 * (2 * CHAT_BURST_SECONDS + 2)


def test_all_clients_together_may_chat_to_everyone_no_faster_than_the_total_rate() -> None:
    harness = Harness(20, chat_rate=2.0, chat_rate_total=5.0)
    most = 5 * CHAT_BURST_SECONDS
    for index in range(most):
        harness.do(index, wire.SendChat(user="a", text="x"))
    for index in range(most, 20):
        assert harness.refusal(index, wire.SendChat(user="a", text="x")) == (ErrorCode.RATE_LIMITED, "chat")
    assert harness.stats.rate_limited["chat"] == 20 - most


def test_without_rates_a_chat_is_never_refused() -> None:
    harness = Harness(1)
    for _ in range(1000):
        harness.do(0, wire.SendChat(user="a", text="x"))
    assert harness.stats.rate_limited["chat"] == 0


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


@pytest.mark.parametrize("then", ["left", "other", "gone"])
def test_a_join_is_not_confirmed_after_the_room_changed(then: str) -> None:
    broker = ManualBroker()
    harness = Harness(2, broker=broker)
    harness.do(1, wire.JoinRoom(room="r"))  # the room stays open
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


def test_a_room_left_and_entered_again_is_confirmed_by_its_last_subscription_alone() -> None:
    broker = ManualBroker()
    harness = Harness(2, broker=broker)
    harness.do(1, wire.JoinRoom(room="r"))
    broker.confirm()
    harness.do(0, wire.JoinRoom(room="r"))
    harness.do(0, wire.LeaveRoom())
    harness.do(0, wire.JoinRoom(room="r"))
    broker.confirm()
    assert joined(harness, 0) == [], "this was the subscription of the first stay"
    broker.confirm()
    assert joined(harness, 0) == ["r"]


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
    harness = Harness(1)
    harness.do(0, wire.SetUsername(username="ann"))
    harness.do(0, wire.JoinRoom(room="r"))
    assert harness.refusal(0, wire.SetUsername(username=name)) == (error, "setUsername")
    assert harness.refusal(0, wire.JoinRoom(room=name)) == (error, "joinRoom")
    assert harness.clients[0].username == "ann"
    assert list(harness.registry.rooms) == ["r"]
    if error is ErrorCode.NAME_INVISIBLE:
        assert harness.refusal(0, wire.SendChat(user=name, text="x")) == (error, "chat")


def test_a_room_is_one_however_its_name_is_spelled_and_each_is_answered_in_its_own_spelling() -> None:
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


moves = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["a", "b", None, "disconnect", "end iteration"])),
    max_size=40,
)


@given(moves)
def test_counts_and_membership_are_right_after_any_moves(steps: list[tuple[int, str | None]]) -> None:
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


def test_a_client_that_is_behind_misses_what_is_ephemeral_and_nothing_else() -> None:
    harness = Harness(2)
    for index in range(2):
        harness.do(index, wire.JoinRoom(room="r"))
    harness.end_iteration()
    harness.connections[0].written = b""
    harness.connections[0].result = SLOW
    harness.do(1, wire.SendTyping())
    harness.do(1, wire.SendChatMessage(text="kept"))
    harness.do(1, wire.SetUsername(username="bob"))
    harness.end_iteration()
    harness.do(0, wire.Ping())
    assert [message["type"] for message in harness.received(0)] == ["chatMessage", "pong"]
    assert harness.stats.messages_dropped["userTyping", "slow"] == 1
    assert harness.stats.messages_delivered["userTyping"] == 0
    assert harness.stats.messages_delivered["chatMessage"] == 1


def test_comings_and_goings_of_a_large_room_are_told_in_sum() -> None:
    harness = Harness(10, presence_threshold=4)
    for index in range(10):
        harness.do(index, wire.JoinRoom(room="r"))
        harness.end_iteration()
    assert [m["type"] for m in harness.received(0)].count("userJoined") == 4
    assert harness.received(9) == [harness.received(9)[0], {"type": "roomJoined", "room": "r", "userCount": 10}]
    harness.hub.disconnect(harness.clients[9], 0.5)
    assert len(harness.later) == 1, "one notice at a time"
    harness.later.pop()()
    harness.end_iteration()
    notice = {"type": "roomPresence", "room": "r", "userCount": 9, "joined": 6, "left": 1}
    assert all(harness.received(index)[-1] == notice for index in range(9))
    assert all(m["type"] != "userLeft" for m in harness.received(0))


def test_a_room_that_empties_before_its_notice_is_told_nothing() -> None:
    harness = Harness(3, presence_threshold=1)
    for index in range(3):
        harness.do(index, wire.JoinRoom(room="r"))
    for index in range(3):
        harness.do(index, wire.LeaveRoom())
    harness.later.pop()()
    harness.end_iteration()
    assert harness.registry.rooms == {}
    assert all(m["type"] != "roomPresence" for index in range(3) for m in harness.received(index))
