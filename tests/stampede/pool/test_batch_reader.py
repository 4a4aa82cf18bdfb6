"""Untimed users are read in batches, except while they wait for an answer. The interval is longer than the test."""

from __future__ import annotations

import select
from random import Random
from typing import TYPE_CHECKING

import gevent
import pytest

from stampede.client.chat_connection import MAX_BATCH_BYTES, ChatConnection
from stampede.measure.storm import Manner
from stampede.pool.batch_reader import BatchSettings
from stampede.pool.user_pool import PoolSettings, UserPool
from stampede.websocket.target import resolve
from stampede.workload.placement import Partition, RoomPlan
from stampede.workload.timed_users import TimedUsers, is_timed
from tests.stampede.connections import TIMEOUT, until
from tests.stampede.pool.fake_user import FakeUser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stampede.pool.session import Session
    from tests.processes import RunningServer

HOUR = 3600.0
USERS = 6


@pytest.fixture
def start_users(server: RunningServer) -> Iterator[Callable[..., tuple[UserPool, list[Session]]]]:
    """Return a function that connects users in one room, of whom `least` are timed."""
    pools: list[UserPool] = []

    def start(least: int = 0, interval: float = HOUR) -> tuple[UserPool, list[Session]]:
        batches = BatchSettings(interval, TimedUsers(0.0, least))
        settings = PoolSettings(RoomPlan(1, None), Partition(0, 1), message_bytes=100, seed=1, batches=batches)
        pool = UserPool(settings, resolve(f"{server.url}/"), iter(()))
        pools.append(pool)
        sessions = [pool.add_user(FakeUser()) for _ in range(USERS)]
        for session in sessions:
            session.connect()
        return pool, sessions

    yield start
    for pool in pools:
        pool.close()
        assert list(pool.faults) == []


def read_once(sessions: list[Session]) -> None:
    """Read every untimed user once, as the reader does each interval; from then on, none is watched."""
    for session in sessions:
        if not session.connection.handler.is_timed:
            session.connection.read_batch()


def read_all(pool: UserPool, sessions: list[Session]) -> bool:
    """Read every untimed user once; return whether nothing is in flight any more."""
    read_once(sessions)
    return pool.measures.deliveries.in_flight == 0


def descriptor(session: Session) -> int:
    assert session.connection.connection is not None
    return session.connection.connection._fd


def is_watched(session: Session) -> bool:
    assert session.connection.connection is not None
    return session.connection.connection.is_watched


def test_deliveries_to_untimed_users_are_counted_without_a_latency(
    start_users: Callable[..., tuple[UserPool, list[Session]]],
) -> None:
    pool, sessions = start_users()
    read_once(sessions)
    for session in sessions:
        session.client.say()
    sent = USERS * (USERS - 1)
    until(lambda: len(select.select(map(descriptor, sessions), [], [], 0)[0]) == USERS)
    gevent.sleep(0)
    assert pool.measures.deliveries.received == 0
    until(lambda: read_all(pool, sessions))
    assert (pool.measures.deliveries.expected, pool.measures.deliveries.received) == (sent, sent)
    assert pool.measures.latency.intended.count == 0
    row = pool.measures.figures(timed_users=pool.batch_reader.timed_users).request("deliver")
    assert (row.count, row.failures) == (sent, 0)


def test_timed_and_untimed_users_share_a_room(start_users: Callable[..., tuple[UserPool, list[Session]]]) -> None:
    pool, sessions = start_users(least=2)
    pool.batch_reader.draw()
    timed = [session for session in sessions if session.connection.handler.is_timed]
    offset = Random("1/timed").random()
    assert timed == [session for session in sessions if is_timed(session.place, 2 / USERS, offset)]
    assert 0 < len(timed) < USERS
    read_once(sessions)
    for _ in range(10):
        sessions[0].client.say()
    timed_deliveries = 10 * sum(session is not sessions[0] for session in timed)
    until(lambda: pool.measures.deliveries.received == timed_deliveries)
    read_once(sessions)
    assert pool.measures.latency.intended.count == timed_deliveries
    until(lambda: read_all(pool, sessions))
    assert pool.measures.deliveries.received == 10 * (USERS - 1)


def test_what_waited_for_the_next_batch_has_no_latency_even_if_its_user_is_timed_from_then_on(
    start_users: Callable[..., tuple[UserPool, list[Session]]],
) -> None:
    pool, sessions = start_users()
    read_once(sessions)
    sessions[0].client.say()
    until(lambda: len(select.select(map(descriptor, sessions[1:]), [], [], 0)[0]) == USERS - 1)
    pool.batch_reader.change(TimedUsers(1.0))
    assert pool.batch_reader.draw() == []
    until(lambda: pool.measures.deliveries.received == USERS - 1)
    assert pool.measures.latency.intended.count == 0
    sessions[0].client.say()
    until(lambda: pool.measures.latency.intended.count == USERS - 1)


