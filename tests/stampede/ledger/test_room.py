"""The ledger of a room with constant members: expected, lost, late, duplicated and reordered deliveries."""

from __future__ import annotations

from stampede.ledger.address_pairs import AddressPairs
from stampede.ledger.room import Room
from tests.stampede.ledger.server_model import model_with


def test_a_message_is_owed_to_every_other_member() -> None:
    model = model_with(5)
    model.send(model.members[0])
    assert model.counts.expected == 4
    model.deliver_all()
    assert (model.counts.received, model.counts.lost, model.counts.in_flight) == (4, 0, 0)


def test_a_dropped_delivery_that_a_later_message_has_overtaken_is_lost_after_two_sweeps() -> None:
    model = model_with(3)
    model.send(model.members[0])
    model.handle(model.members[0], drop_for=1)
    model.send(model.members[0])
    model.deliver_all()
    model.sweep()
    assert (model.counts.lost, model.counts.in_flight) == (0, 1)
    model.sweep()
    assert (model.counts.expected, model.counts.received, model.counts.lost) == (4, 3, 1)


def test_a_dropped_delivery_that_nothing_follows_is_lost_after_two_sweeps() -> None:
    model = model_with(3)
    model.send(model.members[0])
    model.handle(model.members[0], drop_for=0)
    model.deliver_all()
    model.sweep()
    assert model.counts.lost == 0
    model.sweep()
    assert (model.counts.lost, model.counts.in_flight) == (1, 0)


def test_a_lost_delivery_that_arrives_stays_lost_and_counts_as_late() -> None:
    model = model_with(2)
    model.send(model.members[0])
    model.sweep()
    model.sweep()
    assert model.counts.lost == 1
    model.deliver_all()
    assert (model.counts.lost, model.counts.received, model.counts.late, model.counts.reordered) == (1, 0, 1, 0)


def test_swapped_deliveries_are_reordered_and_not_lost() -> None:
    model = model_with(2)
    for _ in range(2):
        model.send(model.members[0])
        model.handle(model.members[0])
    model.members[1].inbox.reverse()
    model.deliver_all()
    assert (model.counts.received, model.counts.lost, model.counts.reordered, model.counts.duplicated) == (2, 0, 1, 0)


def test_a_second_copy_is_duplicated_and_not_received_twice() -> None:
    model = model_with(2)
    model.send(model.members[0])
    model.handle(model.members[0], duplicate_for=0)
    model.deliver_all()
    assert (model.counts.expected, model.counts.received, model.counts.duplicated) == (1, 1, 1)


def test_an_echo_to_the_sender_and_a_number_never_sent_count_as_duplicated() -> None:
    model = model_with(2)
    model.send(model.members[0])
    assert not model.members[0].membership.receive(0, 0)
    for slot, seq in ((0, 7), (0, 1), (9, 0), (2, 0)):
        assert not model.members[1].membership.receive(slot, seq)
    assert (model.counts.duplicated, model.counts.received) == (5, 0)
    assert model.members[1].membership.receive(0, 0)
    assert (model.counts.duplicated, model.counts.received) == (5, 1)


def test_a_new_room_has_its_number_its_name_and_no_member() -> None:
    room = Room(7, "room-7", AddressPairs())
    assert (room.number, room.name, room.next_seq, room.joined_count) == (7, "room-7", [], 0)
    assert (room.senders, room.dropped) == (set(), {})


def test_closing_the_accounts_makes_everything_in_flight_lost() -> None:
    model = model_with(4)
    model.send(model.members[0])
    model.room.close_accounts()
    assert (model.counts.expected, model.counts.lost, model.counts.in_flight) == (3, 3, 0)
