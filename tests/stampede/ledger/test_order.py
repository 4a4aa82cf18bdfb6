"""The comparison of the orders in which the members of a room receive messages."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.ledger.address_pairs import AddressPairs
from stampede.ledger.counts import OrderCounts
from stampede.ledger.order import Message, OrderComparison, common_part
from stampede.ledger.room import Room
from tests.stampede.ledger.server_model import model_with

A, B, C = (0, 7), (1, 0), (2, 3)
A2 = (0, 8)


def compare(*orders: list[Message]) -> OrderCounts:
    comparison = OrderComparison()
    for order in orders:
        comparison.add(order)
    return comparison.counts()


def test_members_that_agree_are_compared_and_not_divergent() -> None:
    assert compare([A, B, C], [A, B, C], [A, B, C]) == OrderCounts(samples=1, members=3, messages=3, divergent=0)


def test_the_one_that_differs_from_the_others_is_divergent() -> None:
    assert compare([A, B], [B, A], [A, B]) == OrderCounts(samples=1, members=3, messages=2, divergent=1)


@pytest.mark.parametrize("half", [1, 2, 5])
def test_two_halves_that_differ_are_divergent_both(half: int) -> None:
    """Neither order is the usual one, as in a cluster whose two nodes deliver their own messages first."""
    assert compare(*[[A, B]] * half, *[[B, A]] * half).divergent == 2 * half
    assert compare(*[[A, B]] * half, *[[B, A]] * (half + 1)).divergent == half


def test_messages_of_one_sender_that_overtake_each_other_are_not_divergent() -> None:
    assert compare([A, A2, B], [A, A2, B], [A2, A, B]) == OrderCounts(samples=1, members=3, messages=3)
    assert compare([A, A2], [A2, A]) == OrderCounts()


def test_a_message_that_overtakes_one_of_its_sender_and_one_of_another_is_divergent() -> None:
    assert compare([A, B, A2], [A, B, A2], [A2, B, A]).divergent == 1


def test_only_what_both_members_received_is_compared() -> None:
    """No member received its own message, and the last one left early."""
    assert compare([B, C], [A, C], [A, B], [A, B, C], [A]) == OrderCounts(samples=1, members=4, messages=3)
    assert compare([C, B], [A, C], [A, B], [A, B, C], [B, C]).divergent == 1


@pytest.mark.parametrize("orders", [[], [[]], [[A, B]], [[A], [A]], [[A, B], [B, C]], [[A, B], [C, A2]]])
def test_without_two_members_that_received_the_same_two_messages_nothing_is_compared(
    orders: list[list[Message]],
) -> None:
    assert compare(*orders) == OrderCounts()


def test_the_ends_of_recordings_that_only_few_members_share_are_not_compared() -> None:
    longer, swapped = [A, B, A2, C], [A, B, C, A2]
    assert common_part([longer, swapped, [A, B], [A, B], [A, B]]) == [[A, B]] * 5
    assert compare(*common_part([longer, swapped, [A, B], [A, B], [A, B]])).divergent == 0
    assert compare(*common_part([longer, longer, swapped, [A, B]])).divergent == 1
    assert common_part([[B, C], [A, C], [A, B]]) == [[B, C], [A, C], [A, B]], "no member receives its own message"


def test_three_orders_without_a_usual_one_are_all_divergent() -> None:
    assert compare([A, B, C], [B, C, A], [C, A, B]).divergent == 3


@st.composite
def received(draw: st.DrawFn, least: int = 2) -> list[list[Message]]:
    """Return what some members received of messages that all arrived in the same order, none its own."""
    slots = draw(st.lists(st.integers(0, 5), min_size=2, max_size=12))
    messages = [(slot, slots[:place].count(slot)) for place, slot in enumerate(slots)]
    members = draw(st.integers(least, 8))
    own = [[message for message in messages if message[0] != slot] for slot in range(members)]
    bounds = draw(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=members, max_size=members))
    return [order[min(ends) : max(ends)] for order, ends in zip(own, bounds, strict=True)]


@given(received())
def test_members_that_received_parts_of_one_order_are_never_divergent(orders: list[list[Message]]) -> None:
    assert compare(*orders).divergent == 0


parts = st.lists(
    st.builds(lambda order, end: order[:end], st.permutations([A, A2, B, C, (3, 1)]), st.integers(0, 5)), max_size=7
)
"""What members received, in any orders."""


@given(parts)
def test_the_counts_are_those_of_the_definition(orders: list[list[Message]]) -> None:
    def saw(order: list[Message], first: Message, second: Message) -> bool:
        return first in order and second in order and order.index(first) < order.index(second)

    compared: set[Message] = set()
    members = divergent = 0
    for order in orders:
        is_compared = is_divergent = False
        for first, second in combinations(order, 2):
            alike = sum(saw(other, first, second) for other in orders)
            otherwise = sum(saw(other, second, first) for other in orders)
            if first[0] != second[0] and alike + otherwise > 1:
                compared |= {first, second}
                is_compared = True
                is_divergent |= otherwise >= alike
        members += is_compared
        divergent += is_divergent
    assert compare(*orders) == OrderCounts(int(members > 0), members, len(compared), divergent)


@given(st.data())
def test_a_planted_swap_at_one_member_makes_exactly_this_one_divergent(data: st.DataObject) -> None:
    slots = data.draw(st.lists(st.integers(0, 3), min_size=2, max_size=12).filter(lambda them: len(set(them)) > 1))
    usual = [(slot, slots[:place].count(slot)) for place, slot in enumerate(slots)]
    place = data.draw(st.sampled_from([at for at in range(1, len(slots)) if slots[at - 1] != slots[at]]))
    others = data.draw(st.integers(2, 6))
    swapped = [*usual[: place - 1], usual[place], usual[place - 1], *usual[place + 1 :]]
    members = data.draw(st.permutations([swapped, *[usual] * others]))
    assert compare(*members) == OrderCounts(1, others + 1, len(usual), divergent=1)
    assert compare(*(order for order in members if order is not swapped)).divergent == 0


@given(parts, st.permutations(range(6)), st.data())
def test_neither_the_order_of_the_members_nor_the_numbers_of_their_slots_matter(
    orders: list[list[Message]], slots: list[int], data: st.DataObject
) -> None:
    renumbered = [[(slots[slot], seq) for slot, seq in order] for order in orders]
    assert compare(*data.draw(st.permutations(renumbered))) == compare(*orders)


def test_counts_of_samples_are_added() -> None:
    counts = OrderCounts(1, 2, 3, 4)
    counts.add(OrderCounts(10, 20, 30, 40))
    assert counts == OrderCounts(11, 22, 33, 44)


def test_a_slot_that_is_used_again_continues_its_numbers() -> None:
    """A message is therefore known by its slot and its number, also if its sender has left and another one came."""
    model = model_with(3)
    sender = model.members[0]
    first = (sender.membership.slot, model.room.send(sender.membership))
    model.disconnect(sender)
    for _ in range(3):
        model.sweep()
    successor = model.join()
    model.confirm(successor)
    assert successor.membership.slot == first[0]
    assert (successor.membership.slot, model.room.send(successor.membership)) == (first[0], first[1] + 1)


def test_a_renewed_slot_numbers_other_messages() -> None:
    room = Room(1, "room-1", AddressPairs())
    sender = room.enter()
    sender.confirm_join()
    first = (sender.slot, room.send(sender))
    sender.renew_slot()
    assert (sender.slot, room.send(sender)) != first
