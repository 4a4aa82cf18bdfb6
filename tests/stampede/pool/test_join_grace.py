"""Users of a server without confirmed joins: joined at the first delivery over a new connection, or after a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stampede.pool.user_pool import PoolSettings, UserPool
from stampede.websocket.target import join_url, resolve
from stampede.workload.placement import Partition, RoomPlan
from tests.stampede.check.acme import AcmeServer, UnconfirmedDialect
from tests.stampede.connections import until
from tests.stampede.pool.fake_user import FakeUser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stampede.pool.session import Session

NEVER = 3600.0


@pytest.fixture
def server() -> AcmeServer:
    return AcmeServer()


@pytest.fixture
def pool(server: AcmeServer) -> Iterator[UserPool]:
    dialect = UnconfirmedDialect()
    with server.running() as url:
        settings = PoolSettings(RoomPlan(1, None, 1), Partition(0, 1), message_bytes=100, seed=1, join_grace=0)
        made = UserPool(settings, resolve(join_url(url, dialect.path)), iter(()), dialect)
        yield made
        made.drain(0)
        made.close()
        assert list(made.faults) == []


def joining(pool: UserPool, grace: float) -> Session:
    """Return a user that has sent its join."""
    pool.client_context.join_grace = grace
    session = pool.add_user(FakeUser())
    assert not session.try_connect()
    return session


def test_a_user_counts_as_joined_at_its_first_delivery(pool: UserPool, server: AcmeServer) -> None:
    ann = joining(pool, 0)
    until(lambda: ann.connection.is_ready)
    bob = joining(pool, NEVER)
    until(lambda: server.seen.count("join room-0") == 2)
    assert not bob.connection.is_ready
    ann.client.say()
    until(lambda: bob.connection.is_ready)
    assert pool.measures.unconfirmed_joins == 2
    bob.client.say()
    ann.client.say()
    until(lambda: pool.measures.deliveries.received == 3)
    counts = pool.measures.deliveries
    assert (counts.expected, counts.lost, counts.duplicated) == (3, 0, 0)


def test_a_user_counts_as_joined_after_the_grace_without_a_delivery(pool: UserPool) -> None:
    ann = joining(pool, 0.01)
    assert not ann.connection.is_ready
    until(lambda: ann.connection.is_ready)
    assert pool.measures.unconfirmed_joins == 1


def test_a_delivery_of_an_earlier_membership_of_the_connection_confirms_no_join(
    pool: UserPool, server: AcmeServer
) -> None:
    ann, bob = (joining(pool, 0) for _ in range(2))
    until(lambda: ann.connection.is_ready and bob.connection.is_ready)
    pool.client_context.join_grace = NEVER
    bob.leave("room-0")
    bob.join("room-0")
    until(lambda: server.seen.count("join room-0") == 3)
    ann.client.say()
    until(lambda: pool.measures.deliveries.received == 1)
    assert not bob.connection.is_ready
