"""The counts of a storm: resyncs, their times and missed messages, in one process and over all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stampede.ledger.room import Room
from stampede.measure.measures import Measures
from stampede.measure.storm import BIN_NS, SETTLE_NS, Storm
from stampede.measure.storm_results import ends_s, results, sentence, table
from stampede.measure.watch import Watch

if TYPE_CHECKING:
    from stampede.ledger.membership import Membership

SECOND = 1_000_000_000


def joined(room: Room) -> Membership:
    membership = room.enter()
    membership.confirm_join()
    return membership


def storm(dropped: int, *, number: int = 1) -> Storm:
    made = Storm(number, 10 * SECOND, 4.0, 2 * dropped)
    for index in range(dropped):
        made.drop(10 * SECOND + index)
    return made


def come_back(one: Storm, room: Room, *after: float) -> None:
    for seconds in after:
        now = 10 * SECOND + round(seconds * SECOND)
        one.reconnect(now)
        one.resync(now, now - 10 * SECOND, [joined(room)], 0)


def test_shares_refer_to_all_dropped_users_not_to_those_resynced_so_far() -> None:
    room, one = Room(1, "room-1", Measures().address_pairs), storm(4)
    come_back(one, room, 1.0, 2.0)
    (result,) = results([one.part(13 * SECOND)])
    assert result.until(0.5) == pytest.approx(2.0 * SECOND, rel=0.02)
    assert (result.until(0.95), result.until(1.0), result.over) == (None, None, False)
    come_back(one, room, 3.0, 4.0)
    (result,) = results([one.part(15 * SECOND)])
    assert result.until(0.5) == pytest.approx(2.0 * SECOND, rel=0.02)
    assert (result.until(1.0), result.over) == (4 * SECOND, True)


def test_a_dropped_user_that_is_stopped_is_no_longer_awaited() -> None:
    one = storm(2)
    come_back(one, Room(1, "room-1", Measures().address_pairs), 1.0)
    one.abandon(12 * SECOND)
    (result,) = results([one.part(13 * SECOND)])
    assert (result.gone, result.until(1.0), result.over) == (1, SECOND, True)
    assert table([result])[0]["resync100"] == "1.00 s, 1 gone"


def test_parts_of_all_processes_add_up_and_share_one_busiest_second() -> None:
    room = Room(1, "room-1", Measures().address_pairs)
    one, two = storm(3), storm(2)
    come_back(one, room, 0.2, 0.3, 5.0)
    come_back(two, room, 0.9, 7.0)
    (result,) = results([one.part(20 * SECOND), two.part(20 * SECOND)])
    assert (result.users, result.dropped, result.resynced, result.peak_accepts_per_second) == (10, 5, 5, 3)
    assert result.until(1.0) == 7 * SECOND
    assert result.drop_ns == 2


def test_a_sentence_tells_the_start_the_share_and_the_last_resync_of_a_storm() -> None:
    room, one = Room(1, "room-1", Measures().address_pairs), storm(3)
    (begun,) = results([one.part(11 * SECOND)])
    assert sentence(begun) == "Storm 1 at 0:04: dropped 3 of 6 users (50\xa0%). 0 resynced so far."
    assert ends_s(begun) is None
    come_back(one, room, 1.0, 2.5)
    one.abandon(13 * SECOND)
    (over,) = results([one.part(15 * SECOND)])
    assert sentence(over).endswith(". The last one resynced after 2.50 s, 1 gone.")
    assert ends_s(over) == pytest.approx(4.0 + 2.5)
    (empty,) = results([Storm(2, 0, 65.0, 0).part(SECOND)])
    assert sentence(empty) == "Storm 2 at 1:05: dropped 0 of 0 users."
    gone = storm(1)
    gone.abandon(11 * SECOND)
    (alone,) = results([gone.part(12 * SECOND)])
    assert sentence(alone).endswith("None resynced, 1 gone.")
    assert ends_s(alone) == pytest.approx(4.0)


def test_a_watch_ends_when_the_last_user_that_the_server_dropped_has_resynced() -> None:
    room, one = Room(1, "room-1", Measures().address_pairs), Watch(3, 10 * SECOND, 4.0, 2)
    one.lose(13 * SECOND, "closed")
    one.begin_outage(is_first=True)
    one.resync(14 * SECOND, SECOND, [joined(room)], 0)
    (open_,) = results([one.part(15 * SECOND)])
    assert ends_s(open_) is None
    one.end(16 * SECOND)
    (over,) = results([one.part(17 * SECOND)])
    assert sentence(over) == (
        "Watch 3 from 0:04: the server dropped 1 of 2 users (50\xa0%). The last one resynced after 1.00 s."
    )
    assert ends_s(over) == pytest.approx(4.0 + 3.0 + 1.0)


def test_the_busiest_second_is_a_sliding_window() -> None:
    one = storm(4)
    for tenth in (8, 9, 11, 25):
        one.reconnect(10 * SECOND + tenth * BIN_NS)
    assert results([one.part(20 * SECOND)])[0].peak_accepts_per_second == 3


def test_deliveries_to_unaffected_users_are_recorded() -> None:
    one = Storm(1, 0, 0.0, 2)
    one.record_unaffected(5_000_000)
    (result,) = results([one.part(1)])
    assert result.unaffected.count == 1


def test_messages_sent_while_a_user_was_away_are_missed_unless_they_arrive() -> None:
    room = Room(1, "room-1", Measures().address_pairs)
    sender, dropped = joined(room), joined(room)
    for _ in range(3):
        room.send(sender)
    dropped.receive(sender.slot, 0)
    before = sum(room.next_seq) - dropped.leave(closed_cleanly=False)
    for _ in range(4):
        room.send(sender)
    back = joined(room)
    room.send(sender)
    back.receive(sender.slot, 7)
    one = storm(1)
    one.resync(11 * SECOND, SECOND, [back], before)
    assert one.part(11 * SECOND).missed == 2 + 4
    back.receive(sender.slot, 6)  # sent before the join was confirmed, handled after it
    assert one.part(11 * SECOND + 2 * SETTLE_NS).missed == 2 + 3


def test_storms_are_listed_in_order() -> None:
    assert [result.id for result in results([storm(1, number=2).part(0), storm(1, number=1).part(0)])] == [1, 2]
    assert results([]) == []
