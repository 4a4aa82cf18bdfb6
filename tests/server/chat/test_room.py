"""A room's outbox: one write per member and loop iteration, whole messages in one order, exact counters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.chat.member import CLOSED, SENT, SLOW
from server.chat.room import DIRECT_MEMBERS, SLICE_MEMBERS
from tests.server.chat.room_helpers import KIND, LARGE, FakeMember, make_room, slow_clock

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("members", [1, DIRECT_MEMBERS])
def test_a_message_to_a_small_room_is_written_at_once_without_a_callback(members: int) -> None:
    room, (ann, *others), scheduler, stats = make_room(members)
    room.publish(KIND, b"a", 0.5, author=ann)
    room.publish(KIND, b"b", 0.5)
    assert ann.writes == [b"b"]
    assert all(other.writes == [b"a", b"b"] for other in others)
    assert not scheduler.callbacks
    assert not room.pending
    assert stats.messages_delivered[KIND] == stats.fanout_recipients.total == 2 * members - 1
    assert sum(stats.fanout_duration.counts) == sum(stats.fanout_recipients.counts) == 2


def test_messages_received_together_are_joined_in_a_small_room_too() -> None:
    room, (ann, bob), scheduler, _ = make_room(2)
    room.publish(KIND, b"a", 0.5, author=ann, in_batch=True)
    room.publish(KIND, b"b", 0.5, author=ann, in_batch=True)
    room.publish(KIND, b"c", 0.5, author=ann)
    assert bob.writes == []
    scheduler.end()
    assert bob.writes == [b"abc"]


def test_waiting_messages_are_not_overtaken_after_a_room_has_become_small() -> None:
    room, members, scheduler, _ = make_room(DIRECT_MEMBERS + 1)
    room.publish(KIND, b"a", 0.5)
    room.remove(members[-1])
    room.publish(KIND, b"b", 0.5)
    assert members[0].writes == []
    scheduler.end()
    room.publish(KIND, b"c", 0.5)
    assert all(member.writes == [b"ab", b"c"] for member in members[:-1])
    assert members[-1].writes == [b"a"]


def test_messages_of_one_iteration_reach_each_member_in_one_write() -> None:
    room, members, scheduler, _ = make_room(DIRECT_MEMBERS + 1)
    for frame in (b"a", b"b", b"c"):
        room.publish(KIND, frame, 0.5)
    assert all(not member.writes for member in members)
    scheduler.end()
    assert all(member.writes == [b"abc"] for member in members)


def test_an_author_receives_all_messages_but_its_own() -> None:
    room, (ann, bob, *others), scheduler, stats = make_room(DIRECT_MEMBERS + 1)
    room.publish(KIND, b"a1", 0.5, author=ann)
    room.publish(KIND, b"b1", 0.5, author=bob)
    room.publish(KIND, b"a2", 0.5, author=ann)
    scheduler.end()
    assert (ann.writes, bob.writes) == ([b"b1"], [b"a1a2"])
    assert all(other.writes == [b"a1b1a2"] for other in others)
    assert stats.messages_delivered[KIND] == 3 * DIRECT_MEMBERS
    assert stats.fanout_recipients.total == 3 * DIRECT_MEMBERS


def test_an_author_alone_in_a_room_receives_nothing() -> None:
    room, (ann,), scheduler, stats = make_room(1)
    room.publish(KIND, b"a", 0.5, author=ann)
    scheduler.end()
    assert ann.writes == []
    assert stats.messages_delivered[KIND] == 0


@pytest.mark.parametrize("members", [2, DIRECT_MEMBERS + 1])
def test_a_closed_member_does_not_stop_the_others_and_is_counted(members: int) -> None:
    room, (ann, bob, *others), scheduler, stats = make_room(members)
    bob.result = CLOSED
    room.publish(KIND, b"a", 0.5, author=ann)
    room.publish(KIND, b"b", 0.5, author=bob)
    scheduler.end()
    assert (b"".join(ann.writes), bob.writes) == (b"b", [])
    assert all(b"".join(other.writes) == b"ab" for other in others)
    assert stats.messages_delivered[KIND] == 2 * (members - 1) - 1
    assert stats.messages_dropped[KIND, "closed"] == 1


def test_a_new_member_receives_no_older_messages_and_a_leaving_one_receives_them_all() -> None:
    room, (ann, bob, *_), scheduler, _ = make_room(DIRECT_MEMBERS + 1)
    room.publish(KIND, b"before", 0.5)
    newcomer = FakeMember()
    room.add(newcomer)
    room.publish(KIND, b"between", 0.5)
    room.remove(bob)
    room.publish(KIND, b"after", 0.5)
    scheduler.end()
    assert b"".join(ann.writes) == b"beforebetweenafter"
    assert b"".join(bob.writes) == b"beforebetween"
    assert newcomer.writes == [b"betweenafter"]


def test_each_message_is_timed_from_receipt_to_the_last_write() -> None:
    room, _, scheduler, stats = make_room(2)
    room.publish(KIND, b"a", 0.75)
    room.publish(KIND, b"b", 0.5)
    scheduler.end()
    assert stats.fanout_duration.total == 0.25 + 0.5
    assert sum(stats.fanout_duration.counts) == 2


@pytest.mark.parametrize("members", [2, DIRECT_MEMBERS + 1])
def test_a_slow_member_gets_whole_messages_without_ephemeral_ones(members: int) -> None:
    room, (ann, bob, *others), scheduler, stats = make_room(members)
    bob.result = SLOW
    room.publish("userTyping", b"t", 0.5, author=ann)
    room.publish(KIND, b"a", 0.5, author=ann)
    room.publish(KIND, b"b", 0.5, author=bob)
    room.publish("userJoined", b"j", 0.5)
    scheduler.end()
    assert (b"".join(ann.writes), bob.writes) == (b"bj", [b"a"])
    assert all(b"".join(other.writes) == b"tabj" for other in others)
    assert stats.messages_dropped["userTyping", "slow"] == stats.messages_dropped["userJoined", "slow"] == 1
    assert stats.messages_delivered["userTyping"] == members - 2
    assert stats.messages_delivered["userJoined"] == members - 1


def test_a_large_room_is_flushed_in_slices() -> None:
    room, members, scheduler, stats = make_room(LARGE, slow_clock())
    room.publish(KIND, b"a", 0.0)
    slices = 0
    while scheduler.callbacks:
        scheduler.callbacks.popleft()()
        slices += 1
    assert slices > 5
    assert all(member.writes == [b"a"] for member in members)
    assert stats.messages_delivered[KIND] == LARGE
    assert sum(stats.fanout_duration.counts) == 1


def test_order_and_membership_hold_between_two_slices() -> None:
    room, members, scheduler, stats = make_room(LARGE, slow_clock())
    room.publish(KIND, b"1", 0.0)
    scheduler.callbacks.popleft()()  # the first slice
    room.publish(KIND, b"2", 0.0, author=members[5])
    newcomer = FakeMember()
    room.add(newcomer)
    room.publish(KIND, b"3", 0.0)
    room.flush_to(newcomer)
    assert newcomer.writes == [b"3"]
    room.remove(members[0])
    assert b"".join(members[0].writes) == b"123"
    room.publish(KIND, b"4", 0.0)
    scheduler.end()
    assert b"".join(newcomer.writes) == b"34"
    assert b"".join(members[0].writes) == b"123"
    assert b"".join(members[5].writes) == b"134"
    assert all(b"".join(member.writes) == b"1234" for member in members[6:])
    assert stats.messages_delivered[KIND] == LARGE * 2 - 1 + LARGE + 1 + LARGE
    assert not room.pending


def test_a_room_that_shrinks_below_the_slice_size_between_slices_keeps_its_order() -> None:
    room, members, scheduler, stats = make_room(LARGE, slow_clock())
    room.publish(KIND, b"1", 0.0)
    scheduler.callbacks.popleft()()  # the first slice
    not_served = [member for member in members if not member.writes]
    assert not_served, "the slice served everyone"
    room.publish(KIND, b"2", 0.0)
    leaving = set(members[: LARGE - SLICE_MEMBERS + 50])
    for leaver in leaving:
        room.remove(leaver)
    assert len(room) < SLICE_MEMBERS
    room.publish(KIND, b"3", 0.0)
    room.flush()
    scheduler.end()
    for member in members:
        assert b"".join(member.writes) == (b"12" if member in leaving else b"123")
    assert stats.messages_delivered[KIND] == 2 * LARGE + len(room)
    assert not room.pending


@pytest.mark.parametrize("members", [20, LARGE])
def test_flushing_to_one_member_costs_no_writes_to_the_others(members: int) -> None:
    room, everyone, scheduler, stats = make_room(members, slow_clock())
    for number in range(50):
        room.publish(KIND, b"<%d>" % number, 0.0)
        room.flush_to(everyone[0])
    assert len(everyone[0].writes) == 50
    assert not any(member.writes for member in everyone[1:])
    scheduler.end()
    expected = b"".join(b"<%d>" % number for number in range(50))
    assert all(b"".join(member.writes) == expected for member in everyone)
    assert all(len(member.writes) == 1 for member in everyone[1:])
    assert stats.messages_delivered[KIND] == 50 * members


@pytest.mark.parametrize("members", [20, LARGE])
def test_joins_and_leaves_during_an_iteration_cost_no_writes_to_the_others(members: int) -> None:
    room, everyone, scheduler, stats = make_room(members, slow_clock())
    joiners = [FakeMember() for _ in range(40)]
    for number, joiner in enumerate(joiners):
        room.publish(KIND, b"<%d>" % number, 0.0, author=everyone[number % 2])
        room.add(joiner)
    for joiner in joiners[::2]:
        room.remove(joiner)
    for joiner in joiners[::4]:
        room.add(joiner)
    room.publish(KIND, b"<40>", 0.0)
    scheduler.end()
    assert all(len(member.writes) == 1 for member in everyone[2:])
    for number, joiner in enumerate(joiners):
        expected = [*range(number + 1, 40), *([40] if number % 2 or not number % 4 else [])]
        assert b"".join(joiner.writes) == b"".join(b"<%d>" % one for one in expected)
    assert stats.messages_delivered[KIND] == sum(b"".join(m.writes).count(b"<") for m in [*everyone, *joiners])
    assert sum(stats.fanout_duration.counts) == sum(stats.fanout_recipients.counts) == 41


@pytest.mark.parametrize("members", [3, LARGE])
def test_messages_that_a_member_already_received_are_not_dropped_when_it_closes(members: int) -> None:
    room, (ann, bob, *_), scheduler, stats = make_room(members, slow_clock())
    room.publish(KIND, b"a", 0.0, author=bob)
    room.flush_to(ann)
    ann.result = CLOSED
    room.publish(KIND, b"b", 0.0, author=bob)
    scheduler.end()
    assert ann.writes == [b"a"]
    assert stats.messages_dropped[KIND, "closed"] == 1
    assert stats.messages_delivered[KIND] == 2 * (members - 1) - 1


def test_flushing_to_a_client_that_is_no_member_writes_nothing() -> None:
    room, _, scheduler, stats = make_room(3)
    outsider = FakeMember()
    room.publish(KIND, b"a", 0.5)
    room.flush_to(outsider)
    scheduler.end()
    assert outsider.writes == []
    assert stats.messages_delivered[KIND] == 3


@pytest.mark.parametrize("kinds", [[KIND, KIND], [KIND, "userTyping"]], ids=["plain", "with ephemeral"])
@pytest.mark.parametrize("members", [2, 3, LARGE])
def test_a_full_queue_drops_exactly_the_frames_of_others(members: int, kinds: list[str]) -> None:
    room, (ann, *others), scheduler, stats = make_room(members, slow_clock())
    ann.result, ann.accepts_queued = SLOW, False
    room.publish(KIND, b"own", 0.0, author=ann)
    for kind in kinds:
        room.publish(kind, b"x", 0.0, author=others[0])
    room.publish(KIND, b"own", 0.0, author=ann)
    scheduler.end()
    assert ann.writes == []
    assert stats.messages_dropped[KIND, "slow"] == kinds.count(KIND)
    assert stats.messages_dropped["userTyping", "slow"] == kinds.count("userTyping")
    assert sum(stats.messages_dropped.values()) == 2
    assert stats.messages_delivered[KIND] == 2 * (members - 1) + kinds.count(KIND) * (members - 2)
    assert stats.messages_delivered["userTyping"] == kinds.count("userTyping") * (members - 2)


@pytest.mark.parametrize("members", [1, 2, 3, 20, LARGE])
def test_each_message_is_counted_once_in_both_fan_out_histograms(members: int) -> None:
    room, everyone, scheduler, stats = make_room(members, slow_clock())
    for number in range(7):
        room.publish(KIND, b"a", number / 8, author=everyone[0])
        if number == 3:
            scheduler.end()
    room.publish(KIND, b"b", 0.0)
    room.flush_to(everyone[0])
    scheduler.end()
    assert sum(stats.fanout_duration.counts) == sum(stats.fanout_recipients.counts) == 8
    assert stats.fanout_recipients.total == stats.messages_delivered[KIND] == 7 * (members - 1) + members


class Model:
    """A room of five members, and the messages that each of them must receive."""

    def __init__(self) -> None:
        self.room, self.members, self.scheduler, self.stats = make_room(5, slow_clock())
        self.inside = set(range(5))
        self.expected: list[list[str]] = [[] for _ in self.members]
        self.expected_deliveries = self.published = 0

    def send(self, index: int) -> None:
        if index in self.inside:
            self._publish(index, self.members[index])

    def announce(self, _index: int) -> None:
        self._publish(None, None)

    def flush_to(self, index: int) -> None:
        self.room.flush_to(self.members[index])
        if index in self.inside:
            self.check(index)

    def leave(self, index: int) -> None:
        if index in self.inside:
            self.room.remove(self.members[index])
            self.inside.remove(index)

    def join(self, index: int) -> None:
        if index not in self.inside:
            self.room.add(self.members[index])
            self.inside.add(index)

    def flush(self, _index: int) -> None:
        self.room.flush()

    def end_iteration(self, _index: int = 0) -> None:
        self.scheduler.end()

    def become_slow(self, index: int) -> None:
        self.members[index].result = SLOW

    def recover(self, index: int) -> None:
        self.members[index].result = SENT

    def close(self, index: int) -> None:
        self.members[index].result = CLOSED

    def check(self, index: int) -> None:
        member = self.members[index]
        if not member.was_closed:
            assert b"".join(member.writes).decode() == "".join(self.expected[index])

    def _publish(self, author: int | None, member: FakeMember | None) -> None:
        frame = f"<{self.published}>"
        self.published += 1
        self.room.publish(KIND, frame.encode(), 0.5, author=member)
        for other in self.inside - {author}:
            self.expected[other].append(frame)
            self.expected_deliveries += 1


ACTIONS = st.sampled_from(
    [
        *(Model.send, Model.announce, Model.flush_to, Model.leave, Model.join),
        *(Model.flush, Model.end_iteration, Model.become_slow, Model.recover, Model.close),
    ]
)


@given(st.lists(st.tuples(ACTIONS, st.integers(0, 4)), max_size=40), st.sampled_from([0, 3, SLICE_MEMBERS]))
def test_members_receive_exactly_the_messages_of_their_membership_in_one_order(
    steps: list[tuple[Callable[[Model, int], None], int]], slice_members: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.chat.room.SLICE_MEMBERS", slice_members)
        model = Model()
        for action, index in steps:
            action(model, index)
        model.end_iteration()
    for index in range(5):
        model.check(index)
    stats = model.stats
    assert stats.messages_delivered[KIND] == sum(b"".join(member.writes).count(b"<") for member in model.members)
    assert stats.messages_delivered[KIND] + stats.messages_dropped[KIND, "closed"] == model.expected_deliveries
    assert sum(stats.fanout_duration.counts) == sum(stats.fanout_recipients.counts) == model.published
    assert not model.room.pending


def test_many_leaves_in_one_iteration_cost_the_others_one_write() -> None:
    room, members, scheduler, _ = make_room(50)
    for leaver in members[1:]:
        room.remove(leaver)
        room.publish("userLeft", b"l", 0.5)
    scheduler.end()
    assert members[0].writes == [b"l" * 49]
    assert [b"".join(leaver.writes) for leaver in members[1:]] == [b"l" * n for n in range(49)]
