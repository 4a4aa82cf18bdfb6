"""Each worker gets a different part of the test, in Locust's order, also when it joins late."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stampede.locust.agents.assignment import Assigner, UserClass, worker_order
from stampede.workload.placement import Partition

CLASSES = [UserClass("ChattingUser", 10, 0), UserClass("FileUploadUser", 1, 2)]


def test_workers_take_turns_by_host() -> None:
    ids = ["b_3", "a_2", "a_1", "a_4", "b_5"]
    assert worker_order(ids) == ["a_1", "b_3", "a_2", "b_5", "a_4"]


@given(st.sets(st.tuples(st.sampled_from("abc"), st.integers(0, 99)), max_size=20))
def test_each_worker_is_in_the_order_once(workers: set[tuple[str, int]]) -> None:
    ids = [f"{host}_{number}" for host, number in workers]
    assert sorted(worker_order(ids)) == sorted(ids)


def test_the_workers_of_the_start_divide_the_users_among_them() -> None:
    assignments = Assigner().start(7, ["a_2", "a_1"], CLASSES)
    assert {id_: one.partition for id_, one in assignments.items()} == {"a_1": Partition(0, 2), "a_2": Partition(1, 2)}
    assert all(one.run == 7 and one.user_classes == CLASSES for one in assignments.values())


def test_a_worker_that_joins_late_gets_an_additional_part() -> None:
    assigner = Assigner()
    assigner.start(7, ["a_1", "a_2"], CLASSES)
    late = [assigner.join(id_) for id_ in ("a_3", "a_4")]
    assert [one.partition for one in late if one is not None] == [Partition(2, 2, late=1), Partition(3, 2, late=2)]
    assert [one.run for one in late if one is not None] == [7, 7]


def test_a_worker_that_asks_again_gets_the_same_assignment() -> None:
    assigner = Assigner()
    first = assigner.start(7, ["a_1"], CLASSES)["a_1"]
    assert assigner.join("a_1") is first
    assert assigner.join("a_2") is assigner.join("a_2")


def test_without_a_test_there_is_no_assignment() -> None:
    assigner = Assigner()
    assert assigner.join("a_1") is None
    assigner.start(7, ["a_1"], CLASSES)
    assigner.end()
    assert assigner.join("a_1") is None
