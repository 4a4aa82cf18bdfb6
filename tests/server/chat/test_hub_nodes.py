"""What the hub tells other nodes, and what it does with what they tell."""

from __future__ import annotations

from typing import Any

import pytest

from server.chat.hub import PRESENCE_SECONDS
from server.chat.relay import EVERYONE, WATCHERS, Change
from server.chat.room import DIRECT_MEMBERS
from server.protocol import messages as wire
from server.protocol.frames import text_frame
from tests.server.chat.hub_world import Recording, World, read

NOW_MS = 1_700_000_000_000


def said(text: str) -> tuple[str, bytes]:
    """Return one entry of what a room is told by another node."""
    return "chatMessage", text_frame(wire.encode(wire.ChatMessage("eve", text, 7)))


def in_one_room(members: int, presence_threshold: int = 0, **elsewhere: int) -> tuple[World, Recording]:
    """Return a world whose clients are all in room `r`, with all that was said so far out of the way."""
    world = World(members, presence_threshold)
    for index in range(members):
        world.do(index, wire.JoinRoom(room="r"))
    for callback in world.later:
        callback()
    world.end_tick()
    world.forget_what_was_seen()
    world.later.clear()
    relay = world.hub.relay = Recording(**elsewhere)
    return world, relay


def test_other_nodes_are_told_what_a_client_does_in_its_room_under_the_rooms_key() -> None:
    world = World(1)
    relay = world.hub.relay = Recording()
    world.do(0, wire.SetUsername(username="ann"))
    world.do(0, wire.JoinRoom(room=" r "))
    world.do(0, wire.SendTyping())
    world.do(0, wire.SendChatMessage(text="hi"))
    world.hub.share_file(world.clients[0], "a.txt", 3, "text/plain", 0.5)
    world.do(0, wire.SendChat(user="x", text="to everyone"))
    world.do(0, wire.LeaveRoom())
    assert relay.told == [
        ("opened", "r"),
        ("came", "r", "ann", True),
        ("once heard", "r"),
        ("forward", "r", "userTyping", {"user": "ann"}),
        ("forward", "r", "chatMessage", {"user": "ann", "text": "hi", "timestamp": NOW_MS}),
        ("forward", "r", "fileShared", {"user": "ann", "name": "a.txt", "size": 3, "mimeType": "text/plain"}),
        (
            *("forward", WATCHERS, "notification"),
            {"event": "fileShared", "room": " r ", "user": "ann", "name": "a.txt", "size": 3},
        ),
        ("forward", EVERYONE, "chat", {"user": "x", "text": "to everyone"}),
        ("went", "r", "ann", True),
        ("closed", "r"),
    ]


def test_a_file_that_is_stored_outside_a_room_is_told_to_the_watchers_of_all_nodes_alone() -> None:
    world = World(2)
    relay = world.hub.relay = Recording()
    watcher = world.watch()
    world.forget_what_was_seen()
    world.hub.share_file(world.clients[0], "a.txt", 3, "text/plain", 0.5)
    notice = {"event": "fileShared", "name": "a.txt", "size": 3}
    assert relay.told == [("forward", WATCHERS, "notification", notice)]
    assert read(watcher.written) == [{"type": "notification", **notice}]
    assert world.seen(0) == world.seen(1) == []


def test_a_room_that_stays_open_is_neither_closed_nor_opened_again_elsewhere() -> None:
    world, relay = in_one_room(2)
    world.do(0, wire.LeaveRoom())
    world.do(0, wire.JoinRoom(room="r"))
    world.hub.disconnect(world.clients[1], 0.5)
    assert [told for told in relay.told if told[0] in ("opened", "closed")] == []
    world.hub.disconnect(world.clients[0], 0.5)
    assert relay.told[-2:] == [("went", "r", None, True), ("closed", "r")]


def test_members_elsewhere_are_counted_in_every_notice() -> None:
    world, _ = in_one_room(2, r=10)
    world.do(1, wire.LeaveRoom())
    world.do(1, wire.JoinRoom(room="r"))
    assert world.seen(0) == [
        {"type": "userLeft", "user": None, "room": "r", "userCount": 11},
        {"type": "userJoined", "user": None, "room": "r", "userCount": 12},
    ]
    assert world.seen(1)[-1] == {"type": "roomJoined", "room": "r", "userCount": 12}
    assert world.hub.members(world.hub.rooms["r"]) == 12


@pytest.mark.parametrize(("elsewhere", "by_name"), [(2, True), (3, False)])
def test_a_room_is_large_by_its_members_on_all_nodes(elsewhere: int, *, by_name: bool) -> None:
    world = World(2, presence_threshold=4)
    relay = world.hub.relay = Recording(r=elsewhere)
    for index in range(2):
        world.do(index, wire.JoinRoom(room="r"))
    assert relay.told[-2:] == [("came", "r", None, by_name), ("once heard", "r")]
    for callback in world.later:
        callback()
    world.do(1, wire.LeaveRoom())
    assert relay.told[-1] == ("went", "r", None, by_name), "it was as large as this when the last one left"
    assert len(world.later) == (0 if by_name else 2)


