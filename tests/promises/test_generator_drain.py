"""The drain at the end of a test waits for deliveries in flight, also when this process was slow."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import gevent
from gevent.monkey import get_original

from stampede.pool.user_pool import PoolSettings, UserPool
from stampede.websocket.target import resolve
from stampede.workload.placement import Partition, RoomPlan
from tests.stampede.connections import TIMEOUT
from tests.stampede.pool.fake_user import FakeUser

if TYPE_CHECKING:
    import pytest

    from stampede.websocket.connection import Connection
    from tests.processes import RunningServer

QUIET = 0.3
USERS = 8


def stall(connection: Connection, word: bytes, seconds: float) -> None:
    """Block this process until a word has arrived in a socket's buffer, and then for some seconds more."""
    deadline, found = time.monotonic() + TIMEOUT, b""
    while word not in found:
        assert time.monotonic() < deadline
        get_original("time", "sleep")(0.01)
        with suppress(BlockingIOError):
            found = connection._transport._socket.recv(65536, socket.MSG_PEEK)
    get_original("time", "sleep")(seconds)


def test_messages_that_arrive_during_a_stall_of_this_process_are_not_lost(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even after a long pause without deliveries, and with more data than the hub reads in one iteration."""
    monkeypatch.setattr("stampede.pool.user_pool.QUIET_SECONDS", QUIET)
    monkeypatch.setattr("stampede.websocket.reactor._EVENTS", 1)
    monkeypatch.setattr("stampede.websocket.reactor._ROUNDS", 1)
    settings = PoolSettings(RoomPlan(rooms=1, size=None), Partition(0, 1), message_bytes=100, seed=1)
    pool = UserPool(settings, resolve(f"{server.url}/"), iter(()))
    sender, *_, last = sessions = [pool.add_user(FakeUser()) for _ in range(USERS)]
    for session in sessions:
        session.connect()
    connection = last.connection.connection
    assert connection is not None
    sender.client.say()
    gevent.spawn(stall, connection, b"chatMessage", 2 * QUIET)
    pool.drain()
    deliveries = pool.measures.deliveries
    assert (deliveries.expected, deliveries.received, deliveries.lost) == (USERS - 1, USERS - 1, 0)
    pool.close()
    assert list(pool.faults) == []
