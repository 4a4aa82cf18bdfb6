"""Counts of members on other nodes, with any messages lost."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from server.chat.broker import PresenceChange
from server.cluster.membership import HEARTBEAT_SECONDS, MISSED_HEARTBEATS, RemoteMembership
from server.cluster.messages import Heartbeat, Presence, Snapshot

TIMEOUT = MISSED_HEARTBEATS * HEARTBEAT_SECONDS


def presence(node: str, number: int, **members: int) -> Presence:
    return Presence(node, number, {room: PresenceChange(count, 0, 0, [], []) for room, count in members.items()})


def with_snapshot(node: str = "a", **members: int) -> RemoteMembership:
    membership = RemoteMembership(0.0)
    membership.apply_snapshot(Snapshot(node, 0, 0, 1, members), 0.0)
    return membership


def each_heartbeat(until: float) -> list[float]:
    """Return the latest times of the checks for silent nodes."""
    return [HEARTBEAT_SECONDS * number for number in range(1, 1 + int(until / HEARTBEAT_SECONDS))]


def test_the_members_of_all_nodes_are_added_up() -> None:
    membership = with_snapshot("a", x=2)
    membership.apply_snapshot(Snapshot("b", 7, 0, 1, {"x": 3, "y": 1}), 0.0)
    assert (membership.members("x"), membership.members("y"), membership.members("z")) == (5, 1, 0)
    assert sorted(membership.rooms) == ["x", "y"]


def test_changes_in_sequence_need_no_snapshot() -> None:
    membership = with_snapshot(x=1)
    assert membership.apply_presence(presence("a", 1, x=2), 0.0)
    assert membership.apply_presence(presence("a", 2, x=0), 0.0)
    assert membership.members("x") == 0
    assert list(membership.rooms) == []


def test_after_a_gap_a_snapshot_is_needed() -> None:
    membership = with_snapshot(x=1)
    assert not membership.apply_presence(presence("a", 2, x=5), 0.0)
    assert not membership.apply_presence(presence("a", 3, x=6), 0.0)
    assert membership.members("x") == 6
    changes = membership.apply_snapshot(Snapshot("a", 3, 0, 1, {"x": 6, "y": 2}), 0.0)
    assert changes == {"y": PresenceChange(2, 2, 0, [], [])}
    assert membership.apply_presence(presence("a", 4, x=7), 0.0)


def test_an_unknown_node_needs_a_snapshot() -> None:
    membership = RemoteMembership(0.0)
    assert not membership.apply_presence(presence("a", 1, x=1), 0.0)
    assert not membership.apply_heartbeat(Heartbeat("b", 0, 10, 1.5), 0.0)
    assert membership.connections == 10
    assert membership.messages_per_second == 1.5


def test_a_heartbeat_reveals_a_missed_presence_message() -> None:
    membership = with_snapshot(x=1)
    assert membership.apply_heartbeat(Heartbeat("a", 0, 1, 0.0), 0.0)
    assert not membership.apply_heartbeat(Heartbeat("a", 1, 1, 0.0), 0.0)


def test_a_snapshot_is_applied_when_all_parts_have_arrived() -> None:
    membership = RemoteMembership(0.0)
    assert membership.apply_snapshot(Snapshot("a", 4, 1, 2, {"y": 1}), 0.0) == {}
    assert membership.members("y") == 0
    assert set(membership.apply_snapshot(Snapshot("a", 4, 0, 2, {"x": 1}), 0.0)) == {"x", "y"}


def test_parts_of_two_snapshots_are_not_mixed() -> None:
    membership = RemoteMembership(0.0)
    membership.apply_snapshot(
        Snapshot("a", 5, 0, 2, {"x": 1}), 0.0
    )  # its second part, and the first of the next snapshot, are lost
    membership.apply_snapshot(Snapshot("a", 5, 1, 3, {"y": 1}), 0.0)
    assert membership.apply_snapshot(Snapshot("a", 5, 2, 3, {"z": 1}), 0.0) == {}
    assert set(membership.apply_snapshot(Snapshot("a", 5, 0, 3, {"w": 1}), 0.0)) == {"w", "y", "z"}


def test_a_room_that_opens_and_closes_between_two_calls_has_not_changed() -> None:
    membership = RemoteMembership(0.0)
    membership.apply_presence(presence("a", 1, x=1), 0.0)
    membership.apply_presence(presence("a", 2, x=0), 0.0)
    assert membership.take_room_states() == {}
    membership.apply_presence(presence("a", 3, x=1), 0.0)
    assert membership.take_room_states() == {"x": True}
    membership.apply_presence(presence("a", 4, x=0), 0.0)
    membership.apply_presence(presence("b", 1, x=2), 0.0)
    assert membership.take_room_states() == {}
    membership.apply_presence(presence("b", 2, x=0), 0.0)
    assert membership.take_room_states() == {"x": False}


def test_a_snapshot_older_than_the_applied_changes_is_ignored() -> None:
    membership = RemoteMembership(0.0)
    membership.apply_presence(presence("a", 5, x=9), 0.0)
    assert membership.apply_snapshot(Snapshot("a", 4, 0, 1, {"x": 1}), 0.0) == {}
    assert membership.members("x") == 9


def test_a_removed_node_takes_its_members_along() -> None:
    assert with_snapshot(x=2).remove("a") == {"x": PresenceChange(0, 0, 2, [], [])}
    assert RemoteMembership(0.0).remove("unknown") == {}


def test_a_silent_node_is_removed_after_three_heartbeat_intervals() -> None:
    membership = with_snapshot(x=2)
    times = [quarter / 4 for quarter in range(1, int(4 * TIMEOUT) + 1)]
    *early, last = [membership.remove_silent(now) for now in times]
    assert not any(early)
    assert last == {"a": {"x": PresenceChange(0, 0, 2, [], [])}}
    assert membership.nodes == 0


def test_no_node_is_removed_after_this_process_was_suspended() -> None:
    membership = with_snapshot(x=2)
    assert membership.remove_silent(60.0) == {}
    assert membership.members("x") == 2


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 5), st.booleans()), max_size=30)
)
def test_a_snapshot_corrects_the_counts_after_any_losses(steps: list[tuple[str, str, int, bool]]) -> None:
    """Each step: a node, a room, its new number of members, and whether the message about it arrives."""
    membership = RemoteMembership(0.0)
    actual: dict[str, dict[str, int]] = {"a": {}, "b": {}}
    numbers: Counter[str] = Counter()
    for node, room, members, arrives in steps:
        actual[node][room] = members
        numbers[node] += 1
        if arrives:
            membership.apply_presence(presence(node, numbers[node], **{room: members}), 0.0)
    for node, rooms in actual.items():
        membership.apply_snapshot(Snapshot(node, numbers[node], 0, 1, {r: n for r, n in rooms.items() if n}), 0.0)
        assert membership.apply_heartbeat(Heartbeat(node, numbers[node], 0, 0.0), 0.0)
    for room in "xyz":
        assert membership.members(room) == sum(rooms.get(room, 0) for rooms in actual.values())


def test_the_figures_of_the_last_heartbeats_are_added_up() -> None:
    membership = RemoteMembership(0.0)
    assert (membership.connections, membership.messages_per_second, membership.nodes) == (0, 0.0, 0)
    for node, connections, rate in [("a", 10, 1.5), ("b", 20, 2.0), ("b", 30, 4.0)]:
        membership.apply_heartbeat(Heartbeat(node, 0, connections, rate), 0.0)
    assert (membership.connections, membership.messages_per_second, membership.nodes) == (40, 5.5, 2)
    assert "a" in membership
    membership.remove("a")
    assert (membership.connections, membership.messages_per_second, membership.nodes) == (30, 4.0, 1)
    assert "a" not in membership


def test_a_presence_message_with_an_earlier_number_is_stale() -> None:
    membership = RemoteMembership(0.0)
    assert not membership.is_stale(presence("a", 0)), "no message of it was applied yet"
    membership.apply_presence(presence("a", 5), 0.0)
    assert [membership.is_stale(presence("a", number)) for number in (4, 5, 6)] == [True, True, False]
    assert not membership.is_stale(presence("b", 5))


def test_consecutive_numbers_without_a_snapshot_do_not_make_a_node_complete() -> None:
    membership = RemoteMembership(0.0)
    assert not membership.apply_presence(presence("a", 1, x=1), 0.0)
    assert not membership.apply_presence(presence("a", 2, x=2), 0.0)
    assert not membership.apply_heartbeat(Heartbeat("a", 2, 0, 0.0), 0.0)
    membership.apply_snapshot(Snapshot("a", 2, 0, 1, {"x": 2}), 0.0)
    assert membership.apply_heartbeat(Heartbeat("a", 2, 0, 0.0), 0.0)
    assert not membership.apply_heartbeat(Heartbeat("a", 3, 0, 0.0), 0.0)
    assert not membership.apply_presence(presence("a", 2, x=3), 0.0), "a number must not be used twice"


def test_every_kind_of_message_resets_the_timeout() -> None:
    membership = with_snapshot(x=1)
    for number, now in enumerate(each_heartbeat(30.0)):
        if number % 8 == 1:
            membership.apply_heartbeat(Heartbeat("a", 0, 0, 0.0), now)
        elif number % 8 == 4:
            membership.apply_presence(presence("a", number, x=1), now)
        elif number % 8 == 7:
            membership.apply_snapshot(Snapshot("a", number, 0, 2, {}), now)
        assert membership.remove_silent(now) == {}


def test_one_call_per_heartbeat_interval_is_no_suspend() -> None:
    membership = with_snapshot(x=2)
    membership.apply_snapshot(Snapshot("b", 0, 0, 1, {"x": 1}), 0.0)
    membership.apply_heartbeat(Heartbeat("b", 0, 0, 0.0), HEARTBEAT_SECONDS)
    removed = [membership.remove_silent(now) for now in each_heartbeat(TIMEOUT + HEARTBEAT_SECONDS)]
    assert removed == [
        {},
        {},
        {"a": {"x": PresenceChange(0, 0, 2, [], [])}},
        {"b": {"x": PresenceChange(0, 0, 1, [], [])}},
    ]


def test_after_a_suspend_each_node_has_its_full_timeout_again() -> None:
    membership = with_snapshot(x=2)
    start = 60.0
    assert membership.remove_silent(start) == {}
    assert [bool(membership.remove_silent(start + now)) for now in each_heartbeat(TIMEOUT)] == [False, False, True]


def test_a_snapshot_returns_who_joined_and_left_meanwhile() -> None:
    membership = with_snapshot(same=1, fewer=5, more=2, gone=3)
    assert membership.take_room_states() == dict.fromkeys(["same", "fewer", "more", "gone"], True)
    changes = membership.apply_snapshot(Snapshot("a", 9, 0, 1, {"same": 1, "fewer": 1, "more": 4, "fresh": 6}), 0.0)
    assert changes == {
        "fewer": PresenceChange(1, 0, 4, [], []),
        "more": PresenceChange(4, 2, 0, [], []),
        "gone": PresenceChange(0, 0, 3, [], []),
        "fresh": PresenceChange(6, 6, 0, [], []),
    }
    assert membership.take_room_states() == {"gone": False, "fresh": True}
    assert {room: membership.members(room) for room in membership.rooms} == {
        "same": 1,
        "fewer": 1,
        "more": 4,
        "fresh": 6,
    }


def test_the_same_snapshot_may_arrive_twice() -> None:
    membership = RemoteMembership(0.0)
    parts = [Snapshot("a", 4, 0, 2, {"x": 1}), Snapshot("a", 4, 1, 2, {"y": 1})]
    assert [set(membership.apply_snapshot(part, 0.0)) for part in [*parts, *parts]] == [set(), {"x", "y"}, set(), set()]
    assert membership.apply_heartbeat(Heartbeat("a", 4, 0, 0.0), 0.0)


def test_an_old_snapshot_does_not_make_its_node_complete() -> None:
    membership = RemoteMembership(0.0)
    membership.apply_presence(presence("a", 5, x=9), 0.0)
    membership.apply_snapshot(Snapshot("a", 4, 0, 1, {}), 0.0)
    assert not membership.apply_heartbeat(Heartbeat("a", 5, 0, 0.0), 0.0)
    assert not membership.apply_heartbeat(Heartbeat("a", 4, 0, 0.0), 0.0)


def test_an_empty_room_is_counted_from_zero_again() -> None:
    membership = with_snapshot("a", x=1)
    membership.apply_snapshot(Snapshot("b", 0, 0, 1, {"x": 1}), 0.0)
    counts = []
    for number, members in enumerate([0, 0, 2], start=1):
        membership.apply_presence(presence("a", number, x=members, never=0), 0.0)
        counts.append(membership.members("x"))
    assert counts == [1, 1, 3]
    assert list(membership.rooms) == ["x"]
