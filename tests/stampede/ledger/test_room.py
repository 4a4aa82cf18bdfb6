"""The ledger in a room nobody enters or leaves: what is owed, lost, late, doubled and swapped."""

from __future__ import annotations

from stampede.ledger.counts import DeliveryCounts
from stampede.ledger.room import Room
from tests.stampede.ledger.ledger_world import world


def test_a_message_is_owed_to_everyone_else_in_the_room() -> None:
    herd = world(5)
    herd.send(herd.members[0])
    assert herd.tally.expected == 4
    herd.settle_all()
    assert (herd.tally.received, herd.tally.lost, herd.tally.in_flight) == (4, 0, 0)


def test_a_dropped_delivery_that_a_later_message_has_overtaken_is_lost_after_two_sweeps() -> None:
    herd = world(3)
    herd.send(herd.members[0])
    herd.handle(herd.members[0], drop_for=1)
    herd.send(herd.members[0])
    herd.settle_all()
    herd.room.sweep()
    assert (herd.tally.lost, herd.tally.in_flight) == (0, 1)
    herd.room.sweep()
    assert (herd.tally.expected, herd.tally.received, herd.tally.lost) == (4, 3, 1)


def test_a_dropped_delivery_that_nothing_follows_is_lost_after_two_sweeps() -> None:
    herd = world(3)
    herd.send(herd.members[0])
    herd.handle(herd.members[0], drop_for=0)
    herd.settle_all()
    herd.room.sweep()
    assert herd.tally.lost == 0
    herd.room.sweep()
    assert (herd.tally.lost, herd.tally.in_flight) == (1, 0)


def test_a_lost_delivery_that_comes_after_all_stays_lost_and_counts_as_late() -> None:
    herd = world(2)
    herd.send(herd.members[0])
    herd.room.sweep()
    herd.room.sweep()
    assert herd.tally.lost == 1
    herd.settle_all()
    assert (herd.tally.lost, herd.tally.received, herd.tally.late, herd.tally.reordered) == (1, 0, 1, 0)


def test_swapped_deliveries_are_reordered_and_not_lost() -> None:
    herd = world(2)
    for _ in range(2):
        herd.send(herd.members[0])
        herd.handle(herd.members[0])
    herd.members[1].inbox.reverse()
    herd.settle_all()
    assert (herd.tally.received, herd.tally.lost, herd.tally.reordered, herd.tally.duplicated) == (2, 0, 1, 0)


def test_a_second_copy_is_duplicated_and_not_received_twice() -> None:
    herd = world(2)
    herd.send(herd.members[0])
    herd.handle(herd.members[0], double_for=0)
    herd.settle_all()
    assert (herd.tally.expected, herd.tally.received, herd.tally.duplicated) == (1, 1, 1)


def test_an_echo_to_the_sender_and_a_number_never_sent_are_owed_to_nobody() -> None:
    herd = world(2)
    herd.send(herd.members[0])
    assert not herd.members[0].membership.receive(0, 0)
    for slot, seq in ((0, 7), (0, 1), (9, 0), (2, 0)):
        assert not herd.members[1].membership.receive(slot, seq)
    assert (herd.tally.duplicated, herd.tally.received) == (5, 0)
    assert herd.members[1].membership.receive(0, 0)
    assert (herd.tally.duplicated, herd.tally.received) == (5, 1)


def test_a_new_room_has_its_number_and_nobody_in_it() -> None:
    room = Room(7, DeliveryCounts())
    assert (room.number, room.next_seq, room.joined_count, room.senders, room.dropped) == (7, [], 0, set(), {})


def test_closing_the_books_makes_everything_under_way_lost() -> None:
    herd = world(4)
    herd.send(herd.members[0])
    herd.room.close_accounts()
    assert (herd.tally.expected, herd.tally.lost, herd.tally.in_flight) == (3, 3, 0)
