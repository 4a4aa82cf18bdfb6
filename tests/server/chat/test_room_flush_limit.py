"""A long event loop iteration: a room that is not large writes its outbox in pieces of bounded size."""

from __future__ import annotations

import pytest

from server.chat.room import DIRECT_MEMBERS, FLUSH_BYTES, SLICE_MEMBERS
from tests.server.chat.room_helpers import KIND, LARGE, FakeMember, make_room


@pytest.mark.parametrize("members", [1, SLICE_MEMBERS - 1])
def test_a_long_iteration_is_written_in_pieces_that_a_slow_client_can_hold(members: int) -> None:
    room, (ann, *others), scheduler, stats = make_room(members + 1)
    frames = [b"%05d" % number + b"x" * 995 for number in range(2 * FLUSH_BYTES // 1000 + 3)]
    for frame in frames:
        room.publish(KIND, frame, 0.5, author=ann, in_batch=True)
    assert all(len(other.writes) == 2 for other in others)
    scheduler.end()
    assert not room.pending
    for other in others:
        assert b"".join(other.writes) == b"".join(frames)
        assert [len(data) for data in other.writes] == [263_000, 263_000, 1000]
    assert ann.writes == []
    assert stats.messages_delivered[KIND] == len(frames) * members
    assert sum(stats.fanout_duration.counts) == len(frames)


def test_a_member_that_joins_a_long_iteration_receives_only_later_messages() -> None:
    room, members, scheduler, stats = make_room(DIRECT_MEMBERS + 1)
    half = b"x" * (FLUSH_BYTES // 2)
    room.publish(KIND, half, 0.5)
    new = FakeMember()
    room.add(new)
    room.publish(KIND, half, 0.5)
    room.publish(KIND, b"z", 0.5)
    scheduler.end()
    assert all(member.writes == [half + half, b"z"] for member in members)
    assert new.writes == [half, b"z"]
    assert stats.messages_delivered[KIND] == 3 * len(members) + 2


def test_the_outbox_of_a_large_room_waits_for_its_slices() -> None:
    room, members, scheduler, _ = make_room(LARGE)
    for _ in range(3):
        room.publish(KIND, b"x" * FLUSH_BYTES, 0.5)
    assert not any(member.writes for member in members)
    scheduler.end()
    assert all(member.writes == [b"x" * (3 * FLUSH_BYTES)] for member in members)