def test_the_draw_follows_the_number_of_users(start_users: Callable[..., tuple[UserPool, list[Session]]]) -> None:
    pool, sessions = start_users(least=3)
    assert len(pool.batch_reader.draw()) == USERS - pool.batch_reader.timed_users > 0
    for session in sessions[3:]:
        pool.remove_user(session)
    assert pool.batch_reader.draw() == []
    assert pool.batch_reader.timed_users == 3


def test_timed_users_are_served_between_two_batches(
    start_users: Callable[..., tuple[UserPool, list[Session]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, sessions = start_users(least=2)
    untimed = pool.batch_reader.draw()
    read_once(sessions)
    (timed, *_) = [session for session in sessions if session.connection.handler.is_timed]
    sender = next(session for session in sessions if session is not timed)
    sender.client.say()
    until(lambda: read_all(pool, sessions))  # after it, only the next message makes a socket readable
    before = pool.measures.latency.intended.count
    received: list[int] = []
    read_batch = ChatConnection.read_batch

    def read_slowly(connection: ChatConnection) -> None:
        received.append(pool.measures.latency.intended.count)
        read_batch(connection)
        if len(received) == 1:
            sender.client.say()
            select.select([descriptor(timed)], [], [], TIMEOUT)

    monkeypatch.setattr(ChatConnection, "read_batch", read_slowly)
    pool.batch_reader.read(untimed)
    assert received[0] == before
    assert received[1] > before


def test_the_drain_reads_what_has_not_been_read(start_users: Callable[..., tuple[UserPool, list[Session]]]) -> None:
    pool, sessions = start_users()
    read_once(sessions)
    sessions[0].client.say()
    assert pool.measures.deliveries.in_flight == USERS - 1
    pool.drain()
    deliveries = pool.measures.deliveries
    assert (deliveries.received, deliveries.lost, deliveries.in_flight) == (USERS - 1, 0, 0)


def test_an_untimed_user_that_waits_for_an_answer_is_watched(
    start_users: Callable[..., tuple[UserPool, list[Session]]],
) -> None:
    _, (session, *others) = start_users()
    read_once([session, *others])
    assert not is_watched(session)
    session.client.ping()
    assert is_watched(session)
    read_once([session])
    assert is_watched(session) or not session.connection.handler.pings.are_pending
    until(lambda: not session.connection.handler.pings.are_pending)
    read_once([session])
    assert not is_watched(session)
    assert session.join("room-9")
    session.drop(Manner.ABRUPT)
    until(lambda: session.connection.is_ready)
    assert is_watched(session)
    with gevent.Timeout(TIMEOUT):
        session.end()


def test_an_untimed_user_resyncs_with_its_first_delivery_after_a_storm(
    start_users: Callable[..., tuple[UserPool, list[Session]]],
) -> None:
    pool, sessions = start_users()
    sender = sessions[0]
    sender.sends_messages()  # so that a delivery, not a pong, shows the resync
    pool.storm(1, 1.0, Manner.ABRUPT)
    until(lambda: all(session.connection.is_ready for session in sessions))
    sender.client.say()
    others = USERS - 1
    until(lambda: pool.storms.parts()[0].resync.count == others + 1)  # the sender has no other sender: a pong
    assert pool.measures.resynced_by_pong == 1
    assert pool.measures.latency.intended.count == 0


def test_a_user_that_receives_very_much_is_watched(start_users: Callable[..., tuple[UserPool, list[Session]]]) -> None:
    pool, sessions = start_users()
    read_once(sessions)
    while is_watched(sessions[1]) is False:
        for _ in range(MAX_BATCH_BYTES // 100):
            sessions[0].client.say()
        gevent.sleep(0.01)
        read_once(sessions[1:2])
    until(lambda: pool.measures.deliveries.received > 0)
    read_once(sessions[1:2])
    assert is_watched(sessions[1])  # for some intervals


def test_each_interval_reads_every_untimed_user(start_users: Callable[..., tuple[UserPool, list[Session]]]) -> None:
    pool, sessions = start_users(interval=0.05)
    until(lambda: not any(map(is_watched, sessions)))
    sessions[0].client.say()
    until(lambda: pool.measures.deliveries.received == USERS - 1)
