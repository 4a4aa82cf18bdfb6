"""Accounts of the ledger: what one membership records about one sender, and what remains when one of them leaves."""

from __future__ import annotations

from tests.stampede.ledger.ledger_world import World, world


def counts(herd: World) -> tuple[int, int, int, int]:
    """Return expected, received, lost and churned."""
    tally = herd.tally
    return tally.expected, tally.received, tally.lost, tally.churned


def test_a_mark_has_arrived_when_everything_before_it_came_or_is_lost() -> None:
    herd = world(2)
    sender, receiver = herd.members
    herd.send(sender)
    mark = herd.room.mark()
    assert not receiver.membership.arrived(mark)
    assert receiver.membership.arrived([0, 0])
    herd.settle_all()
    assert receiver.membership.arrived(mark)
    herd.send(sender)
    later = herd.room.mark()
    assert not receiver.membership.arrived(later)
    herd.room.sweep()
    herd.room.sweep()
    assert receiver.membership.arrived(later)


def test_a_stay_that_is_still_joining_waits_for_nothing() -> None:
    herd = world(2)
    newcomer = herd.join()
    herd.send(herd.members[0])
    assert newcomer.membership.arrived(herd.room.mark())


def test_a_mark_does_not_wait_for_a_sender_that_vanished() -> None:
    herd = world(2)
    sender, receiver = herd.members
    herd.send(sender)
    mark = herd.room.mark()
    herd.cut(sender)
    assert receiver.membership.arrived(mark)


def test_a_stay_begins_after_what_was_sent_before_it() -> None:
    herd = world(3)
    for sender in herd.members[:2]:
        herd.send(sender)
        herd.send(sender)
    herd.settle_all()
    newcomer = herd.join()
    herd.confirm(newcomer)
    assert newcomer.membership.messages_before() == 4
    assert herd.members[0].membership.messages_before() == 0


def test_an_early_delivery_moves_the_beginning_of_a_stay_back() -> None:
    herd = world(2)
    sender = herd.members[0]
    for _ in range(3):
        herd.send(sender)
    newcomer = herd.join()
    herd.handle(sender)
    newcomer.in_room = True
    newcomer.membership.confirm_join()
    assert newcomer.membership.messages_before() == 3
    herd.handle(sender)
    herd.read(newcomer)
    assert newcomer.membership.messages_before() == 1


def test_the_highest_delivery_seen_proves_what_the_server_handled() -> None:
    herd = world(3)
    sender, receiver, _ = herd.members
    assert receiver.membership.received_until(sender.membership.slot) == 0
    herd.send(sender)
    herd.send(sender)
    herd.handle(sender, drop_for=0)
    herd.settle_all()
    assert receiver.membership.received_until(sender.membership.slot) == 2  # the second came, the first did not
    assert receiver.membership.received_until(3) == receiver.membership.received_until(99) == 0


def test_nothing_seen_of_an_account_that_is_kept_in_full_proves_nothing() -> None:
    herd = world(3)
    sender, receiver, _ = herd.members
    herd.send(sender)
    herd.room.sweep()
    herd.room.sweep()  # given up: the account is kept in full, though nothing came
    assert herd.tally.lost == 2
    assert receiver.membership.received_until(sender.membership.slot) == 0


def test_what_a_member_saw_who_left_since_proves_what_a_vanished_sender_had_handled() -> None:
    herd = world(3)
    sender, receiver, witness = herd.members
    herd.send(sender)
    herd.send(sender)
    herd.handle(sender)
    herd.cut(sender)
    herd.read(witness)
    receiver.inbox.clear()
    herd.leave(witness)
    herd.room.sweep()
    herd.room.sweep()
    herd.room.close_accounts()
    # The first message was handled, since the witness got it: the receiver lost it. Of the second nobody knows.
    assert counts(herd) == (2, 1, 1, 2)
    assert herd.tally.in_flight == 0


