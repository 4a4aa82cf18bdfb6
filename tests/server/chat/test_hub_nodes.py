"""What the hub tells other nodes, and what it does with what they tell."""

from __future__ import annotations

from typing import Any

import pytest

from server.chat.broker import EVERYONE, WATCHERS, PresenceChange
from server.chat.presence import PRESENCE_SECONDS
from server.chat.room import DIRECT_MEMBERS
from server.protocol import messages as wire
from server.protocol.frames import text_frame
from tests.server.chat.hub_helpers import Harness, RecordingBroker, decode_frames

NOW_MS = 1_700_000_000_000


def said(text: str) -> tuple[str, bytes]:
    """Return one entry of what a room is told by another node."""
    return "chatMessage", text_frame(wire.encode(wire.ChatMessage("eve", text, 7)))


def in_one_room(members: int, presence_threshold: int = 0, **elsewhere: int) -> tuple[Harness, RecordingBroker]:
    """Return a harness whose clients are all in room `r`, with all that was said so far out of the way."""
    broker = RecordingBroker(**elsewhere)
    harness = Harness(members, presence_threshold, broker)
    for index in range(members):
        harness.do(index, wire.JoinRoom(room="r"))
    for callback in harness.later:
        callback()
    harness.end_iteration()
    harness.clear_received()
    harness.later.clear()
    broker.calls.clear()
    return harness, broker


def test_other_nodes_are_told_what_a_client_does_in_its_room_under_the_rooms_key() -> None:
    broker = RecordingBroker()
    harness = Harness(1, broker=broker)
    harness.do(0, wire.SetUsername(username="ann"))
    harness.do(0, wire.JoinRoom(room=" r "))
    harness.do(0, wire.SendTyping())
    harness.do(0, wire.SendChatMessage(text="hi"))
    harness.hub.share_file(harness.clients[0], "a.txt", 3, "text/plain", 0.5)
    harness.do(0, wire.SendChat(user="x", text="to everyone"))
    harness.do(0, wire.LeaveRoom())
    assert broker.calls == [
        ("subscribe", "r"),
        ("member_joined", "r", "ann", False),
        ("when_subscribed", "r"),
        ("publish", "r", "userTyping", {"user": "ann"}),
        ("publish", "r", "chatMessage", {"user": "ann", "text": "hi", "timestamp": NOW_MS}),
        ("publish", "r", "fileShared", {"user": "ann", "name": "a.txt", "size": 3, "mimeType": "text/plain"}),
        (
            *("publish", WATCHERS, "notification"),
            {"event": "fileShared", "room": " r ", "user": "ann", "name": "a.txt", "size": 3},
        ),
        ("publish", EVERYONE, "chat", {"user": "x", "text": "to everyone"}),
        ("member_left", "r", "ann", False),
        ("unsubscribe", "r"),
    ]


def test_a_file_that_is_stored_outside_a_room_is_told_to_the_watchers_of_all_nodes_alone() -> None:
    broker = RecordingBroker()
    harness = Harness(2, broker=broker)
    watcher = harness.watch()
    harness.clear_received()
    harness.hub.share_file(harness.clients[0], "a.txt", 3, "text/plain", 0.5)
    notice = {"event": "fileShared", "name": "a.txt", "size": 3}
    assert broker.calls == [("publish", WATCHERS, "notification", notice)]
    assert decode_frames(watcher.written) == [{"type": "notification", **notice}]
    assert harness.received(0) == harness.received(1) == []


def test_a_room_that_stays_open_is_neither_closed_nor_opened_again_elsewhere() -> None:
    harness, broker = in_one_room(2)
    harness.do(0, wire.LeaveRoom())
    harness.do(0, wire.JoinRoom(room="r"))
    harness.hub.disconnect(harness.clients[1], 0.5)
    assert [call for call in broker.calls if call[0] in ("subscribe", "unsubscribe")] == []
    harness.hub.disconnect(harness.clients[0], 0.5)
    assert broker.calls[-2:] == [("member_left", "r", None, False), ("unsubscribe", "r")]


def test_members_elsewhere_are_counted_in_every_notice() -> None:
    harness, _ = in_one_room(2, r=10)
    harness.do(1, wire.LeaveRoom())
    harness.do(1, wire.JoinRoom(room="r"))
    assert harness.received(0) == [
        {"type": "userLeft", "user": None, "room": "r", "userCount": 11},
        {"type": "userJoined", "user": None, "room": "r", "userCount": 12},
    ]
    assert harness.received(1)[-1] == {"type": "roomJoined", "room": "r", "userCount": 12}
    assert harness.hub._presence.total_members(harness.registry.rooms["r"]) == 12


@pytest.mark.parametrize(("remote", "coalesced"), [(2, False), (3, True)])
def test_a_room_is_large_by_its_members_on_all_nodes(remote: int, *, coalesced: bool) -> None:
    broker = RecordingBroker(r=remote)
    harness = Harness(2, presence_threshold=4, broker=broker)
    for index in range(2):
        harness.do(index, wire.JoinRoom(room="r"))
    assert broker.calls[-2:] == [("member_joined", "r", None, coalesced), ("when_subscribed", "r")]
    for callback in harness.later:
        callback()
    harness.do(1, wire.LeaveRoom())
    assert broker.calls[-1] == ("member_left", "r", None, coalesced), "it was as large as this when the last one left"
    assert len(harness.later) == (2 if coalesced else 0)


