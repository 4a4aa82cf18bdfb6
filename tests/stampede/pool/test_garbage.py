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


def frozen_after(polls: int) -> int:
    """Return the number of frozen objects after at least so many polls."""
    for _ in range(polls):
        gevent.sleep(0.002)
    return gc.get_freeze_count()


def test_nothing_is_frozen_with_few_connections(connections: list[object]) -> None:
    threshold = gc.get_threshold()
    connections += range(2)
    assert frozen_after(20) == 0
    assert gc.get_threshold() == threshold


def test_objects_are_frozen_while_the_number_of_connections_grows_and_shortly_after(connections: list[object]) -> None:
    connections += range(3)
    until(lambda: gc.get_freeze_count() > 0)
    assert gc.get_threshold()[0] == garbage._NEW_OBJECTS
    joined = [[None] for _ in range(100)]
    frozen = gc.get_freeze_count()
    until(lambda: gc.get_freeze_count() >= frozen + len(joined))
    frozen = frozen_after(30)
    late = [[None] for _ in range(100)]
    assert frozen_after(30) == frozen
    connections.append(3)
    until(lambda: gc.get_freeze_count() >= frozen + len(late))


def test_connections_that_replace_others_are_not_frozen_unless_a_new_test_starts(connections: list[object]) -> None:
    connections += range(4)
    frozen = frozen_after(30)
    assert frozen > 0
    del connections[3:]
    frozen_after(5)
    replacement = [[None] for _ in range(100)]
    connections.append(0)
    assert frozen_after(30) == frozen
    connections.clear()
    frozen_after(5)
    connections += range(3)
    until(lambda: gc.get_freeze_count() >= frozen + len(replacement))
