"""What each message to the hub is answered with, to whom, and how it is counted and timed."""

from __future__ import annotations

import pytest
from msgspec import Raw, structs

from server.chat.hub import LOADS_KEPT, Client
from server.chat.room import CLOSED, DIRECT_MEMBERS, SLOW
from server.errors import ErrorCode, RequestError
from server.protocol import messages as wire
from tests.server.chat.hub_world import Peer, World, read

NOW_MS = 1_700_000_000_000


def test_each_message_has_its_answer_and_the_room_its_news() -> None:
    world = World(2)
    assert [client.client_id for client in world.clients] == ["0", "1"]
    for index, name in enumerate(["ann", "bob"]):
        world.do(index, wire.SetUsername(username=name))
        world.do(index, wire.JoinRoom(room="r"))
    world.do(1, wire.SendTyping())
    world.do(1, wire.SendChatMessage(text="hi"))
    world.hub.share_file(world.clients[1], "a.txt", 3, "text/plain", 0.5)
    world.do(1, wire.Ping())
    world.do(1, wire.Ping(timestamp=Raw(b'{"any":  1}')))
    world.do(1, wire.LeaveRoom())
    world.do(1, wire.LeaveRoom())  # says nothing: it is in none
    shared = {"type": "fileShared", "user": "bob", "name": "a.txt", "size": 3, "mimeType": "text/plain"}
    assert world.seen(0)[1:] == [
        {"type": "usernameSet", "username": "ann"},
        {"type": "userJoined", "user": "ann", "room": "r", "userCount": 1},
        {"type": "roomJoined", "room": "r", "userCount": 1},
        {"type": "userJoined", "user": "bob", "room": "r", "userCount": 2},
        {"type": "userTyping", "user": "bob"},
        {"type": "chatMessage", "user": "bob", "text": "hi", "timestamp": NOW_MS},
        shared,
        {"type": "userLeft", "user": "bob", "userCount": 1, "room": "r"},
    ]
    assert world.seen(1)[1:] == [
        {"type": "usernameSet", "username": "bob"},
        {"type": "userJoined", "user": "bob", "room": "r", "userCount": 2},
        {"type": "roomJoined", "room": "r", "userCount": 2},
        shared,
        {"type": "pong", "serverTime": NOW_MS},
        {"type": "pong", "serverTime": NOW_MS, "timestamp": {"any": 1}},
        {"type": "roomLeft", "room": "r"},
    ]
    assert b'{"any":  1}' in world.peers[1].written, "a timestamp comes back byte for byte"
    assert world.stats.fanout_duration.total == 0.5 * 6, "each broadcast is timed from its receipt"


@pytest.mark.parametrize(
    ("message", "about"), [(wire.SendChatMessage(text="x"), "chatMessage"), (wire.SendTyping(), "typing")]
)
def test_who_is_in_no_room_is_told_so(message: wire.HubMessage, about: str) -> None:
    world = World(1)
    world.forget_what_was_seen()
    with pytest.raises(RequestError) as caught:
        world.do(0, message)
    world.hub.refuse(world.clients[0], caught.value)
    text = ErrorCode.NO_ROOM.message
    assert world.seen(0) == [{"type": "error", "message": text, "code": "no_room", "about": about}]


def test_an_answer_that_cannot_be_written_is_counted_as_dropped() -> None:
    world = World(1)
    peer = world.peers[0]
    peer.trouble = SLOW
    world.do(0, wire.Ping())
    assert world.stats.messages_delivered["pong"] == 1, "an answer waits for a client that is behind"
    peer.takes_push = False
    for trouble in (SLOW, CLOSED):
        peer.trouble = trouble
        for _ in range(2):
            world.do(0, wire.Ping())
    assert world.stats.messages_delivered["pong"] == 1
    assert {reason: world.stats.messages_dropped["pong", reason] for reason in ("slow", "closed")} == {
        "slow": 2,
        "closed": 2,
    }


def test_answers_that_are_written_add_up() -> None:
    world = World(1)
    for _ in range(3):
        world.do(0, wire.Ping())
    assert (world.stats.messages_delivered["pong"], world.stats.messages_delivered["connected"]) == (3, 1)


