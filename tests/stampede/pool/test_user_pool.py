"""The users of one process: their places, rooms, names and accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gevent
import pytest

from stampede.health.limits import MAX_OVERDUE_NS
from stampede.measure import request_names
from stampede.measure.storm import Manner
from stampede.pool.user_pool import PoolSettings, UserPool
from stampede.websocket.target import resolve
from stampede.workload.placement import Partition, RoomPlan
from stampede.workload.scheduler import Scheduler
from tests.stampede.pool.fake_user import FakeUser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def make_pool() -> Iterator[Callable[..., UserPool]]:
    """Return a function that makes a pool without a server."""
    pools: list[UserPool] = []

    def make(partition: Partition | None = None, accounts: tuple[dict[str, str], ...] = (), seed: int = 1) -> UserPool:
        settings = PoolSettings(RoomPlan(None, 2), partition or Partition(0, 1), 100, seed, accounts)
        pools.append(UserPool(settings, resolve("ws://127.0.0.1:1/"), iter(())))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()
        assert list(pool.faults) == []


def test_new_users_wait_while_messages_are_late(
    make_pool: Callable[..., UserPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, late = make_pool(), [MAX_OVERDUE_NS + 1] * 3
    monkeypatch.setattr(Scheduler, "overdue_ns", property(lambda _: late.pop() if late else MAX_OVERDUE_NS))
    assert pool.wait_until_on_time() > 0
    assert late == []


def test_new_users_do_not_wait_forever(make_pool: Callable[..., UserPool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scheduler, "overdue_ns", MAX_OVERDUE_NS + 1)
    assert make_pool().wait_until_on_time() >= 500_000_000


def test_users_get_consecutive_places_and_unique_names(make_pool: Callable[..., UserPool]) -> None:
    first, second = make_pool(Partition(0, 2)), make_pool(Partition(1, 2))
    sessions = [pool.add_user(FakeUser()) for pool in (first, second) for _ in range(3)]
    assert [session.place for session in sessions] == [0, 1, 2, 0, 1, 2]
    assert [session.username for session in sessions[::3]] == ["user-000000", "user-000001"]


def test_accounts_are_assigned_in_turn(make_pool: Callable[..., UserPool]) -> None:
    accounts = ({"user": "ann", "token": "a"}, {"user": "", "token": "b"})
    pool = make_pool(accounts=accounts)
    sessions = [pool.add_user(FakeUser()) for _ in range(3)]
    assert [session.account["token"] for session in sessions] == ["a", "b", "a"]
    assert [session.username for session in sessions] == ["ann", "user-000001", "ann"]
    assert make_pool().add_user(FakeUser()).account == {"user": "user-000000", "number": "0"}


def test_the_lowest_place_that_became_free_is_used_again(make_pool: Callable[..., UserPool]) -> None:
    pool = make_pool()
    sessions = [pool.add_user(FakeUser()) for _ in range(4)]
    for number in (3, 1):
        pool.remove_user(sessions[number])
    assert [pool.add_user(FakeUser()).place for _ in range(3)] == [1, 3, 4]


def test_a_room_that_a_scenario_names_has_one_ledger(make_pool: Callable[..., UserPool]) -> None:
    pool = make_pool()
    pool.add_user(FakeUser())
    planned, lobby = pool.room("room-0"), pool.room("lobby")
    assert (planned.number, planned.name) == (0, "room-0")
    assert pool.room("lobby") is lobby
    assert len({room.number for room in (planned, lobby, pool.room("hall"))}) == 3


def test_one_seed_gives_each_process_and_purpose_its_own_random_numbers(make_pool: Callable[..., UserPool]) -> None:
    def draw(pool: UserPool, *stream: object) -> float:
        return pool.rng(*stream).random()

    assert draw(make_pool(), "churn") == draw(make_pool(), "churn")
    others = [draw(make_pool(seed=2), "churn"), draw(make_pool(Partition(1, 2)), "churn"), draw(make_pool(), "storms")]
    assert draw(make_pool(), "churn") not in others


def test_a_storm_without_connected_users_drops_none(make_pool: Callable[..., UserPool]) -> None:
    pool = make_pool()
    pool.add_user(FakeUser())
    pool.storm(1, 1.0, Manner.ABRUPT)
    (part,) = pool.storms.parts()
    assert (part.users, part.dropped) == (0, 0)


def test_no_storm_starts_during_the_drain(make_pool: Callable[..., UserPool]) -> None:
    pool = make_pool()
    pool.drain()
    pool.storm(1, 1.0, Manner.ABRUPT)
    assert pool.storms.parts() == []


def test_a_user_of_a_closed_pool_ends_silently_and_is_not_counted(make_pool: Callable[..., UserPool]) -> None:
    pool = make_pool()
    pool.close()
    user = gevent.spawn(pool.add_user(FakeUser()).connect)
    user.join()
    assert user.successful()  # so gevent logs no traceback
    request = pool.measures.requests[request_names.CONNECT]
    assert (request.times.count, request.failures) == (0, {})
