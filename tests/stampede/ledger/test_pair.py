"""Accounts of the ledger: the record of one membership about one sender, and its end when one of them leaves."""

from __future__ import annotations

from tests.stampede.ledger.server_model import ServerModel, model_with


def counts(model: ServerModel) -> tuple[int, int, int, int]:
    """Return expected, received, lost and churned."""
    counts = model.counts
    return counts.expected, counts.received, counts.lost, counts.churned


def test_a_mark_has_arrived_when_everything_before_it_came_or_is_lost() -> None:
    model = model_with(2)
    sender, receiver = model.members
    model.send(sender)
    mark = model.room.mark()
    assert not receiver.membership.arrived(mark)
    assert receiver.membership.arrived([0, 0])
    model.deliver_all()
    assert receiver.membership.arrived(mark)
    model.send(sender)
    later = model.room.mark()
    assert not receiver.membership.arrived(later)
    model.sweep()
    model.sweep()
    assert receiver.membership.arrived(later)


def test_a_membership_that_is_still_joining_waits_for_nothing() -> None:
    model = model_with(2)
    joiner = model.join()
    model.send(model.members[0])
    assert joiner.membership.arrived(model.room.mark())


def test_a_mark_does_not_wait_for_a_disconnected_sender() -> None:
    model = model_with(2)
    sender, receiver = model.members
    model.send(sender)
    mark = model.room.mark()
    model.disconnect(sender)
    assert receiver.membership.arrived(mark)


def test_an_account_begins_after_the_messages_sent_before_the_join() -> None:
    model = model_with(3)
    for sender in model.members[:2]:
        model.send(sender)
        model.send(sender)
    model.deliver_all()
    joiner = model.join()
    model.confirm(joiner)
    assert joiner.membership.messages_before() == 4
    assert model.members[0].membership.messages_before() == 0


def test_an_early_delivery_moves_the_beginning_of_an_account_back() -> None:
    model = model_with(2)
    sender = model.members[0]
    for _ in range(3):
        model.send(sender)
    joiner = model.join()
    model.handle(sender)
    joiner.in_room = True
    joiner.membership.confirm_join()
    assert joiner.membership.messages_before() == 3
    model.handle(sender)
    model.read(joiner)
    assert joiner.membership.messages_before() == 1


def test_the_highest_delivery_proves_what_the_server_handled() -> None:
    model = model_with(3)
    sender, receiver, _ = model.members
    assert receiver.membership.received_until(sender.membership.slot) == 0
    model.send(sender)
    model.send(sender)
    model.handle(sender, drop_for=0)
    model.deliver_all()
    assert receiver.membership.received_until(sender.membership.slot) == 2  # the second arrived, the first did not
    assert receiver.membership.received_until(3) == receiver.membership.received_until(99) == 0


def test_a_pair_ledger_without_deliveries_proves_nothing() -> None:
    model = model_with(3)
    sender, receiver, _ = model.members
    model.send(sender)
    model.sweep()
    model.sweep()  # given up: the account has a PairLedger without deliveries
    assert model.counts.lost == 2
    assert receiver.membership.received_until(sender.membership.slot) == 0


def test_deliveries_to_a_member_that_left_prove_what_a_disconnected_sender_had_handled() -> None:
    model = model_with(3)
    sender, receiver, third = model.members
    model.send(sender)
    model.send(sender)
    model.handle(sender)
    model.disconnect(sender)
    model.read(third)
    receiver.inbox.clear()
    model.leave(third)
    model.sweep()
    model.sweep()
    model.room.close_accounts()
    # The third member received the first message, so it was handled, and the receiver lost it. The second is unknown.
    assert counts(model) == (2, 1, 1, 2)
    assert model.counts.in_flight == 0


