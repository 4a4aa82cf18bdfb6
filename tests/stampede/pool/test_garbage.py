"""The objects of many users are exempted from full collections while these run."""

from __future__ import annotations

import gc

import gevent
import pytest

from stampede.pool import garbage
from stampede.pool.garbage import GarbageFreezer
from tests.stampede.connections import until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "_POLL_SECONDS", 0.001)
    monkeypatch.setattr(garbage, "MIN_USERS", 3)


def test_objects_are_frozen_once_the_number_of_users_stays_the_same() -> None:
    users: list[int] = []
    before = gc.get_freeze_count()
    freezer = GarbageFreezer(users)
    try:
        users += [1, 2]
        gevent.sleep(0.05)
        assert gc.get_freeze_count() == before
        users += [3]
        until(lambda: gc.get_freeze_count() > before)
    finally:
        freezer.close()
    assert gc.get_freeze_count() == 0
