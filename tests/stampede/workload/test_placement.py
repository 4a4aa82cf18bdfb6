"""Rooms get the sizes that were asked for, the whole mix of users, and never meet those of another process."""

from __future__ import annotations

from collections import Counter
from itertools import chain, cycle, islice, repeat

from hypothesis import given
from hypothesis import strategies as st

from stampede.workload.placement import Partition, Placement, RoomPlan

processes = st.integers(1, 8)


@given(processes, st.integers(1, 50), st.integers(0, 300))
def test_rooms_of_a_size_are_full_but_for_the_last_of_each_process(of: int, size: int, users: int) -> None:
    plan = RoomPlan(None, size)
    for position in range(of):
        rooms = Counter(plan.room_of(place, Partition(position, of)) for place in range(users))
        assert sorted(rooms.values(), reverse=True)[:-1] == [size] * (len(rooms) - 1)
        assert sum(rooms.values()) == users


@given(processes, st.integers(1, 50), st.integers(0, 300))
def test_a_number_of_rooms_is_kept_over_all_processes_and_users_are_dealt_evenly(
    of: int, more: int, users: int
) -> None:
    rooms = of - 1 + more
    plan = RoomPlan(rooms, None)
    taken: Counter[int] = Counter()
    for position in range(of):
        own = Counter(plan.room_of(place, Partition(position, of)) for place in range(users))
        assert max(own.values(), default=0) - min(own.values(), default=0) <= 1
        taken += own
    assert set(taken) <= set(range(rooms))


@given(processes, st.integers(1, 30), st.booleans())
def test_no_two_processes_share_a_room(of: int, number: int, fixed: bool) -> None:
    plan = RoomPlan(number + of, None) if fixed else RoomPlan(None, number)
    owners: dict[int, int] = {}
    partitions = [
        *(Partition(position, of) for position in range(of)),
        *(Partition(of + n, of, n + 1) for n in range(3)),
    ]
    for partition in partitions:
        for place in range(100):
            assert owners.setdefault(plan.room_of(place, partition), partition.position) == partition.position
    assert len({partition.number(place) for partition in partitions for place in range(100)}) == 100 * len(partitions)


def test_one_that_comes_late_has_as_many_rooms_as_the_others_and_the_whole_mix() -> None:
    late = Partition(2, 2, 1)
    assert [RoomPlan(rooms, None).rooms_of(late) for rooms in (2, 3, 10, None)] == [1, 1, 5, None]
    assert list(islice(late.dealt(iter("abab")), 4)) == list("abab")
    assert list(Partition(1, 2).dealt(iter("abab"))) == list("bb")


def test_users_that_come_kind_by_kind_are_mixed_in_every_room() -> None:
    places = Placement(cycle(["talker", "talker", "listener", "storm"]))
    kinds = [*repeat("talker", 50), *repeat("listener", 25), *repeat("storm", 25)]
    plan = RoomPlan(None, 20)
    rooms: dict[int, Counter[str]] = {}
    for kind in kinds:
        rooms.setdefault(plan.room_of(places.take(kind), Partition(0, 1)), Counter())[kind] += 1
    assert list(rooms.values()) == [Counter(talker=10, listener=5, storm=5)] * 5


def test_a_freed_place_is_the_next_to_be_taken() -> None:
    places = Placement(iter(()))
    taken = [places.take("a") for _ in range(5)]
    assert taken == [0, 1, 2, 3, 4]
    places.give_back(3, "a")
    places.give_back(1, "a")
    assert [places.take("a") for _ in range(3)] == [1, 3, 5]


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=60), st.lists(st.sampled_from(["a", "b"]), max_size=20))
def test_every_user_gets_a_place_of_its_own_whatever_the_order_was(kinds: list[str], order: list[str]) -> None:
    places = Placement(islice(chain(order, repeat("a")), len(order)))
    taken = [places.take(kind) for kind in kinds]
    assert len(set(taken)) == len(kinds)
