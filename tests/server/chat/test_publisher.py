"""Replies and messages to rooms: order, number of writes, and counters."""

from __future__ import annotations

import pytest

from server.chat.member import CLOSED, SLOW
from server.chat.room import DIRECT_MEMBERS
from server.protocol import messages as wire
from tests.server.chat.hub_helpers import Harness


def test_all_rooms_of_an_iteration_are_flushed_from_one_callback() -> None:
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


@pytest.mark.parametrize("clients", [100, 10_000])
def test_replies_while_a_chat_waits_do_not_multiply_its_writes(clients: int) -> None:
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


def test_a_reply_that_cannot_be_written_is_counted_as_dropped() -> None:
    harness = Harness(1)
    connection = harness.connections[0]
    connection.result = SLOW
    harness.do(0, wire.Ping())
    assert harness.stats.messages_delivered["pong"] == 1, "replies are queued for slow clients"
    connection.accepts_queued = False
    for result in (SLOW, CLOSED):
        connection.result = result
        for _ in range(2):
            harness.do(0, wire.Ping())
    assert harness.stats.messages_delivered["pong"] == 1
    assert {reason: harness.stats.messages_dropped["pong", reason] for reason in ("slow", "closed")} == {
        "slow": 2,
        "closed": 2,
    }


def test_written_replies_are_counted() -> None:
    harness = Harness(1)
    for _ in range(3):
        harness.do(0, wire.Ping())
    assert (harness.stats.messages_delivered["pong"], harness.stats.messages_delivered["connected"]) == (3, 1)


def test_a_slow_client_misses_only_ephemeral_messages() -> None:
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
