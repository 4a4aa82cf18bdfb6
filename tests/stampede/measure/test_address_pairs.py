"""Where deliveries are lost: within an address of the server, or between two."""

from __future__ import annotations

import pytest

from stampede.ledger.counts import DeliveryCounts
from stampede.measure.address_pairs import AddressPair, add_pairs, address_pairs, loss_lines, within_and_between

A, B, C = "127.0.0.1:81", "127.0.0.1:82", "127.0.0.1:83"


def pair(sender: str, receiver: str, expected: int, lost: int = 0) -> AddressPair:
    return AddressPair(sender, receiver, expected, expected - lost, lost)


def two(within: int = 0, forth: int = 0, back: int = 0) -> list[AddressPair]:
    """Return the pairs of two addresses with these losses of 10 deliveries each, those within the first address."""
    return [pair(A, A, 10, within), pair(A, B, 10, forth), pair(B, A, 10, back), pair(B, B, 10)]


def test_clients_at_one_address_have_no_pairs() -> None:
    assert address_pairs({}) == []
    assert address_pairs({A: {A: DeliveryCounts(expected=3, lost=1)}}) == []


def test_the_pairs_have_the_counts_of_the_ledger() -> None:
    counts = DeliveryCounts(expected=7, received=4, lost=2, duplicated=9)
    assert address_pairs({B: {A: counts}, A: {A: DeliveryCounts()}}) == [
        AddressPair(A, A, 0, 0, 0),
        AddressPair(A, B, 0, 0, 0),
        AddressPair(B, A, 7, 4, 2),
        AddressPair(B, B, 0, 0, 0),
    ]


@pytest.mark.parametrize(
    ("pairs", "lines"),
    [
        ([], []),
        (two(), []),
        (two(forth=5, back=10), [f"lost 0 of 20 within an address, 15 of 20 between {A} and {B}"]),
        (two(back=10), [f"lost 0 of 20 within an address, 0 of 10 from {A} to {B}, 10 of 10 from {B} to {A}"]),
        (two(within=3), [f"lost 3 of 20 within an address, 0 of 20 between {A} and {B}", f"3 of 10 within {A}"]),
    ],
    ids=["one address", "nothing lost", "both ways", "one way", "within"],
)
def test_the_losses_of_two_addresses_are_told_apart(pairs: list[AddressPair], lines: list[str]) -> None:
    assert loss_lines(pairs) == lines


def test_of_many_addresses_the_pairs_with_the_most_losses_are_named() -> None:
    addresses = [A, B, C, "127.0.0.1:84"]
    pairs = [
        pair(sender, receiver, 100, 0 if sender == receiver else min(i, j) * 10 + max(i, j))
        for i, sender in enumerate(addresses)
        for j, receiver in enumerate(addresses)
    ]
    assert loss_lines(pairs) == [
        "lost 0 of 400 within an address, 108 of 1200 between addresses",
        f"46 of 200 between {C} and 127.0.0.1:84",
        f"26 of 200 between {B} and 127.0.0.1:84",
        f"24 of 200 between {B} and {C}",
        "and 3 more",
    ]


def test_the_pairs_of_several_windows_are_added_up() -> None:
    both = add_pairs([*two(within=1), *two(forth=5), pair(C, A, 3)])
    assert len(both) == 9
    assert within_and_between(both) == (
        DeliveryCounts(expected=40, received=39, lost=1),
        DeliveryCounts(expected=43, received=38, lost=5),
    )
