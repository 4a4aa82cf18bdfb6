"""Slices of large rooms, timing of messages, and counters of slow and closed members."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.chat.member import CLOSED, SLOW
from server.chat.room import DIRECT_MEMBERS, SLICE_MEMBERS
from tests.server.chat.room_helpers import KIND, LARGE, FakeMember, make_room, slow_clock

if TYPE_CHECKING:
    from server.chat.member import WriteResult
    from server.chat.room import Room
    from tests.server.chat.room_helpers import ManualScheduler

SLICE = 64
"""Members served in one slice in these tests."""


class WriteClock:
    """A clock that advances with each write, so that a slice of one second serves SLICE members."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class TimedMember(FakeMember):
    """A member whose writes advance the clock."""

    clock: WriteClock

    def write(self, data: bytes) -> WriteResult:
        self.clock.now += 1 / SLICE
        return super().write(data)


def timed_room(members: int, patch: pytest.MonkeyPatch) -> tuple[Room, list[TimedMember], ManualScheduler]:
    patch.setattr("server.chat.room.SLICE_SECONDS", 1.0)
    clock = WriteClock()
    room, _, scheduler, _ = make_room(0, clock)
    everyone = [TimedMember() for _ in range(members)]
    for member in everyone:
        member.clock = clock
        room.add(member)
    return room, everyone, scheduler


