"""Resync in rooms where nobody speaks: a pong stands in for the delivery that never comes, and the summary says so."""

from __future__ import annotations

import re
from time import monotonic_ns
from typing import TYPE_CHECKING

import pytest

from stampede.measure import request_names
from stampede.measure.storm import Manner
from stampede.pool.user_pool import PoolSettings, UserPool
from stampede.websocket.target import resolve
from stampede.workload.placement import Partition, RoomPlan
from stampede.workload.schedule import Action, regular
from tests.promises.test_generator_drain import Lender
from tests.promises.test_honest_verdicts import faulty_server
from tests.stampede.connections import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stampede.pool.session import Session
    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust

NEVER = 3_600_000_000_000  # nanoseconds


@pytest.fixture
def pool(server: RunningServer) -> Iterator[UserPool]:
    settings = PoolSettings(RoomPlan(rooms=1, size=None), Partition(0, 1), message_bytes=100, seed=1)
    made = UserPool(settings, resolve(f"{server.url}/"), iter(()))
    yield made
    made.close()
    assert list(made.faults) == []


def arrive(pool: UserPool) -> Session:
    session = pool.add_user(Lender())
    session.connect()
    return session


def drop_and_return(session: Session) -> None:
    session.drop(Manner.ABRUPT, None)
    session.connect()


def resyncs(pool: UserPool) -> tuple[int, int]:
    """Return how many users resynced, and how many of these by a pong."""
    return pool.measures.requests[request_names.RESYNC].times.count, pool.measures.resynced_by_pong


def test_where_nobody_speaks_a_user_is_resynced_by_a_pong(pool: UserPool) -> None:
    session, listener = arrive(pool), arrive(pool)
    listener.follow(regular(NEVER, pool.rng("pings"), Action.PING), sends_messages=False)
    drop_and_return(session)
    until(lambda: resyncs(pool) == (1, 1))
    assert session.dropped_at == 0
    assert pool.measures.requests[request_names.PING].failures == {}
    assert pool.measures.requests[request_names.PING].times.count == 0  # it was asked for nothing else


def test_who_speaks_alone_in_its_room_has_no_delivery_to_wait_for(pool: UserPool) -> None:
    session = arrive(pool)
    session.follow(regular(NEVER, pool.rng("messages"), Action.SAY))
    drop_and_return(session)
    until(lambda: resyncs(pool) == (1, 1))


def test_where_somebody_speaks_only_a_delivery_counts_however_long_it_takes(pool: UserPool) -> None:
    session, speaker = arrive(pool), arrive(pool)
    speaker.follow(regular(NEVER, pool.rng("messages"), Action.SAY))
    drop_and_return(session)
    session.client.ping(monotonic_ns())
    until(lambda: pool.measures.requests[request_names.PING].times.count == 1)  # a pong has come, and is no delivery
    assert resyncs(pool) == (0, 0)
    speaker.perform(Action.SAY, monotonic_ns())
    until(lambda: resyncs(pool) == (1, 0))


def test_a_room_whose_only_speaker_has_stopped_is_silent(pool: UserPool) -> None:
    session, speaker = arrive(pool), arrive(pool)
    speaker.follow(regular(NEVER, pool.rng("messages"), Action.SAY))
    pool.remove_user(speaker)
    drop_and_return(session)
    until(lambda: resyncs(pool) == (1, 1))


def test_storm_users_alone_are_resynced_and_the_summary_says_by_what(
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


def test_without_deliveries_and_pongs_the_summary_says_that_nobody_was_resynced(
    locust: Callable[..., Locust],
) -> None:
    flags = ("-u", "6", "-r", "6", "-t", "8s", "--storm-period", "2", "--backoff", "none", "ReconnectStormUser")
    with faulty_server(no_pong=True) as server:
        ended = locust("--headless", "--host", server.url, *flags, "--threshold", "resync_p95<60s").wait()
    assert ended.code == 98
    assert re.search(r"resync      none after \d+ drops", ended.out), ended.out
    assert "resync_p95<60s       unmeasured" in ended.out


def test_a_run_that_is_shorter_than_the_storms_period_says_that_none_struck(
    locust: Callable[..., Locust], server: RunningServer
) -> None:
    ended = locust("--headless", "--host", server.url, "-u", "4", "-r", "4", "-t", "2s", "ReconnectStormUser").wait()
    assert "no storm struck: ReconnectStormUsers drop every 30 s (--storm-period)" in ended.out
