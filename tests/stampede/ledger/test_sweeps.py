"""The ledger where sweeps, departures and joins overlap: every delivery ends in exactly one count."""

from __future__ import annotations

from tests.stampede.ledger.ledger_world import Member, World, world


def counts(herd: World) -> tuple[int, int, int, int, int]:
    """Return expected, received, lost, churned, in flight."""
    tally = herd.tally
    return tally.expected, tally.received, tally.lost, tally.churned, tally.in_flight


def close_account(herd: World) -> None:
    """Sweep until the slots of those who left are closed."""
    herd.room.sweep()
    herd.room.sweep()


def unsettled_newcomer(herd: World, *handled: bool) -> Member:
    """Let somebody join while a member speaks; it gets the messages marked True, and its join is not confirmed yet."""
    sender = herd.members[0]
    for _ in handled:
        herd.send(sender)
    newcomer = herd.join()
    newcomer.in_room = True
    for good in handled:
        herd.handle(sender, drop_for=None if good else len(herd.members) - 2)
    for member in herd.members:
        herd.read(member)
    return newcomer


def test_what_an_unconfirmed_newcomer_missed_of_a_member_who_left_is_lost() -> None:
    """And nothing of it stays in flight."""
    herd = world(2)
    unsettled_newcomer(herd, True, False, True)
    assert counts(herd) == (3 + 3, 3 + 2, 0, 0, 1)
    herd.leave(herd.members[0])
    close_account(herd)
    assert counts(herd) == (6, 5, 1, 0, 0)


def test_what_an_unconfirmed_newcomer_missed_of_a_member_who_vanished_is_lost() -> None:
    herd = world(2)
    unsettled_newcomer(herd, True, False, True)
    herd.cut(herd.members[0])
    close_account(herd)
    assert counts(herd) == (6, 5, 1, 0, 0)


def test_what_an_unconfirmed_newcomer_missed_is_lost_when_it_vanishes_itself() -> None:
    herd = world(2)
    newcomer = unsettled_newcomer(herd, True, False, True)
    herd.cut(newcomer)
    assert counts(herd) == (6, 5, 1, 0, 0)


def test_an_unconfirmed_newcomer_s_missing_message_is_lost_after_two_sweeps_and_late_when_it_comes() -> None:
    herd = world(2)
    newcomer = unsettled_newcomer(herd, True, False, True)
    close_account(herd)
    assert counts(herd) == (6, 5, 1, 0, 0)
    assert not newcomer.membership.receive(herd.members[0].membership.slot, 1)
    assert (herd.tally.late, herd.tally.lost, herd.tally.received) == (1, 1, 5)


def test_what_a_member_received_who_has_left_proves_that_a_vanished_sender_was_handled() -> None:
    """So that it is lost for another, and not churn."""
    herd = world(3)
    sender, witness, _ = herd.members
    herd.send(sender)
    herd.handle(sender, drop_for=1)
    herd.read(witness)
    herd.cut(sender)
    herd.leave(witness)
    close_account(herd)
    assert counts(herd) == (2, 1, 1, 0, 0)


def test_the_highest_of_several_proofs_counts() -> None:
    herd = world(4)
    sender, first, second, _ = herd.members
    for _ in range(2):
        herd.send(sender)
        herd.handle(sender, drop_for=2)
    herd.read(first, 1)
    herd.read(second)
    herd.cut(sender)
    second.membership.leave(waited_for=herd.room.mark())  # has both messages
    herd.members.remove(second)
    herd.cut(first)  # has one: the other one was on its way to it
    close_account(herd)
    assert counts(herd) == (5, 3, 2, 1, 0)


def test_a_member_who_leaves_while_a_sweep_is_under_way_loses_nothing_twice() -> None:
    herd = world(4)
    sender, _, leaver, _ = herd.members
    for drop_for in (1, None):  # the second one overtakes what the leaver never gets
        herd.send(sender)
        herd.handle(sender, drop_for=drop_for)
    for member in herd.members:
        herd.read(member)
    herd.room.sweep()
    sweep = herd.room.sweep_in_steps()
    next(sweep)  # the first membership is done; the leaver's is not
    assert counts(herd) == (6, 5, 0, 0, 1)
    herd.cut(leaver)
    assert counts(herd) == (6, 5, 1, 0, 0)
    for _ in sweep:
        pass
    assert counts(herd) == (6, 5, 1, 0, 0)