def test_the_account_of_a_sender_that_leaves_during_a_join_is_closed() -> None:
    herd = world(2)
    sender = herd.members[0]
    herd.send(sender)
    herd.send(sender)
    herd.send(sender)
    newcomer = herd.join()
    newcomer.in_room = True
    herd.handle(sender, drop_for=0)
    herd.handle(sender, drop_for=1)
    herd.handle(sender)
    herd.read(newcomer)
    herd.read(herd.members[1])
    before = herd.tally.lost
    herd.leave(sender)
    herd.room.sweep()
    herd.room.sweep()
    herd.room.sweep()
    # The newcomer got the first and the third message: it was owed the second.
    assert (before, herd.tally.lost) == (0, 2)
    assert herd.tally.in_flight == 0
    newcomer.membership.confirm_join()
    assert herd.tally.in_flight == 0


def test_losses_of_several_senders_add_up_when_they_leave() -> None:
    herd = world(4)
    for sender in herd.members[:2]:
        herd.send(sender)
        herd.handle(sender, drop_for=2)
        herd.send(sender)
        herd.handle(sender)
    receiver = herd.members[3]
    herd.settle_all()
    receiver.membership.leave()
    herd.members.remove(receiver)
    assert (herd.tally.lost, herd.tally.in_flight) == (2, 0)


def test_churn_of_several_senders_adds_up_when_the_receiver_vanishes() -> None:
    herd = world(3)
    for sender in herd.members[:2]:
        herd.send(sender)
        herd.send(sender)
    herd.cut(herd.members[2])
    assert herd.tally.churned == 4
    herd.settle_all()
    assert counts(herd) == (4, 4, 0, 4)


def test_churn_counts_from_the_last_delivery_also_of_an_account_kept_in_full() -> None:
    herd = world(2)
    sender, receiver = herd.members
    for _ in range(3):
        herd.send(sender)
    herd.handle(sender, drop_for=0)
    herd.handle(sender)
    herd.read(receiver)
    herd.cut(receiver)
    # The first was overtaken: lost. The third was in flight: churn.
    assert counts(herd) == (2, 1, 1, 1)


def test_an_old_loss_that_comes_at_last_is_late_once_and_a_duplicate_after_it_was_pruned() -> None:
    herd = world(2)
    sender, receiver = herd.members
    herd.send(sender)
    herd.handle(sender)
    herd.send(sender)
    herd.handle(sender, drop_for=0)
    late = receiver.inbox.pop(0)
    herd.room.sweep()
    herd.room.sweep()
    assert herd.tally.lost == 2
    herd.send(sender)
    herd.settle_all()
    herd.room.sweep()
    herd.room.sweep()
    receiver.membership.receive(*late)
    assert (herd.tally.late, herd.tally.duplicated) == (0, 1)


def test_a_loss_is_remembered_for_one_sweep_so_that_it_can_be_late() -> None:
    herd = world(2)
    sender, receiver = herd.members
    herd.send(sender)
    herd.send(sender)
    herd.handle(sender)
    herd.handle(sender)
    second = receiver.inbox.pop()
    herd.read(receiver)
    herd.room.sweep()
    herd.room.sweep()
    assert herd.tally.lost == 1
    receiver.membership.receive(*second)
    assert (herd.tally.late, herd.tally.duplicated, herd.tally.received) == (1, 0, 1)


def test_a_stay_that_left_is_no_longer_owed_anything() -> None:
    herd = world(3)
    leaver = herd.members[2]
    herd.leave(leaver)
    assert not leaver.membership.joined
    herd.send(herd.members[0])
    assert herd.tally.expected == 1
    assert herd.room.joined_count == 2


def test_a_slot_is_free_again_after_two_sweeps_and_not_before() -> None:
    herd = world(3)
    slot = herd.members[0].membership.slot
    herd.leave(herd.members[0])
    herd.room.sweep()
    assert herd.join().membership.slot != slot
    herd.room.sweep()
    assert herd.join().membership.slot == slot


def test_leaving_says_goodbye_unless_told_otherwise() -> None:
    herd = world(2)
    sender, receiver = herd.members
    herd.send(sender)
    herd.handle(sender, drop_for=0)
    sender.membership.leave()
    assert not herd.room.dropped
    herd.room.sweep()
    herd.room.sweep()
    assert counts(herd) == (1, 0, 1, 0)
    receiver.membership.leave()


def test_a_mark_taken_before_somebody_joined_is_still_awaited() -> None:
    herd = world(2)
    herd.send(herd.members[0])
    mark = herd.room.mark()
    herd.confirm(herd.join())
    assert not herd.members[1].membership.arrived(mark)
    herd.settle_all()
    assert herd.members[1].membership.arrived(mark)


