"""What each message to the hub is answered with, to whom, and how it is counted and timed."""

from __future__ import annotations

import pytest
from msgspec import Raw, structs

from server.chat.client import Client
from server.chat.hub import LOAD_HISTORY
from server.chat.member import CLOSED, SLOW
from server.chat.room import DIRECT_MEMBERS
from server.errors import ErrorCode, RequestError
from server.protocol import messages as wire
from tests.server.chat.hub_helpers import FakeConnection, Harness, decode_frames

NOW_MS = 1_700_000_000_000


def test_each_message_has_its_answer_and_the_room_its_news() -> None:
    harness = Harness(2)
    assert [client.client_id for client in harness.clients] == ["0", "1"]
    for index, name in enumerate(["ann", "bob"]):
        harness.do(index, wire.SetUsername(username=name))
        harness.do(index, wire.JoinRoom(room="r"))
    harness.do(1, wire.SendTyping())
    harness.do(1, wire.SendChatMessage(text="hi"))
    harness.hub.share_file(harness.clients[1], "a.txt", 3, "text/plain", 0.5)
    harness.do(1, wire.Ping())
    harness.do(1, wire.Ping(timestamp=Raw(b'{"any":  1}')))
    harness.do(1, wire.LeaveRoom())
    harness.do(1, wire.LeaveRoom())  # says nothing: it is in none
    shared = {"type": "fileShared", "user": "bob", "name": "a.txt", "size": 3, "mimeType": "text/plain"}
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
    assert b'{"any":  1}' in harness.connections[1].written, "a timestamp comes back byte for byte"
    assert harness.stats.fanout_duration.total == 0.5 * 6, "each broadcast is timed from its receipt"


@pytest.mark.parametrize(
    ("message", "about"), [(wire.SendChatMessage(text="x"), "chatMessage"), (wire.SendTyping(), "typing")]
)
def test_who_is_in_no_room_is_told_so(message: wire.HubMessage, about: str) -> None:
    harness = Harness(1)
    harness.clear_received()
    with pytest.raises(RequestError) as caught:
        harness.do(0, message)
    harness.hub.refuse(harness.clients[0], caught.value)
    text = ErrorCode.NO_ROOM.message
    assert harness.received(0) == [{"type": "error", "message": text, "code": "no_room", "about": about}]


def test_an_answer_that_cannot_be_written_is_counted_as_dropped() -> None:
    harness = Harness(1)
    connection = harness.connections[0]
    connection.result = SLOW
    harness.do(0, wire.Ping())
    assert harness.stats.messages_delivered["pong"] == 1, "an answer waits for a client that is behind"
    connection.accepts_queued = False
    for trouble in (SLOW, CLOSED):
        connection.result = trouble
        for _ in range(2):
            harness.do(0, wire.Ping())
    assert harness.stats.messages_delivered["pong"] == 1
    assert {reason: harness.stats.messages_dropped["pong", reason] for reason in ("slow", "closed")} == {
        "slow": 2,
        "closed": 2,
    }


def test_answers_that_are_written_add_up() -> None:
    harness = Harness(1)
    for _ in range(3):
        harness.do(0, wire.Ping())
    assert (harness.stats.messages_delivered["pong"], harness.stats.messages_delivered["connected"]) == (3, 1)


def test_a_client_is_caught_up_with_everyone_and_with_its_room() -> None:
    clients = DIRECT_MEMBERS + 1
    harness = Harness(clients)
    for index in range(clients):
        harness.do(index, wire.JoinRoom(room="r"))
    harness.end_iteration()
    harness.clear_received()
    harness.do(1, wire.SendChatMessage(text="room"))
    harness.do(1, wire.SendChat(user="a", text="all"))
    harness.do(1, wire.SendTyping())
    harness.hub.flush_to(harness.clients[0])
    assert [message["type"] for message in harness.received(0)] == ["chatMessage", "chat", "userTyping"]
    assert [message["type"] for message in harness.received(2)] == ["chatMessage"], "the others get it later"
    harness.hub.flush_to(Client("in no room", FakeConnection()))


