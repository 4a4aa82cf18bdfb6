"""The messages of clients: replies, refusals and rate limits."""

from __future__ import annotations

import pytest
from msgspec import Raw

from server.chat.commands import CHAT_BURST_SECONDS
from server.chat.room import DIRECT_MEMBERS
from server.errors import ErrorCode, RequestError
from server.protocol import messages as wire
from tests.server.chat.hub_helpers import NOW_MS, Harness


def test_each_message_is_answered_and_announced_to_the_room() -> None:
    harness = Harness(2)
    assert [client.client_id for client in harness.clients] == ["0", "1"]
    for index, name in enumerate(["ann", "bob"]):
        harness.do(index, wire.SetUsername(username=name))
        harness.do(index, wire.JoinRoom(room="r"))
    harness.do(1, wire.SendTyping())
    harness.do(1, wire.SendChatMessage(text="hi"))
    harness.hub.share_file(
        harness.clients[1], wire.FileSaved(upload_id="u", name="a.txt", size=3, sha256="0"), "text/plain", 0.5
    )
    harness.do(1, wire.Ping())
    harness.do(1, wire.Ping(timestamp=Raw(b'{"any":  1}')))
    harness.do(1, wire.LeaveRoom())
    harness.do(1, wire.LeaveRoom())  # no reply: the client is in no room
    shared = {
        "type": "fileShared",
        "user": "bob",
        "name": "a.txt",
        "size": 3,
        "mimeType": "text/plain",
        "uploadId": "u",
    }
    assert harness.received(0)[1:] == [
        {"type": "usernameSet", "username": "ann"},
        {"type": "userJoined", "user": "ann", "room": "r", "userCount": 1},
        {"type": "roomJoined", "room": "r", "userCount": 1},
        {"type": "userJoined", "user": "bob", "room": "r", "userCount": 2},
        {"type": "userTyping", "user": "bob"},
        {"type": "chatMessage", "user": "bob", "text": "hi", "timestamp": NOW_MS},
        shared,
        {"type": "userLeft", "user": "bob", "userCount": 1, "room": "r"},
    ]
    assert harness.received(1)[1:] == [
        {"type": "usernameSet", "username": "bob"},
        {"type": "userJoined", "user": "bob", "room": "r", "userCount": 2},
        {"type": "roomJoined", "room": "r", "userCount": 2},
        shared,
        {"type": "pong", "serverTime": NOW_MS},
        {"type": "pong", "serverTime": NOW_MS, "timestamp": {"any": 1}},
        {"type": "roomLeft", "room": "r"},
    ]
    assert b'{"any":  1}' in harness.connections[1].written, "the timestamp is returned byte for byte"
    assert harness.stats.fanout_duration.total == 0.5 * 6, "each fan-out is timed from the receipt of its message"


def test_a_message_without_a_room_is_refused() -> None:
    harness = Harness(1)
    assert harness.refusal(0, wire.SendChatMessage(text="x")) == (ErrorCode.NO_ROOM, "chatMessage")


@pytest.mark.parametrize(
    ("message", "about"), [(wire.SendChatMessage(text="x"), "chatMessage"), (wire.SendTyping(), "typing")]
)
def test_a_client_without_a_room_gets_an_error(message: wire.HubMessage, about: str) -> None:
    harness = Harness(1)
    harness.clear_received()
    with pytest.raises(RequestError) as caught:
        harness.do(0, message)
    harness.hub.refuse(harness.clients[0], caught.value)
    text = ErrorCode.NO_ROOM.message
    assert harness.received(0) == [{"type": "error", "message": text, "code": "no_room", "about": about}]


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
def test_misleading_names_are_refused_and_change_nothing(name: str, error: ErrorCode) -> None:
    harness = Harness(1)
    harness.do(0, wire.SetUsername(username="ann"))
    harness.do(0, wire.JoinRoom(room="r"))
    assert harness.refusal(0, wire.SetUsername(username=name)) == (error, "setUsername")
    assert harness.refusal(0, wire.JoinRoom(room=name)) == (error, "joinRoom")
    assert harness.clients[0].username == "ann"
    assert list(harness.registry.rooms) == ["r"]
    if error is ErrorCode.NAME_INVISIBLE:
        assert harness.refusal(0, wire.SendChat(user=name, text="x")) == (error, "chat")


@pytest.mark.parametrize("clients", [2, DIRECT_MEMBERS + 1])
def test_a_chat_is_not_overtaken_by_later_replies_and_room_messages(clients: int) -> None:
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


