"""A watch of real connections: users that the server drops, by its own count."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import gevent

from stampede.measure import request_names
from stampede.measure.storm_results import results
from stampede.pool.user_pool import PoolSettings, UserPool
from stampede.websocket.target import resolve
from stampede.workload.placement import Partition, RoomPlan
from tests.processes import start_server
from tests.stampede.connections import until
from tests.stampede.pool.fake_user import FakeUser

if TYPE_CHECKING:
    from stampede.measure.storm_results import StormResult

USERS = 3


def latest(pool: UserPool) -> StormResult:
    return results(pool.storms.parts())[-1]


def are_back(pool: UserPool, outages: int) -> bool:
    result = latest(pool)
    return (result.resynced, result.outages) == (USERS, outages)


def test_users_of_a_killed_and_restarted_server_are_dropped_once_and_have_an_outage_each_time() -> None:
    server = start_server()
    port = server.url.rpartition(":")[2]
    pool = UserPool(
        PoolSettings(RoomPlan(1, None, 1), Partition(0, 1), message_bytes=100, seed=1),
        resolve(f"{server.url}/"),
        iter(()),
    )
    try:
        for _ in range(USERS):
            pool.add_user(FakeUser()).connect()
        pool.start_watch(1)
        assert latest(pool).users == USERS
        for number in (1, 2):
            server.kill()
            until(lambda: pool.occupancy.ready == 0)
            server = start_server("--port", port)
            until(partial(are_back, pool, number * USERS))
            # A room without senders is silent: a pong shows the resync, which no delivery can.
            assert pool.measures.resynced_by_pong == number * USERS
            assert server.samples()["chat_connections_opened_total"] == USERS
        assert not latest(pool).over
        pool.end_watch()
        result = latest(pool)
        assert (result.dropped, result.outages, result.resynced, result.over) == (USERS, 2 * USERS, USERS, True)
        assert pool.measures.requests[request_names.RESYNC].times.count == 2 * USERS
        assert result.watch is not None
        assert (result.watch.lost, sum(result.watch.reconnects_per_second)) == (2 * USERS, 2 * USERS)
        assert pool.client_context.storm is None
        server.kill()
        until(lambda: pool.occupancy.ready == 0)
        gevent.sleep(0)
        assert latest(pool).outages == 2 * USERS, "no drop counts after the end of the watch"
    finally:
        pool.close()
        if not server.stopped:
            server.stop()
