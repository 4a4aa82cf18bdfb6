"""Single accounts of the ledger: what one stay knows of one sender, and what is left of it when one of them goes."""

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
    assert not receiver.stay.arrived(mark)
    assert receiver.stay.arrived([0, 0])
    herd.settle_all()
    assert receiver.stay.arrived(mark)
    herd.send(sender)
    later = herd.room.mark()
    assert not receiver.stay.arrived(later)
    herd.room.sweep()
    herd.room.sweep()
    assert receiver.stay.arrived(later)


def test_a_stay_that_is_still_joining_waits_for_nothing() -> None:
    herd = world(2)
    newcomer = herd.join()
    herd.send(herd.members[0])
    assert newcomer.stay.arrived(herd.room.mark())


def test_a_mark_does_not_wait_for_a_sender_that_vanished() -> None:
    herd = world(2)
    sender, receiver = herd.members
    herd.send(sender)
    mark = herd.room.mark()
    herd.cut(sender)
    assert receiver.stay.arrived(mark)


def test_a_stay_begins_after_what_was_sent_before_it() -> None:
    herd = world(3)
    for sender in herd.members[:2]:
        herd.send(sender)
        herd.send(sender)
    herd.settle_all()
    newcomer = herd.join()
    herd.confirm(newcomer)
    assert newcomer.stay.begins() == 4
    assert herd.members[0].stay.begins() == 0


def test_an_early_delivery_moves_the_beginning_of_a_stay_back() -> None:
    herd = world(2)
    sender = herd.members[0]
    for _ in range(3):
        herd.send(sender)
    newcomer = herd.join()
    herd.handle(sender)
    newcomer.in_room = True
    newcomer.stay.settle()
    assert newcomer.stay.begins() == 3
    herd.handle(sender)
    herd.read(newcomer)
    assert newcomer.stay.begins() == 1


def test_the_highest_delivery_seen_proves_what_the_server_handled() -> None:
    herd = world(3)
    sender, receiver, _ = herd.members
    assert receiver.stay.seen(sender.stay.slot) == 0
    herd.send(sender)
    herd.send(sender)
    herd.handle(sender, drop_for=0)
    herd.settle_all()
    assert receiver.stay.seen(sender.stay.slot) == 2  # the second came, the first did not
    assert receiver.stay.seen(3) == receiver.stay.seen(99) == 0


def test_nothing_seen_of_an_account_that_is_kept_in_full_proves_nothing() -> None:
    herd = world(3)
    sender, receiver, _ = herd.members
    herd.send(sender)
    herd.room.sweep()
    herd.room.sweep()  # given up: the account is kept in full, though nothing came
    assert herd.tally.lost == 2
    assert receiver.stay.seen(sender.stay.slot) == 0


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
    herd.room.close_books()
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
    newcomer.stay.settle()
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
    receiver.stay.leave()
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
    receiver.stay.receive(*late)
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
    receiver.stay.receive(*second)
    assert (herd.tally.late, herd.tally.duplicated, herd.tally.received) == (1, 0, 1)


def test_a_stay_that_left_is_no_longer_owed_anything() -> None:
    herd = world(3)
    leaver = herd.members[2]
    herd.leave(leaver)
    assert not leaver.stay.settled
    herd.send(herd.members[0])
    assert herd.tally.expected == 1
    assert herd.room.settled == 2


def test_a_slot_is_free_again_after_two_sweeps_and_not_before() -> None:
    herd = world(3)
    slot = herd.members[0].stay.slot
    herd.leave(herd.members[0])
    herd.room.sweep()
    assert herd.join().stay.slot != slot
    herd.room.sweep()
    assert herd.join().stay.slot == slot


def test_leaving_says_goodbye_unless_told_otherwise() -> None:
    herd = world(2)
    sender, receiver = herd.members
    herd.send(sender)
    herd.handle(sender, drop_for=0)
    sender.stay.leave()
    assert not herd.room.dropped
    herd.room.sweep()
    herd.room.sweep()
    assert counts(herd) == (1, 0, 1, 0)
    receiver.stay.leave()


