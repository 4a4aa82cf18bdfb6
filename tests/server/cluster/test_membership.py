"""What is known of other nodes' members, whatever gets lost on the way."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from server.chat.relay import Change
from server.cluster.membership import BEAT_SECONDS, BEATS_MISSED, Elsewhere
from server.cluster.messages import Beat, Presence, Snapshot

PATIENCE = BEATS_MISSED * BEAT_SECONDS


def presence(node: str, number: int, **members: int) -> Presence:
    return Presence(node, number, {room: Change(count, 0, 0, [], []) for room, count in members.items()})


def known(node: str = "a", **members: int) -> Elsewhere:
    elsewhere = Elsewhere(0.0)
    elsewhere.take_snapshot(Snapshot(node, 0, 0, 1, members), 0.0)
    return elsewhere


def each_beat(until: float) -> list[float]:
    """Return the moments at which one looks for silent nodes, as seldom as one may."""
    return [BEAT_SECONDS * number for number in range(1, 1 + int(until / BEAT_SECONDS))]


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


def test_what_the_other_nodes_last_told_of_themselves_is_added_up() -> None:
    elsewhere = Elsewhere(0.0)
    assert (elsewhere.connections, elsewhere.messages_per_second, elsewhere.nodes) == (0, 0.0, 0)
    for node, connections, rate in [("a", 10, 1.5), ("b", 20, 2.0), ("b", 30, 4.0)]:
        elsewhere.take_beat(Beat(node, 0, connections, rate), 0.0)
    assert (elsewhere.connections, elsewhere.messages_per_second, elsewhere.nodes) == (40, 5.5, 2)
    assert "a" in elsewhere
    elsewhere.forget("a")
    assert (elsewhere.connections, elsewhere.messages_per_second, elsewhere.nodes) == (30, 4.0, 1)
    assert "a" not in elsewhere


def test_what_a_node_said_before_what_is_known_of_it_is_late() -> None:
    elsewhere = Elsewhere(0.0)
    assert not elsewhere.is_late(presence("a", 0)), "nothing is known of it yet"
    elsewhere.take_presence(presence("a", 5), 0.0)
    assert [elsewhere.is_late(presence("a", number)) for number in (4, 5, 6)] == [True, True, False]
    assert not elsewhere.is_late(presence("b", 5))


def test_a_node_whose_snapshot_was_never_heard_is_not_in_step_by_its_numbers_alone() -> None:
    elsewhere = Elsewhere(0.0)
    assert not elsewhere.take_presence(presence("a", 1, x=1), 0.0)
    assert not elsewhere.take_presence(presence("a", 2, x=2), 0.0)
    assert not elsewhere.take_beat(Beat("a", 2, 0, 0.0), 0.0)
    elsewhere.take_snapshot(Snapshot("a", 2, 0, 1, {"x": 2}), 0.0)
    assert elsewhere.take_beat(Beat("a", 2, 0, 0.0), 0.0)
    assert not elsewhere.take_beat(Beat("a", 3, 0, 0.0), 0.0)
    assert not elsewhere.take_presence(presence("a", 2, x=3), 0.0), "a number must not come twice"


def test_a_node_that_is_heard_in_any_way_is_not_silent() -> None:
    elsewhere = known(x=1)
    for number, now in enumerate(each_beat(30.0)):
        if number % 8 == 1:
            elsewhere.take_beat(Beat("a", 0, 0, 0.0), now)
        elif number % 8 == 4:
            elsewhere.take_presence(presence("a", number, x=1), now)
        elif number % 8 == 7:
            elsewhere.take_snapshot(Snapshot("a", number, 0, 2, {}), now)
        assert elsewhere.forget_silent(now) == {}


def test_who_looks_once_a_beat_was_not_asleep() -> None:
    elsewhere = known(x=2)
    elsewhere.take_snapshot(Snapshot("b", 0, 0, 1, {"x": 1}), 0.0)
    elsewhere.take_beat(Beat("b", 0, 0, 0.0), BEAT_SECONDS)
    found = [elsewhere.forget_silent(now) for now in each_beat(PATIENCE + BEAT_SECONDS)]
    assert found == [{}, {}, {"a": {"x": Change(0, 0, 2, [], [])}}, {"b": {"x": Change(0, 0, 1, [], [])}}]


def test_after_a_sleep_each_node_has_all_of_its_time_again() -> None:
    elsewhere = known(x=2)
    start = 60.0
    assert elsewhere.forget_silent(start) == {}
    assert [bool(elsewhere.forget_silent(start + now)) for now in each_beat(PATIENCE)] == [False, False, True]


def test_a_snapshot_brings_to_light_what_came_and_what_went() -> None:
    elsewhere = known(same=1, fewer=5, more=2, gone=3)
    assert elsewhere.take_turned() == dict.fromkeys(["same", "fewer", "more", "gone"], True)
    changes = elsewhere.take_snapshot(Snapshot("a", 9, 0, 1, {"same": 1, "fewer": 1, "more": 4, "fresh": 6}), 0.0)
    assert changes == {
        "fewer": Change(1, 0, 4, [], []),
        "more": Change(4, 2, 0, [], []),
        "gone": Change(0, 0, 3, [], []),
        "fresh": Change(6, 6, 0, [], []),
    }
    assert elsewhere.take_turned() == {"gone": False, "fresh": True}
    assert {room: elsewhere.members(room) for room in elsewhere.rooms} == {"same": 1, "fewer": 1, "more": 4, "fresh": 6}


def test_the_same_snapshot_may_come_twice() -> None:
    elsewhere = Elsewhere(0.0)
    parts = [Snapshot("a", 4, 0, 2, {"x": 1}), Snapshot("a", 4, 1, 2, {"y": 1})]
    assert [set(elsewhere.take_snapshot(part, 0.0)) for part in [*parts, *parts]] == [set(), {"x", "y"}, set(), set()]
    assert elsewhere.take_beat(Beat("a", 4, 0, 0.0), 0.0)


def test_an_overtaken_snapshot_does_not_make_its_node_known() -> None:
    elsewhere = Elsewhere(0.0)
    elsewhere.take_presence(presence("a", 5, x=9), 0.0)
    elsewhere.take_snapshot(Snapshot("a", 4, 0, 1, {}), 0.0)
    assert not elsewhere.take_beat(Beat("a", 5, 0, 0.0), 0.0)
    assert not elsewhere.take_beat(Beat("a", 4, 0, 0.0), 0.0)


def test_a_room_that_emptied_is_counted_from_zero_again() -> None:
    elsewhere = known("a", x=1)
    elsewhere.take_snapshot(Snapshot("b", 0, 0, 1, {"x": 1}), 0.0)
    counts = []
    for number, members in enumerate([0, 0, 2], start=1):
        elsewhere.take_presence(presence("a", number, x=members, never=0), 0.0)
        counts.append(elsewhere.members("x"))
    assert counts == [1, 1, 3]
    assert list(elsewhere.rooms) == ["x"]