def test_a_client_is_caught_up_with_everyone_and_with_its_room() -> None:
    clients = DIRECT_MEMBERS + 1
    world = World(clients)
    for index in range(clients):
        world.do(index, wire.JoinRoom(room="r"))
    world.end_tick()
    world.forget_what_was_seen()
    world.do(1, wire.SendChatMessage(text="room"))
    world.do(1, wire.SendChat(user="a", text="all"))
    world.do(1, wire.SendTyping())
    world.hub.catch_up(world.clients[0])
    assert [message["type"] for message in world.seen(0)] == ["chatMessage", "chat", "userTyping"]
    assert [message["type"] for message in world.seen(2)] == ["chatMessage"], "the others get it later"
    world.hub.catch_up(Client("in no room", Peer()))


def test_a_watcher_gets_the_last_reports_of_the_load_first_without_their_rooms() -> None:
    world = World(0)
    rooms = (wire.RoomSize(room="r", user_count=1),)
    loads = [wire.Load(float(second), 1, 1, 2.0, 3.0, 0, 0.001, rooms) for second in range(LOADS_KEPT + 3)]
    for load in loads[:-1]:
        world.hub.tell_load(load)
    watcher = world.watch()
    world.hub.tell_load(loads[-1])
    reports = read(watcher.written)
    assert [report["uptime"] for report in reports] == [load.uptime for load in loads[2:]]
    assert {report["type"] for report in reports} == {"load"}
    assert all(report["largestRooms"] == [] for report in reports[:-1]), "of those, only the present is of interest"
    assert reports[-1]["largestRooms"] == [{"room": "r", "userCount": 1}]
    assert wire.encode(structs.replace(loads[-1], largest_rooms=rooms)) in watcher.written
    assert world.stats.fanout_duration.total == 0.0, "a report is timed from when it is made"


def test_the_watchers_are_told_of_a_drain() -> None:
    world = World(1)
    world.forget_what_was_seen()
    watchers = [world.watch(), world.watch()]
    world.hub.announce_drain()
    for watcher in watchers:
        assert read(watcher.written) == [{"type": "notification", "event": "draining"}]
    assert world.seen(0) == []


def test_who_has_left_gets_nothing_more() -> None:
    world = World(2)
    for index in range(2):
        world.do(index, wire.JoinRoom(room="r"))
    world.hub.disconnect(world.clients[0], 0.25)
    world.forget_what_was_seen()
    world.do(1, wire.SendChat(user="a", text="x"))
    world.do(1, wire.SendChatMessage(text="y"))
    assert world.seen(0) == []
    assert [message["text"] for message in world.seen(1)] == ["x"]
    assert world.clients[0].room is None
    assert (world.stats.room_joins, world.stats.room_leaves) == (2, 1)


def test_who_goes_to_another_room_leaves_the_first_at_that_moment() -> None:
    world = World(2)
    for index in range(2):
        world.do(index, wire.JoinRoom(room="r"))
    world.forget_what_was_seen()
    before = world.stats.fanout_duration.total
    world.do(0, wire.JoinRoom(room="s"), at=0.25)
    assert world.seen(1) == [{"type": "userLeft", "user": None, "userCount": 1, "room": "r"}]
    assert [message["type"] for message in world.seen(0)] == ["userJoined", "roomJoined"]
    assert world.stats.fanout_duration.total - before == 2 * 0.75


def test_a_newcomer_sees_its_own_coming_before_its_answer_and_nothing_older() -> None:
    world = World(DIRECT_MEMBERS + 2)
    newcomer = DIRECT_MEMBERS + 1
    for index in range(newcomer):
        world.do(index, wire.JoinRoom(room="r"))
    world.do(0, wire.SendChatMessage(text="before"))
    world.do(newcomer, wire.JoinRoom(room="r"))
    assert [message["type"] for message in world.seen(newcomer)] == ["connected", "userJoined", "roomJoined"]
    world.end_tick()
    assert [message["type"] for message in world.seen(newcomer)] == ["connected", "userJoined", "roomJoined"]


def test_whoever_leaves_while_a_notice_waits_is_told_in_it() -> None:
    world = World(6, presence_threshold=4)
    for index in range(6):
        world.do(index, wire.JoinRoom(room="r"))
    world.later.pop()()
    world.end_tick()
    world.forget_what_was_seen()
    for index in (5, 4, 3):  # the last of them leaves a room that is no longer large
        world.do(index, wire.LeaveRoom())
    assert len(world.later) == 1
    world.later.pop()()
    world.end_tick()
    assert world.seen(0) == [{"type": "roomPresence", "room": "r", "userCount": 3, "joined": 0, "left": 3}]
    world.do(2, wire.LeaveRoom())
    world.end_tick()
    assert world.seen(0)[1:] == [{"type": "userLeft", "user": None, "userCount": 2, "room": "r"}]