def test_a_mark_taken_before_somebody_joined_is_still_awaited() -> None:
    herd = world(2)
    herd.send(herd.members[0])
    mark = herd.room.mark()
    herd.confirm(herd.join())
    assert not herd.members[1].stay.arrived(mark)
    herd.settle_all()
    assert herd.members[1].stay.arrived(mark)


def test_a_sender_whose_messages_all_came_is_not_awaited_beside_one_that_vanished() -> None:
    herd = world(3)
    vanished, sender, receiver = herd.members
    herd.send(vanished)
    herd.send(sender)
    herd.handle(sender)
    herd.read(receiver)
    mark = herd.room.mark()
    herd.cut(vanished)
    assert receiver.stay.arrived(mark)


def test_a_stay_keeps_one_number_for_each_slot() -> None:
    herd = world(2)
    receiver = herd.members[1]
    for _ in range(3):
        herd.confirm(herd.join())
        herd.send(herd.members[0])
        assert not receiver.stay.arrived(herd.room.mark())
        assert len(receiver.stay._next) == len(receiver.stay._base) == len(herd.room.next_seq)


def test_a_newcomer_that_got_nothing_has_seen_nothing_and_its_account_begins_with_the_next_message() -> None:
    herd = world(2)
    sender = herd.members[0]
    herd.send(sender)
    herd.send(sender)
    herd.settle_all()
    newcomer = herd.join()
    assert newcomer.stay.begins() == 2  # as if its join were confirmed now
    herd.confirm(newcomer)
    herd.send(sender)
    herd.handle(sender, drop_for=1)
    herd.settle_all()
    herd.room.sweep()
    herd.room.sweep()  # given up: the account is kept in full
    assert herd.tally.lost == 1
    assert newcomer.stay.seen(sender.stay.slot) == 0
    assert newcomer.stay.begins() == 2
    herd.leave(sender)
    herd.room.sweep()
    herd.room.sweep()
    assert newcomer.stay.begins() == 2
    assert newcomer.stay.seen(sender.stay.slot) == 3


def test_an_early_delivery_after_a_later_one_moves_the_beginning_back_too() -> None:
    herd = world(2)
    sender = herd.members[0]
    for _ in range(3):
        herd.send(sender)
    newcomer = herd.join()
    herd.confirm(newcomer)
    herd.send(sender)
    slot = sender.stay.slot
    assert newcomer.stay.receive(slot, 3)
    assert newcomer.stay.begins() == 3
    assert newcomer.stay.receive(slot, 1)
    assert newcomer.stay.begins() == 1


def test_the_last_member_can_vanish_from_its_room() -> None:
    herd = world(1)
    herd.send(herd.members[0])
    herd.cut(herd.members[0])
    herd.room.sweep()
    herd.room.sweep()
    assert counts(herd) == (0, 0, 0, 0)
    assert herd.join().stay.slot == 0


def test_what_closing_the_books_gave_up_can_still_come_late() -> None:
    herd = world(2)
    sender, receiver = herd.members
    herd.send(sender)
    herd.handle(sender)
    first = receiver.inbox.pop()
    herd.send(sender)
    herd.settle_all()
    herd.room.close_books()
    assert herd.tally.lost == 1
    herd.room.sweep()  # the first sweep has no mark yet
    assert not receiver.stay.receive(*first)
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
    herd.room.close_books()
    herd.room.sweep()
    assert not receiver.stay.receive(*first)
    assert (herd.tally.late, herd.tally.duplicated, herd.tally.lost) == (1, 0, 1)


def test_the_beginning_of_a_stay_is_known_from_a_delivery_that_comes_before_the_confirmation() -> None:
    """As when a user is dropped in a storm and the first delivery overtakes `roomJoined`."""
    herd = world(2)
    sender, other = herd.members
    for _ in range(3):
        herd.send(sender)
        herd.send(other)
    newcomer = herd.join()
    assert newcomer.stay.receive(sender.stay.slot, 1)
    assert newcomer.stay.begins() == 1 + 3
    herd.confirm(newcomer)
    assert newcomer.stay.begins() == 1 + 3
