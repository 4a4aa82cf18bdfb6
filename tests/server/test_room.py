"""A room's outbox: one write per member and tick, whole messages, in one order, and exact counts."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.room import CLOSED, DIRECT_MEMBERS, SLICE_MEMBERS, SLOW, Room
from server.stats import ServerStats
from server.tick import Tick

if TYPE_CHECKING:
    from collections.abc import Callable

KIND = "chatMessage"


class Member:
    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.trouble = ""

    def write(self, data: bytes) -> str:
        if not self.trouble:
            self.writes.append(data)
        return self.trouble

    def push(self, data: bytes) -> str:
        assert self.trouble == SLOW
        self.writes.append(data)
        return ""


class EndedByHand(Tick):
    """A tick that ends when one says so."""

    def __init__(self) -> None:
        super().__init__(lambda _callback: None, lambda: 0.0)
        self.callbacks: deque[Callable[[], None]] = deque()

    def at_end(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def end(self) -> None:
        while self.callbacks:
            self.callbacks.popleft()()


def make_room(
    members: int, clock: Callable[[], float] = lambda: 1.0
) -> tuple[Room, list[Member], EndedByHand, ServerStats]:
    tick, stats = EndedByHand(), ServerStats()
    room = Room("r", stats, tick, clock)
    everyone = [Member() for _ in range(members)]
    for member in everyone:
        room.add(member)
    return room, everyone, tick, stats


@pytest.mark.parametrize("members", [1, DIRECT_MEMBERS])
def test_a_few_are_told_at_once_and_nobody_is_asked_for_the_end_of_the_tick(members: int) -> None:
    room, (ann, *others), tick, stats = make_room(members)
    room.publish(KIND, b"a", 0.5, author=ann)
    room.publish(KIND, b"b", 0.5)
    assert ann.writes == [b"b"]
    assert all(other.writes == [b"a", b"b"] for other in others)
    assert not tick.callbacks
    assert not room.pending
    assert stats.messages_delivered[KIND] == stats.fanout_recipients.total == 2 * members - 1
    assert sum(stats.fanout_duration.counts) == sum(stats.fanout_recipients.counts) == 2


def test_what_comes_at_once_is_joined_for_a_few_too() -> None:
    room, (ann, bob), tick, _ = make_room(2)
    tick.is_crowded = True
    room.publish(KIND, b"a", 0.5, author=ann)
    room.publish(KIND, b"b", 0.5, author=ann)
    tick.is_crowded = False
    room.publish(KIND, b"c", 0.5, author=ann)
    assert bob.writes == []
    tick.end()
    assert bob.writes == [b"abc"]


def test_what_waits_for_the_end_of_the_tick_is_not_overtaken_when_a_room_has_become_small() -> None:
    room, members, tick, _ = make_room(DIRECT_MEMBERS + 1)
    room.publish(KIND, b"a", 0.5)
    room.remove(members[-1])
    room.publish(KIND, b"b", 0.5)
    assert members[0].writes == []
    tick.end()
    room.publish(KIND, b"c", 0.5)
    assert all(member.writes == [b"ab", b"c"] for member in members[:-1])
    assert members[-1].writes == [b"a"]


def test_messages_of_one_tick_reach_each_member_in_one_write() -> None:
    room, members, tick, _ = make_room(DIRECT_MEMBERS + 1)
    for frame in (b"a", b"b", b"c"):
        room.publish(KIND, frame, 0.5)
    assert all(not member.writes for member in members)
    tick.end()
    assert all(member.writes == [b"abc"] for member in members)


def test_an_author_gets_everything_but_its_own() -> None:
    room, (ann, bob, *others), tick, stats = make_room(DIRECT_MEMBERS + 1)
    room.publish(KIND, b"a1", 0.5, author=ann)
    room.publish(KIND, b"b1", 0.5, author=bob)
    room.publish(KIND, b"a2", 0.5, author=ann)
    tick.end()
    assert (ann.writes, bob.writes) == ([b"b1"], [b"a1a2"])
    assert all(other.writes == [b"a1b1a2"] for other in others)
    assert stats.messages_delivered[KIND] == 3 * DIRECT_MEMBERS
    assert stats.fanout_recipients.total == 3 * DIRECT_MEMBERS


def test_an_author_alone_is_written_nothing() -> None:
    room, (ann,), tick, stats = make_room(1)
    room.publish(KIND, b"a", 0.5, author=ann)
    tick.end()
    assert ann.writes == []
    assert stats.messages_delivered[KIND] == 0


@pytest.mark.parametrize("members", [2, DIRECT_MEMBERS + 1])
def test_a_member_whose_transport_is_gone_stops_nobody_and_is_counted(members: int) -> None:
    room, (ann, bob, *others), tick, stats = make_room(members)
    bob.trouble = CLOSED
    room.publish(KIND, b"a", 0.5, author=ann)
    room.publish(KIND, b"b", 0.5, author=bob)
    tick.end()
    assert (b"".join(ann.writes), bob.writes) == (b"b", [])
    assert all(b"".join(other.writes) == b"ab" for other in others)
    assert stats.messages_delivered[KIND] == 2 * (members - 1) - 1
    assert stats.messages_dropped[KIND, "closed"] == 1


def test_a_newcomer_never_sees_older_messages_and_a_leaver_sees_them_all() -> None:
    room, (ann, bob, *_), tick, _ = make_room(DIRECT_MEMBERS + 1)
    room.publish(KIND, b"before", 0.5)
    newcomer = Member()
    room.add(newcomer)
    room.publish(KIND, b"between", 0.5)
    room.remove(bob)
    room.publish(KIND, b"after", 0.5)
    tick.end()
    assert ann.writes == [b"before", b"betweenafter"]
    assert bob.writes == [b"before", b"between"]
    assert newcomer.writes == [b"betweenafter"]


def test_the_time_from_receipt_to_the_last_write_is_counted_for_each_message() -> None:
    room, _, tick, stats = make_room(2)
    room.publish(KIND, b"a", 0.75)
    room.publish(KIND, b"b", 0.5)
    tick.end()
    assert stats.fanout_duration.total == 0.25 + 0.5
    assert sum(stats.fanout_duration.counts) == 2


@pytest.mark.parametrize("members", [2, DIRECT_MEMBERS + 1])
def test_a_member_that_is_behind_gets_whole_messages_without_what_is_ephemeral(members: int) -> None:
    room, (ann, bob, *others), tick, stats = make_room(members)
    bob.trouble = SLOW
    room.publish("userTyping", b"t", 0.5, author=ann)
    room.publish(KIND, b"a", 0.5, author=ann)
    room.publish(KIND, b"b", 0.5, author=bob)
    room.publish("userJoined", b"j", 0.5)
    tick.end()
    assert (b"".join(ann.writes), bob.writes) == (b"bj", [b"a"])
    assert all(b"".join(other.writes) == b"tabj" for other in others)
    assert stats.messages_dropped["userTyping", "slow"] == stats.messages_dropped["userJoined", "slow"] == 1
    assert stats.messages_delivered["userTyping"] == members - 2
    assert stats.messages_delivered["userJoined"] == members - 1


LARGE = SLICE_MEMBERS + 100


def slow_clock() -> Callable[[], float]:
    """Return a clock that moves on by a slice's time whenever it is read."""
    now = 0.0

    def read() -> float:
        nonlocal now
        now += 0.01
        return now

    return read


