"""Rooms have the requested sizes and the whole mix of user classes; no two processes have the same room."""

from __future__ import annotations

from collections import Counter
from itertools import chain, cycle, islice, repeat

from hypothesis import given
from hypothesis import strategies as st

from stampede.workload.placement import Partition, Placement, RoomPlan

processes = st.integers(1, 8)


@given(processes, st.integers(1, 50), st.integers(0, 300))
def test_rooms_of_fixed_size_are_full_except_the_last_of_each_process(of: int, size: int, users: int) -> None:
    plan = RoomPlan(None, size)
    for position in range(of):
        rooms = Counter(plan.rooms_of_user(place, Partition(position, of))[0] for place in range(users))
        assert sorted(rooms.values(), reverse=True)[:-1] == [size] * (len(rooms) - 1)
        assert sum(rooms.values()) == users


@given(processes, st.integers(1, 50), st.integers(0, 300))
def test_a_fixed_number_of_rooms_is_never_exceeded_and_is_filled_evenly(of: int, more: int, users: int) -> None:
    rooms = of - 1 + more
    plan = RoomPlan(rooms, None)
    used: Counter[int] = Counter()
    for position in range(of):
        own = Counter(plan.rooms_of_user(place, Partition(position, of))[0] for place in range(users))
        assert max(own.values(), default=0) - min(own.values(), default=0) <= 1
        used += own
    assert set(used) <= set(range(rooms))


@given(processes, st.integers(1, 30), st.booleans())
def test_no_two_processes_have_the_same_room_or_user_number(of: int, number: int, fixed: bool) -> None:
    plan = RoomPlan(number + of, None) if fixed else RoomPlan(None, number)
    owners: dict[int, int] = {}
    partitions = [
        *(Partition(position, of) for position in range(of)),
        *(Partition(of + n, of, n + 1) for n in range(3)),
    ]
    for partition in partitions:
        for place in range(100):
            (room,) = plan.rooms_of_user(place, partition)
            assert owners.setdefault(room, partition.position) == partition.position
    assert len({partition.number(place) for partition in partitions for place in range(100)}) == 100 * len(partitions)


@given(processes, st.integers(1, 20), st.integers(1, 5), st.integers(1, 6))
def test_users_in_several_rooms_are_in_different_ones_and_fill_them(
    of: int, size: int, per_user: int, sets: int
) -> None:
    fixed, filled = RoomPlan(None, size, per_user), RoomPlan(of * per_user * sets, None, per_user)
    for position in range(of):
        partition = Partition(position, of)
        for plan, users in ((fixed, size * sets), (filled, sets * 3)):
            rooms = [plan.rooms_of_user(place, partition) for place in range(users)]
            assert all(len(set(own)) == per_user for own in rooms)
            counts = Counter(room for own in rooms for room in own)
            assert set(counts.values()) == {size if plan is fixed else 3}


def test_a_late_process_has_as_many_rooms_as_the_others_and_all_user_classes() -> None:
    late = Partition(2, 2, 1)
    assert [RoomPlan(rooms, None).rooms_of(late) for rooms in (2, 3, 10, None)] == [1, 1, 5, None]
    assert list(islice(late.select(iter("abab")), 4)) == list("abab")
    assert list(Partition(1, 2).select(iter("abab"))) == list("bb")


def test_users_spawned_class_by_class_are_mixed_in_every_room() -> None:
    places = Placement(cycle(["sender", "sender", "listener", "storm"]))
    user_classes = [*repeat("sender", 50), *repeat("listener", 25), *repeat("storm", 25)]
    plan = RoomPlan(None, 20)
    rooms: dict[int, Counter[str]] = {}
    for user_class in user_classes:
        (room,) = plan.rooms_of_user(places.allocate(user_class), Partition(0, 1))
        rooms.setdefault(room, Counter())[user_class] += 1
    assert list(rooms.values()) == [Counter(sender=10, listener=5, storm=5)] * 5


def test_the_lowest_free_place_is_allocated_first() -> None:
    places = Placement(iter(()))
    taken = [places.allocate("a") for _ in range(5)]
    assert taken == [0, 1, 2, 3, 4]
    places.release(3, "a")
    places.release(1, "a")
    assert [places.allocate("a") for _ in range(3)] == [1, 3, 5]


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=60), st.lists(st.sampled_from(["a", "b"]), max_size=20))
def test_every_user_gets_its_own_place_for_any_spawn_order(user_classes: list[str], order: list[str]) -> None:
    places = Placement(islice(chain(order, repeat("a")), len(order)))
    taken = [places.allocate(user_class) for user_class in user_classes]
    assert len(set(taken)) == len(user_classes)
