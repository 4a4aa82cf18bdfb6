"""Presence of members on several nodes."""

from __future__ import annotations

from typing import Any

import pytest

from server.chat.broker import PresenceChange
from server.chat.presence import PRESENCE_SECONDS
from server.chat.room import DIRECT_MEMBERS
from server.protocol import messages as wire
from tests.server.chat.hub_helpers import Harness, RecordingBroker, decode_frames, harness_in_one_room


def test_the_subscription_to_a_room_ends_with_its_last_member() -> None:
    harness, broker = harness_in_one_room(2)
    harness.do(0, wire.LeaveRoom())
    harness.do(0, wire.JoinRoom(room="r"))
    harness.hub.disconnect(harness.clients[1], 0.5)
    assert [call for call in broker.calls if call[0] in ("subscribe", "unsubscribe")] == []
    harness.hub.disconnect(harness.clients[0], 0.5)
    assert broker.calls[-2:] == [("member_left", "r", None, False), ("unsubscribe", "r")]


def test_presence_messages_count_remote_members() -> None:
    harness, _ = harness_in_one_room(2, r=10)
    harness.do(1, wire.LeaveRoom())
    harness.do(1, wire.JoinRoom(room="r"))
    assert harness.received(0) == [
        {"type": "userLeft", "user": None, "room": "r", "userCount": 11},
        {"type": "userJoined", "user": None, "room": "r", "userCount": 12},
    ]
    assert harness.received(1)[-1] == {"type": "roomJoined", "room": "r", "userCount": 12}
    assert harness.hub._presence.total_members(harness.registry.rooms["r"]) == 12


@pytest.mark.parametrize(("remote", "coalesced"), [(2, False), (3, True)])
def test_the_presence_threshold_counts_members_on_all_nodes(remote: int, *, coalesced: bool) -> None:
    broker = RecordingBroker(r=remote)
    harness = Harness(2, presence_threshold=4, broker=broker)
    for index in range(2):
        harness.do(index, wire.JoinRoom(room="r"))
    assert broker.calls[-2:] == [("member_joined", "r", None, coalesced), ("when_subscribed", "r")]
    for callback in harness.later:
        callback()
    harness.do(1, wire.LeaveRoom())
    assert broker.calls[-1] == ("member_left", "r", None, coalesced), "the room was large when the last member left"
    assert len(harness.later) == (2 if coalesced else 0)


def test_watchers_are_told_of_rooms_that_are_not_open_on_another_node() -> None:
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


def test_a_small_room_is_told_the_names_of_remote_joins_and_leaves() -> None:
    harness, broker = harness_in_one_room(1, presence_threshold=4, r=3)
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
    ("remote", "change"),
    [
        (4, PresenceChange(4, 2, 1, ["bob", None], ["eve"])),  # five members in total
        (3, PresenceChange(3, 2, 1, ["bob"], ["eve"])),
        (3, PresenceChange(3, 2, 1, ["bob", None], [])),
    ],
    ids=["large", "joins without names", "leaves without names"],
)
def test_other_remote_joins_and_leaves_are_coalesced(remote: int, change: PresenceChange) -> None:
    harness, _ = harness_in_one_room(1, presence_threshold=4, r=remote)
    harness.hub.receive_presence("r", change)
    harness.hub.receive_presence("r", PresenceChange(remote, 0, 1, [], ["eve"]))
    assert harness.received(0) == []
    [publish_presence] = harness.later
    assert harness.delays[-1] == PRESENCE_SECONDS
    publish_presence()
    presence = {"type": "roomPresence", "room": "r", "userCount": 1 + remote, "joined": 2, "left": 2}
    assert harness.received(0) == [presence]


def test_remote_presence_of_a_room_without_local_members_is_ignored() -> None:
    harness = Harness(1, presence_threshold=1)
    harness.clear_received()
    harness.hub.receive_presence("r", PresenceChange(9, 9, 9, [], []))
    assert (harness.received(0), harness.later) == ([], [])


def test_each_presence_message_counts_since_the_last_one() -> None:
    harness, _ = harness_in_one_room(DIRECT_MEMBERS, presence_threshold=1)
    notices: list[dict[str, Any]] = []
    for joined, left in [(3, 0), (0, 2)]:
        harness.hub.receive_presence("r", PresenceChange(5, joined, left, [], []))
        harness.hub.receive_presence("r", PresenceChange(5, joined, left, [], []))
        harness.later.pop()()
        notices.append(harness.received(0)[-1])
    assert [(notice["joined"], notice["left"]) for notice in notices] == [(6, 0), (0, 4)]
    assert harness.later == []
