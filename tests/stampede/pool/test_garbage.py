"""The objects of many users are exempted from full collections while these run."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import gevent
import pytest

from stampede.pool import garbage
from stampede.pool.garbage import GarbageFreezer
from tests.stampede.connections import until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "_POLL_SECONDS", 0.001)
    monkeypatch.setattr(garbage, "_POLLS_TO_JOIN", 10)
    monkeypatch.setattr(garbage, "MIN_CONNECTIONS", 3)


@pytest.fixture
def connections() -> Iterator[list[object]]:
    threshold = gc.get_threshold()
    made: list[object] = []
    freezer = GarbageFreezer(made)
    yield made
    freezer.close()
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == threshold


def poll(times: int) -> None:
    """Let the freezer poll at least so many times."""
    for _ in range(times):
        gevent.sleep(0.002)


def are_frozen(objects: list[list[None]]) -> bool:
    """Return whether all of these objects are frozen, or none; their number alone falls whenever others are freed."""
    considered = {id(each) for each in gc.get_objects()}  # frozen objects are not in it
    (answer,) = {id(each) not in considered for each in objects}
    return answer


def test_nothing_is_frozen_with_few_connections(connections: list[object]) -> None:
    threshold = gc.get_threshold()
    connections += range(2)
    poll(20)
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == threshold


def test_objects_are_frozen_while_the_number_of_connections_grows_and_shortly_after(connections: list[object]) -> None:
    connections += range(3)
    until(lambda: gc.get_freeze_count() > 0)
    assert gc.get_threshold()[0] == garbage._NEW_OBJECTS
    joined = [[None] for _ in range(100)]
    until(lambda: are_frozen(joined))
    poll(30)
    late = [[None] for _ in range(100)]
    poll(30)
    assert not are_frozen(late)
    connections.append(3)
    until(lambda: are_frozen(late))


def test_connections_that_replace_others_are_not_frozen_unless_a_new_test_starts(connections: list[object]) -> None:
    connections += range(4)
    poll(30)
    assert gc.get_freeze_count() > 0
    del connections[3:]
    poll(5)
    replacement = [[None] for _ in range(100)]
    connections.append(0)
    poll(30)
    assert not are_frozen(replacement)
    connections.clear()
    poll(5)
    connections += range(3)
    until(lambda: are_frozen(replacement))
