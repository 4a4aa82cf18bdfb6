"""Messages that the server may have refused: the sender continues with a new slot, and receives as before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from stampede.ledger.address_pairs import AddressPairs
from stampede.ledger.room import Room
from tests.stampede.ledger.server_model import balanced, model_with

if TYPE_CHECKING:
    from stampede.ledger.counts import DeliveryCounts


def members(count: int, *, echoes: bool = False) -> tuple[Room, DeliveryCounts]:
    pairs = AddressPairs()
    room = Room(1, "room-1", pairs, echoes=echoes)
    for _ in range(count):
        room.enter().confirm_join()
    return room, pairs.between("", "")


def sweep(room: Room, times: int = 3) -> None:
    for _ in range(times):
        for _ in room.sweep():
            pass


def test_a_message_that_reached_no_member_was_refused_and_is_not_lost() -> None:
    model = model_with(3)
    sender = model.members[0].membership
    model.room.send(sender)
    sender.renew_slot()
    assert sender.slot == 3
    sweep(model.room)
    assert (model.counts.expected, model.counts.lost, model.counts.churned) == (0, 0, 2)


def test_a_message_that_reached_one_member_is_owed_to_all() -> None:
    model = model_with(3)
    sender, receiver, _ = (member.membership for member in model.members)
    seq = model.room.send(sender)
    sender.renew_slot()
    assert receiver.receive(0, seq)
    sweep(model.room)
    assert (model.counts.expected, model.counts.received, model.counts.lost, model.counts.churned) == (2, 1, 1, 0)


def test_later_messages_of_the_sender_and_what_it_receives_are_counted_as_before() -> None:
    model = model_with(2)
    sender, other = (member.membership for member in model.members)
    model.room.send(sender)
    received = model.room.send(other)
    sender.renew_slot()
    later = model.room.send(sender)
    assert sender.receive(other.slot, received)
    assert other.receive(sender.slot, later)
    assert not sender.receive(sender.slot, later)  # an echo
    sweep(model.room)
    assert (model.counts.received, model.counts.lost, model.counts.churned, model.counts.duplicated) == (2, 0, 1, 1)


def test_a_vacated_slot_is_used_again_after_the_sweeps() -> None:
    model = model_with(2)
    sender = model.members[0].membership
    model.room.send(sender)
    sender.renew_slot()
    sweep(model.room)
    sender.renew_slot()
    assert sender.slot == 0
    assert model.members[1].membership.receive(0, model.room.send(sender))


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), max_size=30), st.booleans())
def test_refused_and_accepted_messages_in_any_order_add_up(
    messages: list[tuple[int, bool, bool]], echoes: bool
) -> None:
    """Each message has a sender; it is accepted or not, and the ledger is swept after it or not."""
    room, counts = members(3, echoes=echoes)
    everyone = list(room._memberships.values())
    delivered = 0
    for number, accepted, swept in messages:
        sender = everyone[number]
        slot, seq = sender.slot, room.send(sender)
        if accepted:
            for receiver in everyone:
                if receiver is not sender or echoes:
                    assert receiver.receive(slot, seq)
                    delivered += 1
        else:
            sender.renew_slot()
        assert balanced(counts)
        if swept:
            sweep(room, 1)
    sweep(room)
    assert (counts.expected, counts.received, counts.lost, counts.duplicated) == (delivered, delivered, 0, 0)


def test_a_server_that_echoes_owes_the_sender_its_own_message() -> None:
    room, counts = members(3, echoes=True)
    sender, *others = room._memberships.values()
    seq = room.send(sender)
    assert counts.expected == 3
    assert all(member.receive(sender.slot, seq) for member in others)
    room.close_accounts()
    assert (counts.received, counts.lost) == (2, 1)


def test_an_echo_that_overtakes_another_is_received_and_reordered() -> None:
    room, counts = members(1, echoes=True)
    (sender,) = room._memberships.values()
    first, second = room.send(sender), room.send(sender)
    assert sender.receive(sender.slot, second)
    assert sender.receive(sender.slot, first)
    assert not sender.receive(sender.slot, first)
    assert (counts.expected, counts.received, counts.reordered, counts.duplicated) == (2, 2, 1, 1)