def test_the_account_of_a_sender_that_leaves_during_a_join_is_closed() -> None:
    model = model_with(2)
    sender = model.members[0]
    model.send(sender)
    model.send(sender)
    model.send(sender)
    joiner = model.join()
    joiner.in_room = True
    model.handle(sender, drop_for=0)
    model.handle(sender, drop_for=1)
    model.handle(sender)
    model.read(joiner)
    model.read(model.members[1])
    before = model.counts.lost
    model.leave(sender)
    model.sweep()
    model.sweep()
    model.sweep()
    # The joiner received the first and the third message, so it was owed the second.
    assert (before, model.counts.lost) == (0, 2)
    assert model.counts.in_flight == 0
    joiner.membership.confirm_join()
    assert model.counts.in_flight == 0


def test_losses_of_several_senders_add_up_when_they_leave() -> None:
    model = model_with(4)
    for sender in model.members[:2]:
        model.send(sender)
        model.handle(sender, drop_for=2)
        model.send(sender)
        model.handle(sender)
    receiver = model.members[3]
    model.deliver_all()
    receiver.membership.leave()
    model.members.remove(receiver)
    assert (model.counts.lost, model.counts.in_flight) == (2, 0)


def test_churn_of_several_senders_adds_up_when_the_receiver_disconnects() -> None:
    model = model_with(3)
    for sender in model.members[:2]:
        model.send(sender)
        model.send(sender)
    model.disconnect(model.members[2])
    assert model.counts.churned == 4
    model.deliver_all()
    assert counts(model) == (4, 4, 0, 4)


def test_churn_counts_from_the_last_delivery_in_a_pair_ledger_too() -> None:
    model = model_with(2)
    sender, receiver = model.members
    for _ in range(3):
        model.send(sender)
    model.handle(sender, drop_for=0)
    model.handle(sender)
    model.read(receiver)
    model.disconnect(receiver)
    # The first was overtaken: lost. The third was in flight: churn.
    assert counts(model) == (2, 1, 1, 1)


def test_a_lost_delivery_is_late_once_and_duplicated_after_it_was_pruned() -> None:
    model = model_with(2)
    sender, receiver = model.members
    model.send(sender)
    model.handle(sender)
    model.send(sender)
    model.handle(sender, drop_for=0)
    late = receiver.inbox.pop(0)
    model.sweep()
    model.sweep()
    assert model.counts.lost == 2
    model.send(sender)
    model.deliver_all()
    model.sweep()
    model.sweep()
    receiver.membership.receive(*late)
    assert (model.counts.late, model.counts.duplicated) == (0, 1)


def test_a_loss_is_kept_for_one_sweep_so_that_it_can_be_late() -> None:
    model = model_with(2)
    sender, receiver = model.members
    model.send(sender)
    model.send(sender)
    model.handle(sender)
    model.handle(sender)
    second = receiver.inbox.pop()
    model.read(receiver)
    model.sweep()
    model.sweep()
    assert model.counts.lost == 1
    receiver.membership.receive(*second)
    assert (model.counts.late, model.counts.duplicated, model.counts.received) == (1, 0, 1)


def test_a_membership_that_ended_is_owed_nothing() -> None:
    model = model_with(3)
    leaver = model.members[2]
    model.leave(leaver)
    assert not leaver.membership.joined
    model.send(model.members[0])
    assert model.counts.expected == 1
    assert model.room.joined_count == 2


def test_a_slot_is_free_again_after_two_sweeps_and_not_before() -> None:
    model = model_with(3)
    slot = model.members[0].membership.slot
    model.leave(model.members[0])
    model.sweep()
    assert model.join().membership.slot != slot
    model.sweep()
    assert model.join().membership.slot == slot


def test_leaving_closes_cleanly_by_default() -> None:
    model = model_with(2)
    sender, receiver = model.members
    model.send(sender)
    model.handle(sender, drop_for=0)
    sender.membership.leave()
    assert not model.room.dropped
    model.sweep()
    model.sweep()
    assert counts(model) == (1, 0, 1, 0)
    receiver.membership.leave()


def test_a_mark_taken_before_a_join_is_still_awaited() -> None:
    model = model_with(2)
    model.send(model.members[0])
    mark = model.room.mark()
    model.confirm(model.join())
    assert not model.members[1].membership.arrived(mark)
    model.deliver_all()
    assert model.members[1].membership.arrived(mark)