def test_a_large_room_is_flushed_in_slices_with_turns_for_others_between() -> None:
    room, members, tick, stats = make_room(LARGE, slow_clock())
    room.publish(KIND, b"a", 0.0)
    slices = 0
    while tick.callbacks:
        tick.callbacks.popleft()()
        slices += 1
    assert slices > 5
    assert all(member.writes == [b"a"] for member in members)
    assert stats.messages_delivered[KIND] == LARGE
    assert sum(stats.fanout_duration.counts) == 1


def test_order_and_membership_hold_while_a_large_room_is_half_told() -> None:
    room, members, tick, stats = make_room(LARGE, slow_clock())
    room.publish(KIND, b"1", 0.0)
    tick.callbacks.popleft()()  # the first slice
    room.publish(KIND, b"2", 0.0, author=members[5])
    newcomer = Member()
    room.add(newcomer)
    room.publish(KIND, b"3", 0.0)
    room.catch_up(newcomer)
    assert newcomer.writes == [b"3"]
    room.remove(members[0])
    assert b"".join(members[0].writes) == b"123"
    room.publish(KIND, b"4", 0.0)
    tick.end()
    assert b"".join(newcomer.writes) == b"34"
    assert b"".join(members[0].writes) == b"123"
    assert b"".join(members[5].writes) == b"134"
    assert all(b"".join(member.writes) == b"1234" for member in members[6:])
    assert stats.messages_delivered[KIND] == LARGE * 2 - 1 + LARGE + 1 + LARGE
    assert not room.pending


actions = st.one_of(
    st.tuples(st.just("say"), st.integers(0, 4)),
    st.tuples(st.just("announce"), st.just(0)),
    st.tuples(st.just("leave"), st.integers(0, 4)),
    st.tuples(st.just("return"), st.integers(0, 4)),
    st.tuples(st.just("tick"), st.just(0)),
)


@given(st.lists(actions, max_size=40))
def test_everyone_sees_exactly_what_was_said_while_they_were_in_in_one_order(steps: list[tuple[str, int]]) -> None:
    room, members, tick, stats = make_room(5)
    inside = set(range(5))
    expected: list[list[str]] = [[] for _ in members]
    for number, (action, who) in enumerate(steps):
        frame = f"<{number}>"
        if action == "say" and who in inside:
            room.publish(KIND, frame.encode(), 0.5, author=members[who])
            for other in inside - {who}:
                expected[other].append(frame)
        elif action == "announce":
            room.publish(KIND, frame.encode(), 0.5)
            for other in inside:
                expected[other].append(frame)
        elif action == "leave" and who in inside:
            room.remove(members[who])
            inside.remove(who)
        elif action == "return" and who not in inside:
            room.add(members[who])
            inside.add(who)
        elif action == "tick":
            tick.end()
    tick.end()
    assert [b"".join(member.writes).decode() for member in members] == ["".join(frames) for frames in expected]
    assert stats.messages_delivered[KIND] == sum(map(len, expected))


def test_many_who_leave_in_one_tick_cost_the_others_one_write() -> None:
    room, members, tick, _ = make_room(50)
    for leaver in members[1:]:
        room.remove(leaver)
        room.publish("userLeft", b"l", 0.5)
    tick.end()
    assert members[0].writes == [b"l" * 49]
    assert [b"".join(leaver.writes) for leaver in members[1:]] == [b"l" * n for n in range(49)]