def test_the_watchers_hear_of_rooms_that_nobody_elsewhere_had_opened() -> None:
    harness = Harness(1, broker=RecordingBroker(busy=1))
    watcher = harness.watch()
    for room in (" quiet ", "busy"):
        harness.do(0, wire.JoinRoom(room=room))
    harness.do(0, wire.LeaveRoom())
    assert decode_frames(watcher.written) == [
        {"type": "notification", "event": "roomOpened", "room": " quiet "},
        {"type": "notification", "event": "roomClosed", "room": " quiet "},
    ]
    assert harness.stats.rooms_created == 2
    assert (harness.stats.room_joins, harness.stats.room_leaves) == (2, 2)


def test_the_watchers_hear_of_rooms_elsewhere_that_have_no_members_here() -> None:
    harness, _ = in_one_room(1)
    watcher = harness.watch()
    for key in ("r", "far"):
        for is_open in (True, False):
            harness.hub.receive_room_state(key, is_open=is_open)
    assert decode_frames(watcher.written) == [
        {"type": "notification", "event": "roomOpened", "room": "far"},
        {"type": "notification", "event": "roomClosed", "room": "far"},
    ]


def test_what_is_said_elsewhere_reaches_the_members_here_as_if_it_had_come_now() -> None:
    harness, broker = in_one_room(2)
    harness.stats.fanout_duration.total = 0.0
    harness.hub.receive_messages("r", [said("one")])
    assert [[m["text"] for m in harness.received(index)] for index in range(2)] == [["one"]] * 2, (
        "alone: written at once"
    )
    writes = [connection.writes for connection in harness.connections]
    harness.hub.receive_messages("r", [said("two"), said("three")])
    assert [connection.writes for connection in harness.connections] == writes, "two at once are worth joining"
    harness.end_iteration()
    assert [connection.writes for connection in harness.connections] == [count + 1 for count in writes]
    assert [m["text"] for m in harness.received(1)] == ["one", "two", "three"]
    assert harness.stats.fanout_duration.total == 0.0
    harness.hub.receive_messages("r", [said("four")])
    assert harness.received(1)[-1]["text"] == "four"
    assert broker.calls == [], "what came from another node is not sent back"


def test_each_audience_hears_what_is_meant_for_it() -> None:
    harness, _ = in_one_room(1)
    watcher = harness.watch()
    entry = said("x")
    harness.hub.receive_messages(EVERYONE, [entry])
    assert (harness.received(0)[0]["text"], watcher.written) == ("x", b"")
    harness.hub.receive_messages(WATCHERS, [entry])
    assert watcher.written == entry[1] == harness.connections[0].written


def test_what_is_meant_for_nobody_here_is_not_counted() -> None:
    harness = Harness(0)
    for key in ("unknown", EVERYONE, WATCHERS):
        harness.hub.receive_messages(key, [said("x")])
    assert harness.stats.fanout_recipients.counts == [0] * len(harness.stats.fanout_recipients.counts)


def test_who_comes_and_goes_elsewhere_is_told_by_name_in_a_small_room() -> None:
    harness, broker = in_one_room(1, presence_threshold=4, r=3)
    harness.stats.fanout_duration.total = 0.0
    harness.hub.receive_presence("r", PresenceChange(3, 2, 1, ["bob", None], ["eve"]))
    assert harness.received(0) == [
        {"type": "userJoined", "user": "bob", "room": "r", "userCount": 4},
        {"type": "userJoined", "user": None, "room": "r", "userCount": 4},
        {"type": "userLeft", "user": "eve", "room": "r", "userCount": 4},
    ]
    assert harness.stats.fanout_duration.total == 0.0
    assert (harness.later, broker.calls) == ([], [])


@pytest.mark.parametrize(
    ("elsewhere", "change"),
    [
        (4, PresenceChange(4, 2, 1, ["bob", None], ["eve"])),  # five in all
        (3, PresenceChange(3, 2, 1, ["bob"], ["eve"])),
        (3, PresenceChange(3, 2, 1, ["bob", None], [])),
    ],
    ids=["large", "not all who came", "not all who went"],
)
def test_who_comes_and_goes_elsewhere_is_told_in_one_notice_otherwise(elsewhere: int, change: PresenceChange) -> None:
    harness, _ = in_one_room(1, presence_threshold=4, r=elsewhere)
    harness.hub.receive_presence("r", change)
    harness.hub.receive_presence("r", PresenceChange(elsewhere, 0, 1, [], ["eve"]))
    assert harness.received(0) == []
    [notice] = harness.later
    assert harness.delays[-1] == PRESENCE_SECONDS
    notice()
    presence = {"type": "roomPresence", "room": "r", "userCount": 1 + elsewhere, "joined": 2, "left": 2}
    assert harness.received(0) == [presence]


def test_presence_in_a_room_without_members_here_is_told_to_nobody() -> None:
    harness = Harness(1, presence_threshold=1)
    harness.clear_received()
    harness.hub.receive_presence("r", PresenceChange(9, 9, 9, [], []))
    assert (harness.received(0), harness.later) == ([], [])


def test_each_notice_counts_from_the_one_before() -> None:
    harness, _ = in_one_room(DIRECT_MEMBERS, presence_threshold=1)
    notices: list[dict[str, Any]] = []
    for came, went in [(3, 0), (0, 2)]:
        harness.hub.receive_presence("r", PresenceChange(5, came, went, [], []))
        harness.hub.receive_presence("r", PresenceChange(5, came, went, [], []))
        harness.later.pop()()
        notices.append(harness.received(0)[-1])
    assert [(notice["joined"], notice["left"]) for notice in notices] == [(6, 0), (0, 4)]
    assert harness.later == []