def test_a_member_who_vanishes_while_a_sweep_is_under_way_is_owed_nothing_afterwards() -> None:
    herd = world(4)
    sender, _, leaver, _ = herd.members
    herd.send(sender)
    herd.handle(sender)
    for member in herd.members:
        if member is not leaver:
            herd.read(member)
    herd.room.sweep()
    sweep = herd.room.sweep_in_steps()
    next(sweep)
    herd.cut(leaver)
    for _ in sweep:
        pass
    assert counts(herd) == (2, 2, 0, 1, 0)


def test_a_message_from_before_a_join_that_comes_after_a_sweep_leaves_nothing_in_flight() -> None:
    """It proves that what its sender said next is owed too; that is lost by now, since the sweeps waited for it."""
    herd = world(2)
    sender = herd.members[0]
    for _ in range(3):
        herd.send(sender)
    newcomer = herd.join()
    herd.confirm(newcomer)
    herd.send(sender)
    assert herd.tally.expected == 3 + 2  # the first three to the other member only
    for _ in range(4):
        herd.handle(sender)
    herd.read(herd.members[1])
    close_account(herd)
    assert counts(herd) == (5, 4, 1, 0, 0)
    newcomer.inbox.clear()
    assert newcomer.membership.receive(sender.membership.slot, 0)
    assert counts(herd) == (8, 5, 3, 0, 0)
    herd.room.close_accounts()
    assert counts(herd) == (8, 5, 3, 0, 0)


def test_a_message_from_before_a_join_that_comes_before_any_sweep_waits_for_those_between() -> None:
    herd = world(2)
    sender = herd.members[0]
    for _ in range(3):
        herd.send(sender)
    newcomer = herd.join()
    herd.confirm(newcomer)
    for _ in range(3):
        herd.handle(sender)
    herd.read(newcomer, 1)
    assert herd.tally.in_flight == 3 + 2
    herd.settle_all()
    assert counts(herd) == (6, 6, 0, 0, 0)


def test_a_confirmed_newcomer_still_waits_for_what_was_overtaken_during_its_join() -> None:
    herd = world(2)
    newcomer = unsettled_newcomer(herd, True, False, True)
    newcomer.membership.confirm_join()
    assert not newcomer.membership.arrived(herd.room.mark())
    assert counts(herd) == (6, 5, 0, 0, 1)
    close_account(herd)
    assert counts(herd) == (6, 5, 1, 0, 0)


def test_a_second_copy_during_a_join_is_owed_to_nobody() -> None:
    herd = world(2)
    newcomer = unsettled_newcomer(herd, True, True)
    before = counts(herd)
    assert not newcomer.membership.receive(herd.members[0].membership.slot, 1)
    assert (counts(herd), herd.tally.duplicated) == (before, 1)


def test_an_unconfirmed_newcomer_that_got_nothing_of_a_member_who_left_lost_nothing() -> None:
    herd = world(2)
    herd.join()
    herd.leave(herd.members[0])
    close_account(herd)
    assert counts(herd) == (0, 0, 0, 0, 0)


def test_the_next_holder_of_a_slot_begins_a_new_account_with_an_unconfirmed_newcomer() -> None:
    herd = world(2)
    newcomer = unsettled_newcomer(herd, True, False, True)
    vanished = herd.members[0]
    herd.send(vanished)
    herd.send(vanished)
    herd.cut(vanished)
    close_account(herd)
    successor = herd.join()
    assert successor.membership.slot == vanished.membership.slot
    herd.confirm(successor)
    before = herd.tally.expected
    herd.send(successor)
    herd.settle_all()
    assert herd.tally.expected == before + 1 + 1  # to the confirmed member, and to the newcomer who got it
    assert newcomer.membership.received_until(successor.membership.slot) == 6
    assert herd.tally.in_flight == 0