def test_a_watcher_gets_the_last_reports_of_the_load_first_without_their_rooms() -> None:
    harness = Harness(0)
    rooms = (wire.RoomSize(room="r", user_count=1),)
    loads = [wire.Load(float(second), 1, 1, 2.0, 3.0, 0, 0.001, rooms) for second in range(LOAD_HISTORY + 3)]
    for load in loads[:-1]:
        harness.hub.report_load(load)
    watcher = harness.watch()
    harness.hub.report_load(loads[-1])
    reports = decode_frames(watcher.written)
    assert [report["uptime"] for report in reports] == [load.uptime for load in loads[2:]]
    assert {report["type"] for report in reports} == {"load"}
    assert all(report["largestRooms"] == [] for report in reports[:-1]), "of those, only the present is of interest"
    assert reports[-1]["largestRooms"] == [{"room": "r", "userCount": 1}]
    assert wire.encode(structs.replace(loads[-1], largest_rooms=rooms)) in watcher.written
    assert harness.stats.fanout_duration.total == 0.0, "a report is timed from when it is made"


def test_the_watchers_are_told_of_a_drain() -> None:
    harness = Harness(1)
    harness.clear_received()
    watchers = [harness.watch(), harness.watch()]
    harness.hub.announce_drain()
    for watcher in watchers:
        assert decode_frames(watcher.written) == [{"type": "notification", "event": "draining"}]
    assert harness.received(0) == []


def test_who_has_left_gets_nothing_more() -> None:
    harness = Harness(2)
    for index in range(2):
        harness.do(index, wire.JoinRoom(room="r"))
    harness.hub.disconnect(harness.clients[0], 0.25)
    harness.clear_received()
    harness.do(1, wire.SendChat(user="a", text="x"))
    harness.do(1, wire.SendChatMessage(text="y"))
    assert harness.received(0) == []
    assert [message["text"] for message in harness.received(1)] == ["x"]
    assert harness.clients[0].room is None
    assert (harness.stats.room_joins, harness.stats.room_leaves) == (2, 1)


def test_who_goes_to_another_room_leaves_the_first_at_that_moment() -> None:
    harness = Harness(2)
    for index in range(2):
        harness.do(index, wire.JoinRoom(room="r"))
    harness.clear_received()
    before = harness.stats.fanout_duration.total
    harness.do(0, wire.JoinRoom(room="s"), at=0.25)
    assert harness.received(1) == [{"type": "userLeft", "user": None, "userCount": 1, "room": "r"}]
    assert [message["type"] for message in harness.received(0)] == ["userJoined", "roomJoined"]
    assert harness.stats.fanout_duration.total - before == 2 * 0.75


def test_a_newcomer_sees_its_own_coming_before_its_answer_and_nothing_older() -> None:
    harness = Harness(DIRECT_MEMBERS + 2)
    newcomer = DIRECT_MEMBERS + 1
    for index in range(newcomer):
        harness.do(index, wire.JoinRoom(room="r"))
    harness.do(0, wire.SendChatMessage(text="before"))
    harness.do(newcomer, wire.JoinRoom(room="r"))
    assert [message["type"] for message in harness.received(newcomer)] == ["connected", "userJoined", "roomJoined"]
    harness.end_iteration()
    assert [message["type"] for message in harness.received(newcomer)] == ["connected", "userJoined", "roomJoined"]


def test_whoever_leaves_while_a_notice_waits_is_told_in_it() -> None:
    harness = Harness(6, presence_threshold=4)
    for index in range(6):
        harness.do(index, wire.JoinRoom(room="r"))
    harness.later.pop()()
    harness.end_iteration()
    harness.clear_received()
    for index in (5, 4, 3):  # the last of them leaves a room that is no longer large
        harness.do(index, wire.LeaveRoom())
    assert len(harness.later) == 1
    harness.later.pop()()
    harness.end_iteration()
    assert harness.received(0) == [{"type": "roomPresence", "room": "r", "userCount": 3, "joined": 0, "left": 3}]
    harness.do(2, wire.LeaveRoom())
    harness.end_iteration()
    assert harness.received(0)[1:] == [{"type": "userLeft", "user": None, "userCount": 2, "room": "r"}]