def test_a_sender_whose_messages_all_arrived_is_not_awaited_beside_a_disconnected_one() -> None:
    model = model_with(3)
    disconnected, sender, receiver = model.members
    model.send(disconnected)
    model.send(sender)
    model.handle(sender)
    model.read(receiver)
    mark = model.room.mark()
    model.disconnect(disconnected)
    assert receiver.membership.arrived(mark)


def test_a_membership_keeps_one_number_for_each_slot() -> None:
    model = model_with(2)
    receiver = model.members[1]
    for _ in range(3):
        model.confirm(model.join())
        model.send(model.members[0])
        assert not receiver.membership.arrived(model.room.mark())
        assert len(receiver.membership._next) == len(receiver.membership._base) == len(model.room.next_seq)


def test_the_account_of_a_joining_client_without_deliveries_begins_with_the_next_message() -> None:
    model = model_with(2)
    sender = model.members[0]
    model.send(sender)
    model.send(sender)
    model.deliver_all()
    joiner = model.join()
    assert joiner.membership.messages_before() == 2  # as if its join were confirmed now
    model.confirm(joiner)
    model.send(sender)
    model.handle(sender, drop_for=1)
    model.deliver_all()
    model.sweep()
    model.sweep()  # given up: the account has a PairLedger
    assert model.counts.lost == 1
    assert joiner.membership.received_until(sender.membership.slot) == 0
    assert joiner.membership.messages_before() == 2
    model.leave(sender)
    model.sweep()
    model.sweep()
    assert joiner.membership.messages_before() == 2
    assert joiner.membership.received_until(sender.membership.slot) == 3


def test_an_early_delivery_after_a_later_one_moves_the_beginning_back_too() -> None:
    model = model_with(2)
    sender = model.members[0]
    for _ in range(3):
        model.send(sender)
    joiner = model.join()
    model.confirm(joiner)
    model.send(sender)
    slot = sender.membership.slot
    assert joiner.membership.receive(slot, 3)
    assert joiner.membership.messages_before() == 3
    assert joiner.membership.receive(slot, 1)
    assert joiner.membership.messages_before() == 1


def test_the_last_member_of_a_room_can_disconnect() -> None:
    model = model_with(1)
    model.send(model.members[0])
    model.disconnect(model.members[0])
    model.sweep()
    model.sweep()
    assert counts(model) == (0, 0, 0, 0)
    assert model.join().membership.slot == 0


def test_a_delivery_lost_when_the_accounts_closed_can_still_be_late() -> None:
    model = model_with(2)
    sender, receiver = model.members
    model.send(sender)
    model.handle(sender)
    first = receiver.inbox.pop()
    model.send(sender)
    model.deliver_all()
    model.room.close_accounts()
    assert model.counts.lost == 1
    model.sweep()  # the first sweep has no mark yet
    assert not receiver.membership.receive(*first)
    assert (model.counts.late, model.counts.duplicated, model.counts.lost) == (1, 0, 1)


def test_a_sweep_drops_only_losses_from_before_the_last_one() -> None:
    model = model_with(2)
    sender, receiver = model.members
    model.sweep()
    model.send(sender)
    model.handle(sender)
    first = receiver.inbox.pop()
    model.send(sender)
    model.deliver_all()
    model.room.close_accounts()
    model.sweep()
    assert not receiver.membership.receive(*first)
    assert (model.counts.late, model.counts.duplicated, model.counts.lost) == (1, 0, 1)


def test_a_delivery_before_the_confirmation_sets_the_beginning_of_an_account() -> None:
    """As when a user is dropped in a storm and the first delivery overtakes `roomJoined`."""
    model = model_with(2)
    sender, other = model.members
    for _ in range(3):
        model.send(sender)
        model.send(other)
    joiner = model.join()
    assert joiner.membership.receive(sender.membership.slot, 1)
    assert joiner.membership.messages_before() == 1 + 3
    model.confirm(joiner)
    assert joiner.membership.messages_before() == 1 + 3
