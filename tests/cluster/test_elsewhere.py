"""What is known of other nodes' members, whatever gets lost on the way."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from server.bus_messages import Beat, Change, Presence, Snapshot
from server.elsewhere import BEAT_SECONDS, BEATS_MISSED, Elsewhere

PATIENCE = BEATS_MISSED * BEAT_SECONDS


def presence(node: str, number: int, **members: int) -> Presence:
    return Presence(node, number, {room: Change(count, 0, 0, [], []) for room, count in members.items()})


def known(node: str = "a", **members: int) -> Elsewhere:
    elsewhere = Elsewhere(0.0)
    elsewhere.take_snapshot(Snapshot(node, 0, 0, 1, members), 0.0)
    return elsewhere


def test_members_of_all_nodes_are_added_up() -> None:
    elsewhere = known("a", x=2)
    elsewhere.take_snapshot(Snapshot("b", 7, 0, 1, {"x": 3, "y": 1}), 0.0)
    assert (elsewhere.members("x"), elsewhere.members("y"), elsewhere.members("z")) == (5, 1, 0)
    assert sorted(elsewhere.rooms) == ["x", "y"]


def test_changes_in_step_need_nothing_more() -> None:
    elsewhere = known(x=1)
    assert elsewhere.take_presence(presence("a", 1, x=2), 0.0)
    assert elsewhere.take_presence(presence("a", 2, x=0), 0.0)
    assert elsewhere.members("x") == 0
    assert list(elsewhere.rooms) == []


def test_a_gap_is_noticed_and_stays_noticed_until_a_snapshot_comes() -> None:
    elsewhere = known(x=1)
    assert not elsewhere.take_presence(presence("a", 2, x=5), 0.0)
    assert not elsewhere.take_presence(presence("a", 3, x=6), 0.0)
    assert elsewhere.members("x") == 6
    changes = elsewhere.take_snapshot(Snapshot("a", 3, 0, 1, {"x": 6, "y": 2}), 0.0)
    assert changes == {"y": Change(2, 2, 0, [], [])}
    assert elsewhere.take_presence(presence("a", 4, x=7), 0.0)


def test_a_node_never_heard_of_is_asked_for_the_whole() -> None:
    elsewhere = Elsewhere(0.0)
    assert not elsewhere.take_presence(presence("a", 1, x=1), 0.0)
    assert not elsewhere.take_beat(Beat("b", 0, 10, 1.5), 0.0)
    assert elsewhere.connections == 10
    assert elsewhere.messages_per_second == 1.5


def test_a_beat_shows_what_was_missed_in_silence() -> None:
    elsewhere = known(x=1)
    assert elsewhere.take_beat(Beat("a", 0, 1, 0.0), 0.0)
    assert not elsewhere.take_beat(Beat("a", 1, 1, 0.0), 0.0)


def test_a_snapshot_counts_when_all_its_parts_are_there() -> None:
    elsewhere = Elsewhere(0.0)
    assert elsewhere.take_snapshot(Snapshot("a", 4, 1, 2, {"y": 1}), 0.0) == {}
    assert elsewhere.members("y") == 0
    assert set(elsewhere.take_snapshot(Snapshot("a", 4, 0, 2, {"x": 1}), 0.0)) == {"x", "y"}


def test_parts_of_two_snapshots_are_never_mixed() -> None:
    elsewhere = Elsewhere(0.0)
    elsewhere.take_snapshot(
        Snapshot("a", 5, 0, 2, {"x": 1}), 0.0
    )  # its other part, and the first of the next, are lost
    elsewhere.take_snapshot(Snapshot("a", 5, 1, 3, {"y": 1}), 0.0)
    assert elsewhere.take_snapshot(Snapshot("a", 5, 2, 3, {"z": 1}), 0.0) == {}
    assert set(elsewhere.take_snapshot(Snapshot("a", 5, 0, 3, {"w": 1}), 0.0)) == {"w", "y", "z"}


def test_a_room_that_opens_and_closes_between_two_looks_has_not_changed() -> None:
    elsewhere = Elsewhere(0.0)
    elsewhere.take_presence(presence("a", 1, x=1), 0.0)
    elsewhere.take_presence(presence("a", 2, x=0), 0.0)
    assert elsewhere.take_turned() == {}
    elsewhere.take_presence(presence("a", 3, x=1), 0.0)
    assert elsewhere.take_turned() == {"x": True}
    elsewhere.take_presence(presence("a", 4, x=0), 0.0)
    elsewhere.take_presence(presence("b", 1, x=2), 0.0)
    assert elsewhere.take_turned() == {}
    elsewhere.take_presence(presence("b", 2, x=0), 0.0)
    assert elsewhere.take_turned() == {"x": False}


def test_a_snapshot_that_changes_have_overtaken_is_not_believed() -> None:
    elsewhere = Elsewhere(0.0)
    elsewhere.take_presence(presence("a", 5, x=9), 0.0)
    assert elsewhere.take_snapshot(Snapshot("a", 4, 0, 1, {"x": 1}), 0.0) == {}
    assert elsewhere.members("x") == 9


def test_a_node_that_says_goodbye_takes_its_members_along() -> None:
    assert known(x=2).forget("a") == {"x": Change(0, 0, 2, [], [])}
    assert Elsewhere(0.0).forget("nobody") == {}


def test_a_silent_node_is_forgotten_after_three_beats_and_not_before() -> None:
    elsewhere = known(x=2)
    looks = [quarter / 4 for quarter in range(1, int(4 * PATIENCE) + 1)]
    *early, last = [elsewhere.forget_silent(now) for now in looks]
    assert not any(early)
    assert last == {"a": {"x": Change(0, 0, 2, [], [])}}
    assert elsewhere.nodes == 0


def test_whoever_slept_itself_forgets_nobody_for_it() -> None:
    elsewhere = known(x=2)
    assert elsewhere.forget_silent(60.0) == {}
    assert elsewhere.members("x") == 2


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 5), st.booleans()), max_size=30)
)
def test_after_a_snapshot_all_is_right_whatever_was_lost(story: list[tuple[str, str, int, bool]]) -> None:
    """Each entry: a node has so many members of a room now, and its message about it arrives or not."""
    elsewhere = Elsewhere(0.0)
    truth: dict[str, dict[str, int]] = {"a": {}, "b": {}}
    numbers: Counter[str] = Counter()
    for node, room, members, arrives in story:
        truth[node][room] = members
        numbers[node] += 1
        if arrives:
            elsewhere.take_presence(presence(node, numbers[node], **{room: members}), 0.0)
    for node, rooms in truth.items():
        elsewhere.take_snapshot(Snapshot(node, numbers[node], 0, 1, {r: n for r, n in rooms.items() if n}), 0.0)
        assert elsewhere.take_beat(Beat(node, numbers[node], 0, 0.0), 0.0)
    for room in "xyz":
        assert elsewhere.members(room) == sum(rooms.get(room, 0) for rooms in truth.values())
