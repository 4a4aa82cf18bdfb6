"""The ledger when sweeps, departures and joins overlap: each delivery ends in exactly one counter."""

from __future__ import annotations

from tests.stampede.ledger.server_model import Client, ServerModel, model_with


def counts(model: ServerModel) -> tuple[int, int, int, int, int]:
    """Return expected, received, lost, churned, in flight."""
    counts = model.counts
    return counts.expected, counts.received, counts.lost, counts.churned, counts.in_flight


def close_account(model: ServerModel) -> None:
    """Sweep until the slots of members that left are closed."""
    model.sweep()
    model.sweep()


def unconfirmed_client(model: ServerModel, *handled: bool) -> Client:
    """Start a join while a member sends. The joining client receives the messages marked True; it is not confirmed."""
    sender = model.members[0]
    for _ in handled:
        model.send(sender)
    joiner = model.join()
    joiner.in_room = True
    for good in handled:
        model.handle(sender, drop_for=None if good else len(model.members) - 2)
    for member in model.members:
        model.read(member)
    return joiner


def test_messages_of_a_member_that_left_are_lost_if_a_joining_client_missed_them() -> None:
    model = model_with(2)
    unconfirmed_client(model, True, False, True)
    assert counts(model) == (3 + 3, 3 + 2, 0, 0, 1)
    model.leave(model.members[0])
    close_account(model)
    assert counts(model) == (6, 5, 1, 0, 0)


def test_messages_of_a_disconnected_member_are_lost_if_a_joining_client_missed_them() -> None:
    model = model_with(2)
    unconfirmed_client(model, True, False, True)
    model.disconnect(model.members[0])
    close_account(model)
    assert counts(model) == (6, 5, 1, 0, 0)


def test_messages_that_a_joining_client_missed_are_lost_when_it_disconnects() -> None:
    model = model_with(2)
    joiner = unconfirmed_client(model, True, False, True)
    model.disconnect(joiner)
    assert counts(model) == (6, 5, 1, 0, 0)


def test_a_message_that_a_joining_client_missed_is_lost_after_two_sweeps_and_late_when_it_arrives() -> None:
    model = model_with(2)
    joiner = unconfirmed_client(model, True, False, True)
    close_account(model)
    assert counts(model) == (6, 5, 1, 0, 0)
    assert not joiner.membership.receive(model.members[0].membership.slot, 1)
    assert (model.counts.late, model.counts.lost, model.counts.received) == (1, 1, 5)


def test_a_delivery_to_a_member_that_left_makes_the_message_lost_for_the_others() -> None:
    """The delivery proves that the server handled the message of a disconnected sender."""
    model = model_with(3)
    sender, third, _ = model.members
    model.send(sender)
    model.handle(sender, drop_for=1)
    model.read(third)
    model.disconnect(sender)
    model.leave(third)
    close_account(model)
    assert counts(model) == (2, 1, 1, 0, 0)


def test_the_highest_delivery_of_several_members_counts() -> None:
    model = model_with(4)
    sender, first, second, _ = model.members
    for _ in range(2):
        model.send(sender)
        model.handle(sender, drop_for=2)
    model.read(first, 1)
    model.read(second)
    model.disconnect(sender)
    second.membership.leave(waited_for=model.room.mark())  # has both messages
    model.members.remove(second)
    model.disconnect(first)  # has one message; the other one was in flight
    close_account(model)
    assert counts(model) == (5, 3, 2, 1, 0)


def test_a_member_that_leaves_during_a_sweep_loses_nothing_twice() -> None:
    model = model_with(4)
    sender, _, leaver, _ = model.members
    for drop_for in (1, None):  # the second message overtakes the one that the leaver never receives
        model.send(sender)
        model.handle(sender, drop_for=drop_for)
    for member in model.members:
        model.read(member)
    model.sweep()
    sweep = model.room.sweep()
    next(sweep)  # the first membership is done; the leaver's is not
    assert counts(model) == (6, 5, 0, 0, 1)
    model.disconnect(leaver)
    assert counts(model) == (6, 5, 1, 0, 0)
    for _ in sweep:
        pass
    assert counts(model) == (6, 5, 1, 0, 0)


def test_a_member_that_disconnects_during_a_sweep_is_owed_nothing_afterwards() -> None:
    model = model_with(4)
    sender, _, leaver, _ = model.members
    model.send(sender)
    model.handle(sender)
    for member in model.members:
        if member is not leaver:
            model.read(member)
    model.sweep()
    sweep = model.room.sweep()
    next(sweep)
    model.disconnect(leaver)
    for _ in sweep:
        pass
    assert counts(model) == (2, 2, 0, 1, 0)


def test_a_message_from_before_a_join_that_arrives_after_a_sweep_leaves_nothing_in_flight() -> None:
    """It proves that the next messages of its sender are owed, too. These are lost: the sweeps have passed."""
    model = model_with(2)
    sender = model.members[0]
    for _ in range(3):
        model.send(sender)
    joiner = model.join()
    model.confirm(joiner)
    model.send(sender)
    assert model.counts.expected == 3 + 2  # the first three to the other member only
    for _ in range(4):
        model.handle(sender)
    model.read(model.members[1])
    close_account(model)
    assert counts(model) == (5, 4, 1, 0, 0)
    joiner.inbox.clear()
    assert joiner.membership.receive(sender.membership.slot, 0)
    assert counts(model) == (8, 5, 3, 0, 0)
    model.room.close_accounts()
    assert counts(model) == (8, 5, 3, 0, 0)


def test_after_a_message_from_before_a_join_the_messages_between_are_awaited() -> None:
    model = model_with(2)
    sender = model.members[0]
    for _ in range(3):
        model.send(sender)
    joiner = model.join()
    model.confirm(joiner)
    for _ in range(3):
        model.handle(sender)
    model.read(joiner, 1)
    assert model.counts.in_flight == 3 + 2
    model.deliver_all()
    assert counts(model) == (6, 6, 0, 0, 0)


def test_a_confirmed_client_still_awaits_what_was_overtaken_during_its_join() -> None:
    model = model_with(2)
    joiner = unconfirmed_client(model, True, False, True)
    joiner.membership.confirm_join()
    assert not joiner.membership.arrived(model.room.mark())
    assert counts(model) == (6, 5, 0, 0, 1)
    close_account(model)
    assert counts(model) == (6, 5, 1, 0, 0)


def test_a_second_copy_during_a_join_is_duplicated() -> None:
    model = model_with(2)
    joiner = unconfirmed_client(model, True, True)
    before = counts(model)
    assert not joiner.membership.receive(model.members[0].membership.slot, 1)
    assert (counts(model), model.counts.duplicated) == (before, 1)


def test_a_joining_client_without_a_delivery_of_a_member_that_left_lost_nothing() -> None:
    model = model_with(2)
    model.join()
    model.leave(model.members[0])
    close_account(model)
    assert counts(model) == (0, 0, 0, 0, 0)


def test_the_next_holder_of_a_slot_begins_a_new_account_with_a_joining_client() -> None:
    model = model_with(2)
    joiner = unconfirmed_client(model, True, False, True)
    disconnected = model.members[0]
    model.send(disconnected)
    model.send(disconnected)
    model.disconnect(disconnected)
    close_account(model)
    successor = model.join()
    assert successor.membership.slot == disconnected.membership.slot
    model.confirm(successor)
    before = model.counts.expected
    model.send(successor)
    model.deliver_all()
    assert model.counts.expected == before + 1 + 1  # to the confirmed member, and to the joiner that received it
    assert joiner.membership.received_until(successor.membership.slot) == 6
    assert model.counts.in_flight == 0
