"""The users of one process: their places, rooms, names and tokens, and which session ends when Locust stops a user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stampede.measure.storm import Manner
from stampede.pool.user_pool import PoolSettings, UserPool
from stampede.websocket.target import resolve
from stampede.workload.placement import Partition, RoomPlan
from tests.stampede.pool.fake_owner import FakeOwner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stampede.pool.session import Session


@pytest.fixture
def make_pool() -> Iterator[Callable[..., UserPool]]:
    """Return a function that makes a pool without a server."""
    pools: list[UserPool] = []

    def make(partition: Partition | None = None, tokens: tuple[str, ...] = (), seed: int = 1) -> UserPool:
        settings = PoolSettings(RoomPlan(None, 2), partition or Partition(0, 1), 100, seed, tokens)
        pools.append(UserPool(settings, resolve("ws://127.0.0.1:1/"), iter(())))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()
        assert list(pool.faults) == []


def add_idle(pool: UserPool, count: int) -> tuple[list[FakeOwner], list[Session]]:
    """Add users whose greenlets wait, as those of connected users do."""
    owners = [FakeOwner() for _ in range(count)]
    sessions = []
    for owner in owners:
        owner.session = pool.add_user(owner)
        owner.session.is_idle = True
        sessions.append(owner.session)
    return owners, sessions


def test_users_get_consecutive_places_and_unique_names(make_pool: Callable[..., UserPool]) -> None:
    first, second = make_pool(Partition(0, 2)), make_pool(Partition(1, 2))
    sessions = [pool.add_user(FakeOwner()) for pool in (first, second) for _ in range(3)]
    assert [session.place for session in sessions] == [0, 1, 2, 0, 1, 2]
    names = [pool.user_name(session) for pool, session in zip((first, second), sessions[::3], strict=True)]
    assert names == ["user-000000", "user-000001"]


def test_tokens_are_assigned_in_turn(make_pool: Callable[..., UserPool]) -> None:
    pool = make_pool(tokens=("a", "b"))
    assert [pool.token(pool.add_user(FakeOwner())) for _ in range(3)] == ["a", "b", "a"]
    assert make_pool().token(pool.add_user(FakeOwner())) is None


def test_the_session_at_the_highest_place_ends_in_place_of_the_stopped_one(make_pool: Callable[..., UserPool]) -> None:
    """So that rooms become empty one after the other."""
    pool = make_pool()
    owners, sessions = add_idle(pool, 4)
    pool.remove_user(sessions[0])
    assert owners[3].session is sessions[0]
    assert sessions[0].owner is owners[3]
    assert pool.add_user(FakeOwner()).place == 3


def test_a_session_whose_greenlet_is_busy_ends_itself(make_pool: Callable[..., UserPool]) -> None:
    pool = make_pool()
    owners, sessions = add_idle(pool, 3)
    sessions[0].is_idle = False
    pool.remove_user(sessions[0])
    assert owners[2].session is sessions[2]
    assert pool.add_user(FakeOwner()).place == 0


def test_one_seed_gives_each_process_and_purpose_its_own_random_numbers(make_pool: Callable[..., UserPool]) -> None:
    def draw(pool: UserPool, *stream: object) -> float:
        return pool.rng(*stream).random()

    assert draw(make_pool(), "churn") == draw(make_pool(), "churn")
    others = [draw(make_pool(seed=2), "churn"), draw(make_pool(Partition(1, 2)), "churn"), draw(make_pool(), "storms")]
    assert draw(make_pool(), "churn") not in others


def test_a_storm_without_connected_users_drops_none(make_pool: Callable[..., UserPool]) -> None:
    pool = make_pool()
    add_idle(pool, 2)
    pool.storm(1, 1.0, Manner.ABRUPT)
    (part,) = pool.storm_parts()
    assert (part.users, part.dropped) == (0, 0)


def test_no_storm_starts_during_the_drain(make_pool: Callable[..., UserPool]) -> None:
    pool = make_pool()
    pool.drain()
    pool.storm(1, 1.0, Manner.ABRUPT)
    assert pool.storm_parts() == []
