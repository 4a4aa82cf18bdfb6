"""Acknowledgements of chat messages: awaited at the end of a test, and counted as failures if they are missing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from stampede.measure.request_names import ACK
from stampede.pool.user_pool import PoolSettings, UserPool
from stampede.waiting import wait_until
from stampede.websocket.target import join_url, resolve
from stampede.workload.placement import Partition, RoomPlan
from tests.stampede.check.acme import AcmeServer, EchoingDialect
from tests.stampede.connections import TIMEOUT
from tests.stampede.pool.fake_user import FakeUser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stampede.pool.session import Session


@contextmanager
def two_users(server: AcmeServer) -> Iterator[tuple[UserPool, Session]]:
    """Yield a pool of two users in one room, and one of them."""
    dialect = EchoingDialect()
    with server.running() as url:
        settings = PoolSettings(RoomPlan(1, None, 1), Partition(0, 1), message_bytes=100, seed=1)
        pool = UserPool(settings, resolve(join_url(url, dialect.path)), iter(()), dialect)
        sessions = [pool.add_user(FakeUser()) for _ in range(2)]
        for session in sessions:
            session.connect()
        yield pool, sessions[0]
        pool.close()
        assert list(pool.faults) == []


def test_the_end_of_a_test_waits_for_acknowledgements() -> None:
    with two_users(AcmeServer(echoes=True, acknowledges=True)) as (pool, session):
        for _ in range(3):
            session.client.say()
        pool.drain()
        acknowledged = pool.measures.request(ACK)
        assert (acknowledged.times.count, acknowledged.failures) == (3, {})


def test_an_acknowledgement_that_never_arrives_is_a_failure() -> None:
    with two_users(AcmeServer(echoes=True)) as (pool, session):
        for _ in range(2):
            session.client.say()
        assert wait_until(lambda: pool.measures.deliveries.received == 4, TIMEOUT)
        pool.drain(quiet=0.3)
        assert pool.measures.request(ACK).failures == {"no acknowledgement": 2}
