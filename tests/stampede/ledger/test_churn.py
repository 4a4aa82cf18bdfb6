"""The ledger while clients come, go and vanish with messages in flight."""

from __future__ import annotations

from tests.stampede.ledger.ledger_world import world


def test_who_joins_while_messages_fly_is_owed_what_came_and_all_that_follows_it() -> None:
    herd = world(2)
    sender = herd.members[0]
    for _ in range(3):
        herd.send(sender)
    newcomer = herd.join()
    herd.handle(sender)
    newcomer.in_room = True
    herd.handle(sender)
    herd.read(newcomer)
    assert herd.tally.expected == 3 + 1
    newcomer.membership.confirm_join()
    assert herd.tally.expected == 3 + 2
    herd.settle_all()
    assert (herd.tally.received, herd.tally.in_flight, herd.tally.lost) == (5, 0, 0)


def test_what_was_sent_before_a_join_and_came_after_its_confirmation_is_owed_too() -> None:
    herd = world(2)
    sender = herd.members[0]
    for _ in range(3):
        herd.send(sender)
    newcomer = herd.join()
    herd.handle(sender)
    herd.confirm(newcomer)
    assert herd.tally.expected == 3
    herd.settle_all()
    assert (herd.tally.expected, herd.tally.received, herd.tally.lost) == (5, 5, 0)


def test_a_delivery_dropped_after_the_first_one_of_a_newcomer_is_lost() -> None:
    herd = world(2)
    sender = herd.members[0]
    for _ in range(3):
        herd.send(sender)
    newcomer = herd.join()
    herd.confirm(newcomer)
    herd.handle(sender)
    herd.handle(sender, drop_for=1)
    herd.settle_all()
    assert (herd.tally.expected, herd.tally.received, herd.tally.in_flight) == (6, 5, 1)
    herd.room.close_accounts()
    assert herd.tally.lost == 1


def test_who_vanishes_is_not_owed_what_is_under_way_to_it() -> None:
    herd = world(3)
    herd.send(herd.members[0])
    herd.cut(herd.members[1])
    herd.settle_all()
    assert (herd.tally.expected, herd.tally.received, herd.tally.lost, herd.tally.churned) == (1, 1, 0, 1)


def test_what_nobody_received_of_a_vanished_sender_was_never_handled() -> None:
    herd = world(3)
    sender = herd.members[0]
    for _ in range(2):
        herd.send(sender)
    herd.handle(sender)
    herd.cut(sender)
    herd.settle_all()
    herd.room.sweep()
    herd.room.sweep()
    assert (herd.tally.expected, herd.tally.received, herd.tally.lost, herd.tally.churned) == (2, 2, 0, 2)


def test_what_one_received_of_a_vanished_sender_and_another_did_not_is_lost() -> None:
    herd = world(3)
    sender = herd.members[0]
    herd.send(sender)
    herd.handle(sender, drop_for=0)
    herd.cut(sender)
    herd.settle_all()
    herd.room.close_accounts()
    assert (herd.tally.expected, herd.tally.received, herd.tally.lost) == (2, 1, 1)


def test_a_newcomer_s_confirmation_does_not_prove_that_a_vanished_sender_was_handled() -> None:
    herd = world(2)
    sender = herd.members[0]
    herd.send(sender)
    herd.confirm(herd.join())
    herd.cut(sender)
    herd.room.close_accounts()
    assert (herd.tally.expected, herd.tally.lost, herd.tally.churned) == (0, 0, 1)


def test_who_leaves_politely_without_having_heard_a_message_it_waited_for_lost_it() -> None:
    herd = world(2)
    herd.send(herd.members[0])
    herd.handle(herd.members[0], drop_for=0)
    herd.leave(herd.members[1])
    assert (herd.tally.expected, herd.tally.lost, herd.tally.churned) == (1, 1, 0)


def test_a_slot_is_used_again_and_its_numbers_go_on() -> None:
    herd = world(3)
    gone = herd.members[0]
    herd.send(gone)
    herd.settle_all()
    herd.leave(gone)
    herd.room.sweep()
    herd.room.sweep()
    newcomer = herd.join()
    assert newcomer.membership.slot == gone.membership.slot
    herd.confirm(newcomer)
    herd.send(newcomer)
    herd.settle_all()
    assert (herd.tally.expected, herd.tally.received, herd.tally.lost, herd.tally.duplicated) == (4, 4, 0, 0)
