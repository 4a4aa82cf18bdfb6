"""Resync in silent rooms: a pong takes the place of the missing delivery, and the summary reports it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from stampede.measure import request_names
from stampede.measure.storm import Manner
from stampede.pool.user_pool import PoolSettings, UserPool
from stampede.websocket.target import resolve
from stampede.workload.placement import Partition, RoomPlan
from tests.promises.faulty_server import faulty_server
from tests.stampede.connections import until
from tests.stampede.pool.fake_user import FakeUser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stampede.pool.session import Session
    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust


@pytest.fixture
def pool(server: RunningServer) -> Iterator[UserPool]:
    settings = PoolSettings(RoomPlan(rooms=1, size=None), Partition(0, 1), message_bytes=100, seed=1)
    made = UserPool(settings, resolve(f"{server.url}/"), iter(()))
    yield made
    made.close()
    assert list(made.faults) == []


def add_connected(pool: UserPool) -> Session:
    session = pool.add_user(FakeUser())
    session.connect()
    return session


def drop_and_reconnect(session: Session) -> None:
    session.drop(Manner.ABRUPT)
    session.connect()


def resyncs(pool: UserPool) -> tuple[int, int]:
    """Return how many users resynced, and how many of these by a pong."""
    return pool.measures.requests[request_names.RESYNC].times.count, pool.measures.resynced_by_pong


def test_in_a_room_without_senders_a_pong_shows_the_resync(pool: UserPool) -> None:
    session, listener = add_connected(pool), add_connected(pool)
    listener.client.ping()
    until(lambda: pool.measures.requests[request_names.PING].times.count == 1)
    drop_and_reconnect(session)
    until(lambda: resyncs(pool) == (1, 1))
    assert session.resync.dropped_at == 0
    assert pool.measures.requests[request_names.PING].failures == {}
    assert pool.measures.requests[request_names.PING].times.count == 1  # that pong is not timed as a ping


def test_the_only_sender_of_a_room_is_resynced_by_a_pong(pool: UserPool) -> None:
    session = add_connected(pool)
    session.sends_messages()
    drop_and_reconnect(session)
    until(lambda: resyncs(pool) == (1, 1))


def test_in_a_room_with_another_sender_only_a_delivery_shows_the_resync(pool: UserPool) -> None:
    session, sender = add_connected(pool), add_connected(pool)
    sender.sends_messages()
    drop_and_reconnect(session)
    session.client.ping()
    until(lambda: pool.measures.requests[request_names.PING].times.count == 1)  # a pong has arrived, but no delivery
    assert resyncs(pool) == (0, 0)
    sender.client.say()
    until(lambda: resyncs(pool) == (1, 0))


def test_a_room_whose_only_sender_has_stopped_is_silent(pool: UserPool) -> None:
    session, sender = add_connected(pool), add_connected(pool)
    sender.sends_messages()
    pool.remove_user(sender)
    drop_and_reconnect(session)
    until(lambda: resyncs(pool) == (1, 1))


def test_the_summary_says_how_many_storm_users_were_resynced_by_a_pong(
    locust: Callable[..., Locust], server: RunningServer
) -> None:
    flags = ("-u", "6", "-r", "6", "-t", "8s", "--storm-period", "2", "--backoff", "none", "ReconnectStormUser")
    ended = locust("--headless", "--host", server.url, *flags, "--threshold", "resync_p95<60s").wait()
    assert ended.ended_with(0), ended.out + ended.log
    found = re.search(r"resync +(\d+) of (\d+) drops", ended.out)
    assert found is not None, ended.out
    assert 0 < int(found[1]) <= int(found[2])
    assert f"{found[1]} of these by a pong: no other user sends in their rooms" in ended.out
    assert ended.requests()["resync"] == (int(found[1]), 0)


def test_without_deliveries_and_pongs_the_summary_says_that_no_user_was_resynced(
    locust: Callable[..., Locust],
) -> None:
    flags = ("-u", "6", "-r", "6", "-t", "8s", "--storm-period", "2", "--backoff", "none", "ReconnectStormUser")
    with faulty_server(no_pong=True) as server:
        ended = locust("--headless", "--host", server.url, *flags, "--threshold", "resync_p95<60s").wait()
    assert ended.code == 98
    assert re.search(r"resync      none after \d+ drops", ended.out), ended.out
    assert "resync_p95<60s       unmeasured" in ended.out


def test_the_summary_says_when_a_run_was_too_short_for_a_storm(
    locust: Callable[..., Locust], server: RunningServer
) -> None:
    ended = locust("--headless", "--host", server.url, "-u", "4", "-r", "4", "-t", "2s", "ReconnectStormUser").wait()
    assert "no storm: ReconnectStormUsers drop every 30 s (--storm-period)" in ended.out
