"""The end of a pool: what is under way is heard out, whoever was slow."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from time import monotonic_ns
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event
from gevent.monkey import get_original

from stampede.pool.user_pool import PoolSettings, UserPool
from stampede.websocket.target import resolve
from stampede.workload.placement import Partition, RoomPlan
from tests.stampede.connections import PATIENCE

if TYPE_CHECKING:
    import pytest

    from stampede.pool.session import Session
    from stampede.websocket.connection import Connection
    from tests.processes import RunningServer

QUIET = 0.3
USERS = 8


class Lender:
    """Stands in for a Locust user."""

    def __init__(self) -> None:
        self.wake = Event()
        self.session: Session | None = None


def stall(connection: Connection, word: bytes, seconds: float) -> None:
    """Let nobody else in this process run until a word lies in a socket, and then so long."""
    deadline, found = time.monotonic() + PATIENCE, b""
    while word not in found:
        assert time.monotonic() < deadline
        get_original("time", "sleep")(0.01)
        with suppress(BlockingIOError):
            found = connection._socket.recv(65536, socket.MSG_PEEK)
    get_original("time", "sleep")(seconds)


def test_what_comes_in_a_stall_of_this_process_is_not_lost(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it was quiet for so long, and though there is more than the loop reads in one turn."""
    monkeypatch.setattr("stampede.pool.user_pool.QUIET_SECONDS", QUIET)
    monkeypatch.setattr("stampede.websocket.reactor._EVENTS", 1)
    monkeypatch.setattr("stampede.websocket.reactor._ROUNDS", 1)
    settings = PoolSettings(RoomPlan(rooms=1, size=None), Partition(0, 1), message_bytes=100, seed=1)
    pool = UserPool(settings, resolve(f"{server.url}/"), iter(()))
    talker, *_, last = sessions = [pool.add_user(Lender()) for _ in range(USERS)]
    for session in sessions:
        session.connect()
    connection = last.client.connection
    assert connection is not None
    talker.client.say(monotonic_ns())
    gevent.spawn(stall, connection, b"chatMessage", 2 * QUIET)
    pool.drain()
    tally = pool.measures.deliveries
    assert (tally.expected, tally.received, tally.lost) == (USERS - 1, USERS - 1, 0)
    pool.close()
    assert list(pool.faults) == []