def test_the_chat_rate_of_a_client_is_limited() -> None:
    harness = Harness(2, chat_rate=2.0, chat_rate_total=1000.0)
    for _ in range(2 * CHAT_BURST_SECONDS):
        harness.do(0, wire.SendChat(user="a", text="x"))
    assert harness.refusal(0, wire.SendChat(user="a", text="x")) == (ErrorCode.RATE_LIMITED, "chat")
    harness.do(1, wire.SendChat(user="b", text="the limit applies per client"))
    assert harness.refusal(0, wire.SendChat(user="a", text="x"), at=0.9)[0] is ErrorCode.RATE_LIMITED
    harness.do(0, wire.SendChat(user="a", text="x"), at=1.0)
    assert harness.stats.rate_limited["chat"] == 2
    harness.end_iteration()
    assert harness.stats.messages_delivered["chat"] == 2 * (2 * CHAT_BURST_SECONDS + 2)


def test_the_chat_rate_of_all_clients_together_is_limited() -> None:
    harness = Harness(20, chat_rate=2.0, chat_rate_total=5.0)
    most = 5 * CHAT_BURST_SECONDS
    for index in range(most):
        harness.do(index, wire.SendChat(user="a", text="x"))
    for index in range(most, 20):
        assert harness.refusal(index, wire.SendChat(user="a", text="x")) == (ErrorCode.RATE_LIMITED, "chat")
    assert harness.stats.rate_limited["chat"] == 20 - most


def test_without_rate_limits_every_chat_is_accepted() -> None:
    harness = Harness(1)
    for _ in range(1000):
        harness.do(0, wire.SendChat(user="a", text="x"))
    assert harness.stats.rate_limited["chat"] == 0


def test_messages_received_together_reach_a_small_room_in_one_write() -> None:
    harness = Harness(2)
    for index in range(2):
        harness.do(index, wire.JoinRoom(room="r"))
    harness.end_iteration()
    harness.clear_received()
    writes = harness.connections[1].writes
    messages: list[wire.HubMessage] = [wire.SendTyping(), wire.SendChatMessage(text="hi"), wire.LeaveRoom()]
    for message in messages:
        harness.hub.handle(harness.clients[0], message, 0.5, in_batch=True)
    harness.end_iteration()
    assert [m["type"] for m in harness.received(1)] == ["userTyping", "chatMessage", "userLeft"]
    assert harness.connections[1].writes - writes == 1


def test_a_single_message_is_written_to_a_small_room_at_once() -> None:
    harness = Harness(2)
    for index in range(2):
        harness.do(index, wire.JoinRoom(room="r"))
    harness.end_iteration()
    harness.clear_received()
    harness.do(0, wire.SendTyping())
    harness.do(0, wire.SendChatMessage(text="hi"))
    harness.do(0, wire.LeaveRoom())
    assert [m["type"] for m in harness.received(1)] == ["userTyping", "chatMessage", "userLeft"]


@pytest.mark.parametrize("in_batch", [False, True])
def test_joins_and_chats_wait_for_the_end_of_the_iteration_only_in_a_batch(*, in_batch: bool) -> None:
    harness = Harness(2)
    harness.do(0, wire.JoinRoom(room="r"))
    harness.do(1, wire.JoinRoom(room="s"))
    harness.end_iteration()
    expected = ["userJoined", "userLeft", "chat"]
    messages: list[wire.HubMessage] = [
        wire.JoinRoom(room="r"),
        wire.JoinRoom(room="s"),
        wire.SendChat(user="a", text="all"),
    ]
    for message, kind in zip(messages, expected, strict=True):
        harness.clear_received()
        harness.hub.handle(harness.clients[1], message, 0.5, in_batch)
        assert [m["type"] for m in harness.received(0)] == ([] if in_batch else [kind])
        harness.end_iteration()
        assert [m["type"] for m in harness.received(0)] == [kind]


@pytest.mark.parametrize("in_batch", [False, True])
@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (wire.SendTyping(), "userTyping"),
        (wire.SendChatMessage(text="hi"), "chatMessage"),
        (wire.LeaveRoom(), "userLeft"),
    ],
)
def test_a_message_to_a_small_room_waits_only_in_a_batch(
    message: wire.HubMessage, kind: str, *, in_batch: bool
) -> None:
    harness = Harness(2)
    for index in range(2):
        harness.do(index, wire.JoinRoom(room="r"))
    harness.end_iteration()
    harness.clear_received()
    harness.hub.handle(harness.clients[0], message, 0.5, in_batch)
    assert [m["type"] for m in harness.received(1)] == ([] if in_batch else [kind])
    harness.end_iteration()
    assert [m["type"] for m in harness.received(1)] == [kind]