def test_the_watchers_hear_of_rooms_that_nobody_elsewhere_had_opened() -> None:
    world = World(1)
    world.hub.relay = Recording(busy=1)
    watcher = world.watch()
    for room in (" quiet ", "busy"):
        world.do(0, wire.JoinRoom(room=room))
    world.do(0, wire.LeaveRoom())
    assert read(watcher.written) == [
        {"type": "notification", "event": "roomOpened", "room": " quiet "},
        {"type": "notification", "event": "roomClosed", "room": " quiet "},
    ]
    assert world.stats.rooms_created == 2
    assert (world.stats.room_joins, world.stats.room_leaves) == (2, 2)


def test_the_watchers_hear_of_rooms_elsewhere_that_have_no_members_here() -> None:
    world, _ = in_one_room(1)
    watcher = world.watch()
    for key in ("r", "far"):
        for is_open in (True, False):
            world.hub.hear_room(key, is_open=is_open)
    assert read(watcher.written) == [
        {"type": "notification", "event": "roomOpened", "room": "far"},
        {"type": "notification", "event": "roomClosed", "room": "far"},
    ]


def test_what_is_said_elsewhere_reaches_the_members_here_as_if_it_had_come_now() -> None:
    world, relay = in_one_room(2)
    world.stats.fanout_duration.total = 0.0
    world.hub.hear("r", [said("one")])
    assert [[m["text"] for m in world.seen(index)] for index in range(2)] == [["one"]] * 2, "alone: written at once"
    writes = [peer.writes for peer in world.peers]
    world.hub.hear("r", [said("two"), said("three")])
    assert [peer.writes for peer in world.peers] == writes, "two at once are worth joining"
    world.end_tick()
    assert [peer.writes for peer in world.peers] == [count + 1 for count in writes]
    assert [m["text"] for m in world.seen(1)] == ["one", "two", "three"]
    assert world.stats.fanout_duration.total == 0.0
    world.hub.hear("r", [said("four")])
    assert world.seen(1)[-1]["text"] == "four"
    assert relay.told == [], "what came from another node is not sent back"


def test_each_audience_hears_what_is_meant_for_it() -> None:
    world, _ = in_one_room(1)
    watcher = world.watch()
    entry = said("x")
    world.hub.hear(EVERYONE, [entry])
    assert (world.seen(0)[0]["text"], watcher.written) == ("x", b"")
    world.hub.hear(WATCHERS, [entry])
    assert watcher.written == entry[1] == world.peers[0].written


def test_what_is_meant_for_nobody_here_is_not_counted() -> None:
    world = World(0)
    for key in ("unknown", EVERYONE, WATCHERS):
        world.hub.hear(key, [said("x")])
    assert world.stats.fanout_recipients.counts == [0] * len(world.stats.fanout_recipients.counts)


def test_who_comes_and_goes_elsewhere_is_told_by_name_in_a_small_room() -> None:
    world, relay = in_one_room(1, presence_threshold=4, r=3)
    world.stats.fanout_duration.total = 0.0
    world.hub.hear_presence("r", Change(3, 2, 1, ["bob", None], ["eve"]))
    assert world.seen(0) == [
        {"type": "userJoined", "user": "bob", "room": "r", "userCount": 4},
        {"type": "userJoined", "user": None, "room": "r", "userCount": 4},
        {"type": "userLeft", "user": "eve", "room": "r", "userCount": 4},
    ]
    assert world.stats.fanout_duration.total == 0.0
    assert (world.later, relay.told) == ([], [])


@pytest.mark.parametrize(
    ("elsewhere", "change"),
    [
        (4, Change(4, 2, 1, ["bob", None], ["eve"])),  # five in all
        (3, Change(3, 2, 1, ["bob"], ["eve"])),
        (3, Change(3, 2, 1, ["bob", None], [])),
    ],
    ids=["large", "not all who came", "not all who went"],
)
def test_who_comes_and_goes_elsewhere_is_told_in_one_notice_otherwise(elsewhere: int, change: Change) -> None:
    world, _ = in_one_room(1, presence_threshold=4, r=elsewhere)
    world.hub.hear_presence("r", change)
    world.hub.hear_presence("r", Change(elsewhere, 0, 1, [], ["eve"]))  # while a notice waits, everybody is in it
    assert world.seen(0) == []
    [notice] = world.later
    assert world.delays[-1] == PRESENCE_SECONDS
    notice()
    presence = {"type": "roomPresence", "room": "r", "userCount": 1 + elsewhere, "joined": 2, "left": 2}
    assert world.seen(0) == [presence]


def test_presence_in_a_room_without_members_here_is_told_to_nobody() -> None:
    world = World(1, presence_threshold=1)
    world.forget_what_was_seen()
    world.hub.hear_presence("r", Change(9, 9, 9, [], []))
    assert (world.seen(0), world.later) == ([], [])


def test_each_notice_counts_from_the_one_before() -> None:
    world, _ = in_one_room(DIRECT_MEMBERS, presence_threshold=1)
    notices: list[dict[str, Any]] = []
    for came, went in [(3, 0), (0, 2)]:
        world.hub.hear_presence("r", Change(5, came, went, [], []))
        world.hub.hear_presence("r", Change(5, came, went, [], []))
        world.later.pop()()
        notices.append(world.seen(0)[-1])
    assert [(notice["joined"], notice["left"]) for notice in notices] == [(6, 0), (0, 4)]
    assert world.later == []
