"""Each delivery counts for the pair of addresses of its sender and its receiver."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stampede.ledger.server_model import ServerModel, balanced
from tests.stampede.ledger.test_laws import step, steps

if TYPE_CHECKING:
    from stampede.ledger.counts import DeliveryCounts

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def model_at(*addresses: str) -> ServerModel:
    """Return a room with a member at each of these addresses."""
    model = ServerModel()
    for address in addresses:
        model.confirm(model.join(address))
    return model


def between(model: ServerModel, sender: str, receiver: str) -> tuple[int, int, int]:
    counts = model.pairs.between(sender, receiver)
    return counts.expected, counts.received, counts.lost


def all_counts(model: ServerModel) -> list[DeliveryCounts]:
    return [counts for receivers in model.pairs.copy().values() for counts in receivers.values()]


@given(steps, st.lists(st.sampled_from([A, B, C]), min_size=1, max_size=8), st.booleans())
@settings(max_examples=300)
def test_the_pairs_add_up_to_the_counts_of_the_room_at_any_time(
    script: list[tuple[str, int]], addresses: list[str], joins_by_delivery: bool
) -> None:
    """The same events in a room at one address are the independent count of the sums."""
    several, single = model_at(addresses[0], addresses[-1]), model_at("", "")
    several.joins_by_delivery = single.joins_by_delivery = joins_by_delivery
    for number, (what, who) in enumerate(script):
        step(several, what, who, addresses[number % len(addresses)])
        step(single, what, who)
        assert several.counts == single.pairs.between("", "")
        assert all(balanced(counts) for counts in all_counts(several))
    for model in (several, single):
        model.deliver_all()
        model.room.close_accounts()
    assert several.counts == single.counts
    assert all(counts.in_flight == counts.lost == 0 for counts in all_counts(several))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60))
def test_each_pair_has_the_losses_of_its_own_deliveries(messages: list[tuple[int, bool]]) -> None:
    """Each message has a sender, and the bus between the addresses delivers it or not."""
    addresses = (A, A, B, B, B, C)
    model = model_at(*addresses)
    expected, lost = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for number, is_delivered in messages:
        sender, own = model.members[number], addresses[number]
        slot, seq = sender.membership.slot, model.room.send(sender.membership)
        for receiver, address in zip(model.members, addresses, strict=True):
            if receiver is sender:
                continue
            expected[own, address] += 1
            if is_delivered or address == own:
                receiver.membership.receive(slot, seq)
            else:
                lost[own, address] += 1
    model.room.close_accounts()
    for one, other in product((A, B, C), repeat=2):
        owed, missing = expected[one, other], lost[one, other]
        assert between(model, one, other) == (owed, owed - missing, missing)


def test_what_was_counted_stays_with_the_address_that_a_member_had() -> None:
    model = model_at(A, B)
    first, second = model.members
    model.send(second)
    model.deliver_all()
    model.send(second)
    model.handle(second, drop_for=0)
    model.disconnect(second)  # the message to the first member may never have reached the server
    moved = model.join(A)
    model.confirm(moved)
    model.send(first)
    model.send(moved)
    model.deliver_all()
    for _ in range(3):
        model.sweep()
    assert between(model, B, A) == (1, 1, 0)
    assert model.pairs.between(B, A).churned == 1
    assert between(model, A, A) == (2, 2, 0)
    assert between(model, A, B) == (0, 0, 0)


def test_a_slot_counts_for_the_address_of_its_next_holder() -> None:
    model = model_at(A, B)
    sender = model.members[0]
    model.leave(sender)
    for _ in range(3):
        model.sweep()
    again = model.join(C)
    assert again.membership.slot == sender.membership.slot
    model.confirm(again)
    model.send(again)
    model.deliver_all()
    assert between(model, A, B) == (0, 0, 0)
    assert between(model, C, B) == (1, 1, 0)


def test_a_renewed_slot_keeps_the_address_of_its_holder() -> None:
    model = model_at(A, B)
    sender = model.members[0].membership
    sender.renew_slot()
    model.send(model.members[0])
    model.deliver_all()
    assert between(model, A, B) == (1, 1, 0)
