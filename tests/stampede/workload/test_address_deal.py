"""The users of each room are dealt evenly over the addresses of the server."""

from __future__ import annotations

from collections import Counter
from itertools import cycle, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.workload.address_deal import AddressDeal, UserAddress
from stampede.workload.placement import Partition, RoomPlan

ADDRESSES = ["A", "B", "C", "D"]
WHOLE = Partition(0, 1)


def deal(
    plan: RoomPlan, users: int, addresses: list[str], partition: Partition = WHOLE, classes: str = "x"
) -> list[tuple[list[str], str, str]]:
    """Return the rooms, the class and the address of each user of a process, in the order of their arrival."""
    dealer = AddressDeal(partition.position)
    dealt = []
    for place, user_class in zip(range(users), islice(cycle(classes), users), strict=True):
        rooms = [str(number) for number in plan.rooms_of_user(place, partition)]
        dealt.append((rooms, user_class, UserAddress(dealer, user_class).choose(addresses, rooms)))
    return dealt


def spread(counts: Counter[str], addresses: list[str]) -> int:
    return max(counts[address] for address in addresses) - min(counts[address] for address in addresses)


def by_room(dealt: list[tuple[list[str], str, str]]) -> dict[str, Counter[str]]:
    rooms: dict[str, Counter[str]] = {}
    for names, _, address in dealt:
        for name in names:
            rooms.setdefault(name, Counter())[address] += 1
    return rooms


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 20, 100])
def test_each_room_and_the_process_are_spread_evenly(size: int, count: int) -> None:
    addresses = ADDRESSES[:count]
    for plan in (RoomPlan(None, size), RoomPlan(6, None)):
        dealt = deal(plan, 6 * size + size // 2, addresses)
        assert max(spread(counts, addresses) for counts in by_room(dealt).values()) <= 1
        assert spread(Counter(address for *_, address in dealt), addresses) <= 2  # with partly filled rooms


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_all_processes_together_load_all_addresses_evenly(size: int, processes: int) -> None:
    partitions = [Partition(position, processes) for position in range(processes)]
    total = Counter(
        address
        for partition in partitions
        for *_, address in deal(RoomPlan(None, size), size, ADDRESSES[:processes], partition)
    )
    assert spread(total, ADDRESSES[:processes]) == 0


def test_the_users_of_each_class_in_a_room_are_spread_too() -> None:
    """Otherwise, all senders of a room could be at one address, and nothing would be sent from the other."""
    dealt = deal(RoomPlan(None, 20), 60, ["A", "B"], classes="sl")
    for user_class in "sl":
        of_class = [one for one in dealt if one[1] == user_class]
        assert all(spread(counts, ["A", "B"]) == 0 for counts in by_room(of_class).values())


@pytest.mark.parametrize(("rooms", "per_user"), [(3, 2), (6, 2), (5, 3), (8, 4)])
def test_rooms_that_share_their_users_are_spread_too(rooms: int, per_user: int) -> None:
    dealt = deal(RoomPlan(rooms, None, per_user), 60, ["A", "B"])
    assert max(spread(counts, ["A", "B"]) for counts in by_room(dealt).values()) <= 2


def test_the_deal_is_the_same_in_each_run() -> None:
    first, second = (deal(RoomPlan(None, 5), 100, ADDRESSES, classes="aab") for _ in range(2))
    assert first == second


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=80))
def test_a_room_stays_even_while_users_come_and_go(script: list[tuple[bool, int]]) -> None:
    """An address that has lost more users than the others gets the next ones."""
    dealer, users = AddressDeal(), list[UserAddress]()
    for comes, which in script:
        if comes or not users:
            counts = Counter(user.address for user in users)
            user = UserAddress(dealer, "x")
            assert counts[user.choose(ADDRESSES, ["r"])] == min(counts[address] for address in ADDRESSES)
            users.append(user)
        else:
            users.pop(which % len(users)).release()


def test_a_user_keeps_its_address_while_that_may_answer() -> None:
    dealer = AddressDeal()
    user, other = UserAddress(dealer, "x"), UserAddress(dealer, "x")
    assert user.choose(["A", "B"], ["r"]) == "A"
    user.connected("B", ["A", "B"])  # an instance restarts: its users come back to it
    assert other.choose(["A", "B"], ["r"]) == "B"
    assert user.choose(["A", "B"], ["r"]) == "A"
    assert user.choose(["B"], ["r"]) == "B"


def test_a_user_of_an_address_that_never_answered_counts_at_the_one_that_it_reached() -> None:
    dealer = AddressDeal()
    user = UserAddress(dealer, "x")
    assert user.choose(["silent", "B", "C"], ["r"]) == "silent"
    user.connected("C", ["B", "C"])
    assert user.address == "C"
    assert UserAddress(dealer, "x").choose(["B", "C"], ["r"]) == "B"


def test_a_user_in_another_room_is_dealt_again() -> None:
    dealer = AddressDeal()
    users = [UserAddress(dealer, "x") for _ in range(3)]
    assert [user.choose(["A", "B"], [f"r{number}"]) for number, user in enumerate(users)] == ["A", "B", "A"]
    assert users[2].choose(["A", "B"], ["r0"]) == "B"
