"""The occupancy, which joins and leaves update, equals a count of all users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stampede.measure.storm import Manner
from stampede.pool.user_pool import PoolSettings, UserPool
from stampede.websocket.target import resolve
from stampede.workload.placement import Partition, RoomPlan
from tests.stampede.connections import until
from tests.stampede.pool.fake_user import FakeUser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stampede.pool.session import Session
    from tests.processes import RunningServer

USERS = 6
SIZE = 2


@pytest.fixture
def pool(server: RunningServer) -> Iterator[UserPool]:
    settings = PoolSettings(RoomPlan(None, SIZE), Partition(0, 1), message_bytes=100, seed=1, reconnect=False)
    made = UserPool(settings, resolve(f"{server.url}/"), iter(()))
    yield made
    made.close()


def occupancy(pool: UserPool) -> tuple[int, int, int]:
    return pool.occupancy.ready, pool.occupancy.rooms, pool.occupancy.members


def counted(sessions: list[Session]) -> tuple[int, int, int]:
    """Return ready users, rooms and members from a loop over all users."""
    joined = [
        membership.room
        for session in sessions
        for membership in session.connection.handler.memberships.values()
        if membership.joined
    ]
    return sum(session.connection.is_ready for session in sessions), len(set(map(id, joined))), len(joined)


def test_joins_leaves_and_ends_are_counted(pool: UserPool) -> None:
    sessions = [pool.add_user(FakeUser()) for _ in range(USERS)]
    for number, session in enumerate(sessions, start=1):
        session.connect()
        assert occupancy(pool) == counted(sessions) == (number, (number + 1) // SIZE, number)
    one, other, *rest = sessions
    one.client.join("another")  # the server moves its user there
    assert occupancy(pool) == counted(sessions) == (USERS, USERS // SIZE + 1, USERS)
    one.client.leave("another")
    assert occupancy(pool) == counted(sessions) == (USERS - 1, USERS // SIZE, USERS - 1)
    other.drop(Manner.ABRUPT)
    until(lambda: occupancy(pool) == counted(sessions) == (USERS - 2, USERS // SIZE - 1, USERS - 2))
    for session in rest:
        pool.remove_user(session)
    assert occupancy(pool) == counted(sessions) == (0, 0, 0)