@pytest.mark.parametrize("members", [LARGE, 9 * SLICE])
def test_a_slice_ends_when_its_time_is_used_up(members: int, monkeypatch: pytest.MonkeyPatch) -> None:
    room, everyone, scheduler = timed_room(members, monkeypatch)
    room.publish(KIND, b"a", 0.0)
    served = []
    while scheduler.callbacks:
        scheduler.callbacks.popleft()()
        served.append(sum(len(member.writes) for member in everyone))
    full = [number * SLICE for number in range(1, members // SLICE + 1)]
    assert served == (full if full[-1] == members else [*full, members])
    assert not room.pending


def test_a_large_room_is_flushed_in_one_slice_if_the_time_suffices() -> None:
    room, members, scheduler, stats = make_room(LARGE)
    room.publish(KIND, b"a", 0.75)
    scheduler.callbacks.popleft()()
    assert all(member.writes == [b"a"] for member in members)
    assert not scheduler.callbacks
    assert stats.fanout_duration.total == 0.25


def test_a_room_of_the_slice_size_is_flushed_at_once() -> None:
    room, members, scheduler, _ = make_room(SLICE_MEMBERS, slow_clock())
    room.publish(KIND, b"a", 0.0)
    scheduler.callbacks.popleft()()
    assert all(member.writes == [b"a"] for member in members)
    assert not scheduler.callbacks


def test_a_flush_between_two_slices_starts_no_extra_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    room, everyone, scheduler = timed_room(LARGE, monkeypatch)
    room.publish(KIND, b"a", 0.0)
    scheduler.callbacks.popleft()()
    for _ in range(3):
        room.flush()
    assert sum(len(member.writes) for member in everyone) == SLICE
    assert len(scheduler.callbacks) == 1
    scheduler.end()
    assert all(member.writes == [b"a"] for member in everyone)
    room.publish(KIND, b"b", 0.0)
    room.flush()
    assert sum(len(member.writes) for member in everyone) == LARGE + SLICE, "the next message starts a new slice"


@pytest.mark.parametrize("members", [1, DIRECT_MEMBERS, DIRECT_MEMBERS + 1, LARGE])
@pytest.mark.parametrize("received", [[0.5, 0.5, 0.5], [0.25, 0.5, 0.75], [0.5, 0.5, 0.75]])
@pytest.mark.parametrize("flushed_before", [False, True])
def test_each_message_is_timed_from_its_own_receipt(
    members: int, received: list[float], *, flushed_before: bool
) -> None:
    room, everyone, scheduler, stats = make_room(members)
    for at in received:
        room.publish(KIND, b"a", at, in_batch=True)  # so that a small room joins them
    if flushed_before:
        room.flush_to(everyone[0])
    scheduler.end()
    assert stats.fanout_duration.total == sum(1.0 - at for at in received)
    assert sum(stats.fanout_duration.counts) == len(received)


@pytest.mark.parametrize("members", [DIRECT_MEMBERS + 1, LARGE])
def test_a_slow_member_gets_its_essential_messages_in_one_write(members: int) -> None:
    room, (ann, bob, *_), scheduler, stats = make_room(members)
    ann.result = SLOW
    for kind, frame in [(KIND, b"<1>"), ("userTyping", b"<t>"), ("chat", b"<2>"), ("userLeft", b"<l>"), (KIND, b"<3>")]:
        room.publish(kind, frame, 0.5, author=bob)
    scheduler.end()
    assert ann.writes == [b"<1><2><3>"]
    assert {kind: count for kind, count in stats.messages_dropped.items() if count} == {
        ("userTyping", "slow"): 1,
        ("userLeft", "slow"): 1,
    }
    counts = {kind: count for kind, count in stats.messages_delivered.items() if count}
    assert counts == {KIND: 2 * (members - 1), "chat": members - 1, "userTyping": members - 2, "userLeft": members - 2}


def test_drops_are_subtracted_only_from_messages_of_their_type() -> None:
    room, (ann, bob, *_), scheduler, stats = make_room(DIRECT_MEMBERS + 2)
    ann.result = bob.result = CLOSED
    for kind in (KIND, "chat", KIND):
        room.publish(kind, b"x", 0.5, author=ann)
    room.publish("chat", b"y", 0.5, author=bob)
    scheduler.end()
    others = DIRECT_MEMBERS
    assert {kind: count for kind, count in stats.messages_delivered.items() if count} == {
        KIND: 2 * others,
        "chat": 2 * others,
    }
    assert {kind: count for kind, count in stats.messages_dropped.items() if count} == {
        (KIND, "closed"): 2,
        ("chat", "closed"): 2,
    }


def test_an_author_that_has_left_is_not_subtracted_from_the_recipients() -> None:
    room, (ann, bob, *others), scheduler, stats = make_room(DIRECT_MEMBERS + 2)
    room.publish(KIND, b"a", 0.5, author=ann)
    room.publish(KIND, b"b", 0.5, author=bob)
    room.remove(ann)  # receives b at once
    scheduler.end()
    assert (ann.writes, bob.writes) == ([b"b"], [b"a"])
    assert all(other.writes == [b"ab"] for other in others)
    assert stats.messages_delivered[KIND] == 1 + 1 + 2 * len(others)


def test_slow_and_closed_members_are_counted_when_all_get_the_same_bytes() -> None:
    room, (ann, bob, cem, dan, *_), scheduler, stats = make_room(DIRECT_MEMBERS + 4)
    ann.result = bob.result = CLOSED
    cem.result = dan.result = SLOW
    dan.accepts_queued = False
    for kind, frame in [(KIND, b"<1>"), ("chat", b"<2>"), (KIND, b"<3>")]:
        room.publish(kind, frame, 0.5)
    scheduler.end()
    assert (ann.writes, bob.writes, cem.writes, dan.writes) == ([], [], [b"<1><2><3>"], [])
    served = DIRECT_MEMBERS + 1
    assert {kind: count for kind, count in stats.messages_delivered.items() if count} == {
        KIND: 2 * served,
        "chat": served,
    }
    assert {kind: count for kind, count in stats.messages_dropped.items() if count} == {
        (KIND, "closed"): 4,
        ("chat", "closed"): 2,
        (KIND, "slow"): 2,
        ("chat", "slow"): 1,
    }


@pytest.mark.parametrize("members", [DIRECT_MEMBERS + 1, LARGE])
@pytest.mark.parametrize(
    ("result", "accepts_queued", "written", "dropped"),
    [
        (SLOW, True, [b"<1><2>"], {("userTyping", "slow"): 1}),
        (SLOW, False, [], {(KIND, "slow"): 2, ("userTyping", "slow"): 1}),
        (CLOSED, True, [], {(KIND, "closed"): 2, ("userTyping", "closed"): 1}),
    ],
    ids=["slow", "too slow", "closed"],
)
def test_flushing_to_a_slow_or_closed_member_counts_like_a_flush(
    members: int,
    result: WriteResult,
    written: list[bytes],
    dropped: dict[tuple[str, str], int],
    *,
    accepts_queued: bool,
) -> None:
    room, (ann, bob, *_), scheduler, stats = make_room(members)
    ann.result, ann.accepts_queued = result, accepts_queued
    for kind, frame in [(KIND, b"<1>"), ("userTyping", b"<t>"), (KIND, b"<2>")]:
        room.publish(kind, frame, 0.5, author=bob)
    for _ in range(2):  # the second one sends no frame
        room.flush_to(ann)
        assert ann.writes == written
        assert {key: count for key, count in stats.messages_dropped.items() if count} == dropped
        assert stats.messages_delivered[KIND] == 2 * len(written)
        assert stats.messages_delivered["userTyping"] == 0
    scheduler.end()
    assert ann.writes == written
    assert {key: count for key, count in stats.messages_dropped.items() if count} == dropped
    assert stats.messages_delivered[KIND] == 2 * (members - 2 + len(written))
    assert stats.messages_delivered["userTyping"] == members - 2


def test_flushing_to_a_slow_member_sends_its_essential_messages() -> None:
    room, (ann, *_), scheduler, stats = make_room(DIRECT_MEMBERS + 1)
    ann.result = SLOW
    for frame in (b"<1>", b"<2>"):
        room.publish(KIND, frame, 0.5)
    room.flush_to(ann)
    scheduler.end()
    assert ann.writes == [b"<1><2>"]
    assert stats.messages_delivered[KIND] == 2 * (DIRECT_MEMBERS + 1)


@pytest.mark.parametrize("members", [DIRECT_MEMBERS + 1, LARGE])
def test_an_author_that_was_flushed_to_gets_no_own_message_and_none_twice(members: int) -> None:
    room, (ann, bob, *others), scheduler, stats = make_room(members)
    room.publish(KIND, b"<1>", 0.5, author=ann)
    room.publish(KIND, b"<2>", 0.5, author=bob)
    room.flush_to(ann)
    room.publish(KIND, b"<3>", 0.5, author=ann)
    room.publish(KIND, b"<4>", 0.5, author=bob)
    scheduler.end()
    assert (ann.writes, bob.writes) == ([b"<2>", b"<4>"], [b"<1><3>"])
    assert all(other.writes == [b"<1><2><3><4>"] for other in others)
    assert stats.messages_delivered[KIND] == 4 * (members - 1)