def test_a_sender_whose_messages_all_came_is_not_awaited_beside_one_that_vanished() -> None:
    herd = world(3)
    vanished, sender, receiver = herd.members
    herd.send(vanished)
    herd.send(sender)
    herd.handle(sender)
    herd.read(receiver)
    mark = herd.room.mark()
    herd.cut(vanished)
    assert receiver.membership.arrived(mark)


def test_a_stay_keeps_one_number_for_each_slot() -> None:
    herd = world(2)
    receiver = herd.members[1]
    for _ in range(3):
        herd.confirm(herd.join())
        herd.send(herd.members[0])
        assert not receiver.membership.arrived(herd.room.mark())
        assert len(receiver.membership._next) == len(receiver.membership._base) == len(herd.room.next_seq)


def test_a_newcomer_that_got_nothing_has_seen_nothing_and_its_account_begins_with_the_next_message() -> None:
    herd = world(2)
    sender = herd.members[0]
    herd.send(sender)
    herd.send(sender)
    herd.settle_all()
    newcomer = herd.join()
    assert newcomer.membership.messages_before() == 2  # as if its join were confirmed now
    herd.confirm(newcomer)
    herd.send(sender)
    herd.handle(sender, drop_for=1)
    herd.settle_all()
    herd.room.sweep()
    herd.room.sweep()  # given up: the account is kept in full
    assert herd.tally.lost == 1
    assert newcomer.membership.received_until(sender.membership.slot) == 0
    assert newcomer.membership.messages_before() == 2
    herd.leave(sender)
    herd.room.sweep()
    herd.room.sweep()
    assert newcomer.membership.messages_before() == 2
    assert newcomer.membership.received_until(sender.membership.slot) == 3


def test_an_early_delivery_after_a_later_one_moves_the_beginning_back_too() -> None:
    herd = world(2)
    sender = herd.members[0]
    for _ in range(3):
        herd.send(sender)
    newcomer = herd.join()
    herd.confirm(newcomer)
    herd.send(sender)
    slot = sender.membership.slot
    assert newcomer.membership.receive(slot, 3)
    assert newcomer.membership.messages_before() == 3
    assert newcomer.membership.receive(slot, 1)
    assert newcomer.membership.messages_before() == 1


def test_the_last_member_can_vanish_from_its_room() -> None:
    herd = world(1)
    herd.send(herd.members[0])
    herd.cut(herd.members[0])
    herd.room.sweep()
    herd.room.sweep()
    assert counts(herd) == (0, 0, 0, 0)
    assert herd.join().membership.slot == 0


def test_what_closing_the_books_gave_up_can_still_come_late() -> None:
    herd = world(2)
    sender, receiver = herd.members
    herd.send(sender)
    herd.handle(sender)
    first = receiver.inbox.pop()
    herd.send(sender)
    herd.settle_all()
    herd.room.close_accounts()
    assert herd.tally.lost == 1
    herd.room.sweep()  # the first sweep has no mark yet
    assert not receiver.membership.receive(*first)
    assert (herd.tally.late, herd.tally.duplicated, herd.tally.lost) == (1, 0, 1)


def test_a_sweep_forgets_only_what_was_lost_before_the_last_one() -> None:
    herd = world(2)
    sender, receiver = herd.members
    herd.room.sweep()
    herd.send(sender)
    herd.handle(sender)
    first = receiver.inbox.pop()
    herd.send(sender)
    herd.settle_all()
    herd.room.close_accounts()
    herd.room.sweep()
    assert not receiver.membership.receive(*first)
    assert (herd.tally.late, herd.tally.duplicated, herd.tally.lost) == (1, 0, 1)


def test_the_beginning_of_a_stay_is_known_from_a_delivery_that_comes_before_the_confirmation() -> None:
    """As when a user is dropped in a storm and the first delivery overtakes `roomJoined`."""
    herd = world(2)
    sender, other = herd.members
    for _ in range(3):
        herd.send(sender)
        herd.send(other)
    newcomer = herd.join()
    assert newcomer.membership.receive(sender.membership.slot, 1)
    assert newcomer.membership.messages_before() == 1 + 3
    herd.confirm(newcomer)
    assert newcomer.membership.messages_before() == 1 + 3
