"""The ledger while clients join, leave and disconnect with messages in flight."""

from __future__ import annotations

from tests.stampede.ledger.server_model import model_with


def test_a_joining_client_is_owed_its_first_delivery_and_all_later_ones() -> None:
    model = model_with(2)
    sender = model.members[0]
    for _ in range(3):
        model.send(sender)
    joiner = model.join()
    model.handle(sender)
    joiner.in_room = True
    model.handle(sender)
    model.read(joiner)
    assert model.counts.expected == 3 + 1
    joiner.membership.confirm_join()
    assert model.counts.expected == 3 + 2
    model.deliver_all()
    assert (model.counts.received, model.counts.in_flight, model.counts.lost) == (5, 0, 0)


def test_a_message_sent_before_a_join_and_received_after_it_is_owed() -> None:
    model = model_with(2)
    sender = model.members[0]
    for _ in range(3):
        model.send(sender)
    joiner = model.join()
    model.handle(sender)
    model.confirm(joiner)
    assert model.counts.expected == 3
    model.deliver_all()
    assert (model.counts.expected, model.counts.received, model.counts.lost) == (5, 5, 0)


def test_a_delivery_dropped_after_the_first_one_of_a_joining_client_is_lost() -> None:
    model = model_with(2)
    sender = model.members[0]
    for _ in range(3):
        model.send(sender)
    joiner = model.join()
    model.confirm(joiner)
    model.handle(sender)
    model.handle(sender, drop_for=1)
    model.deliver_all()
    assert (model.counts.expected, model.counts.received, model.counts.in_flight) == (6, 5, 1)
    model.room.close_accounts()
    assert model.counts.lost == 1


def test_a_disconnected_client_is_not_owed_what_is_in_flight() -> None:
    model = model_with(3)
    model.send(model.members[0])
    model.disconnect(model.members[1])
    model.deliver_all()
    assert (model.counts.expected, model.counts.received, model.counts.lost, model.counts.churned) == (1, 1, 0, 1)


def test_messages_of_a_disconnected_sender_that_no_client_received_count_as_not_handled() -> None:
    model = model_with(3)
    sender = model.members[0]
    for _ in range(2):
        model.send(sender)
    model.handle(sender)
    model.disconnect(sender)
    model.deliver_all()
    model.sweep()
    model.sweep()
    assert (model.counts.expected, model.counts.received, model.counts.lost, model.counts.churned) == (2, 2, 0, 2)


def test_a_message_of_a_disconnected_sender_that_one_client_received_is_lost_for_the_others() -> None:
    model = model_with(3)
    sender = model.members[0]
    model.send(sender)
    model.handle(sender, drop_for=0)
    model.disconnect(sender)
    model.deliver_all()
    model.room.close_accounts()
    assert (model.counts.expected, model.counts.received, model.counts.lost) == (2, 1, 1)


def test_a_confirmed_join_does_not_prove_that_a_disconnected_sender_was_handled() -> None:
    model = model_with(2)
    sender = model.members[0]
    model.send(sender)
    model.confirm(model.join())
    model.disconnect(sender)
    model.room.close_accounts()
    assert (model.counts.expected, model.counts.lost, model.counts.churned) == (0, 0, 1)


def test_a_client_that_leaves_without_a_message_it_waited_for_lost_it() -> None:
    model = model_with(2)
    model.send(model.members[0])
    model.handle(model.members[0], drop_for=0)
    model.leave(model.members[1])
    assert (model.counts.expected, model.counts.lost, model.counts.churned) == (1, 1, 0)


def test_a_slot_is_used_again_and_its_numbers_go_on() -> None:
    model = model_with(3)
    gone = model.members[0]
    model.send(gone)
    model.deliver_all()
    model.leave(gone)
    model.sweep()
    model.sweep()
    joiner = model.join()
    assert joiner.membership.slot == gone.membership.slot
    model.confirm(joiner)
    model.send(joiner)
    model.deliver_all()
    assert (model.counts.expected, model.counts.received, model.counts.lost, model.counts.duplicated) == (4, 4, 0, 0)


def test_a_delivery_in_place_of_a_confirmation_makes_later_messages_owed() -> None:
    model = model_with(2)
    ann, bob = model.members
    model.joins_by_delivery = True
    new = model.join()
    model.send(bob)  # on its way to the server when the join is
    new.in_room = True
    model.send(ann)
    model.handle(ann)
    assert (model.counts.expected, model.room.joined_count) == (2, 2)
    model.read(new)
    assert model.room.joined_count == 3
    assert model.counts.expected == 3
    model.handle(bob)
    model.read(new)
    assert model.counts.expected == 4
    model.send(ann)
    assert model.counts.expected == 6
    model.handle(ann, drop_for=1)
    model.deliver_all()
    model.room.close_accounts()
    assert (model.counts.received, model.counts.lost, model.counts.duplicated) == (5, 1, 0)
