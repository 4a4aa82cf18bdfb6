"""A drain spreads its closes over the drain time, and waits for uploads until the deadline."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

import pytest

from server.drain import Drain
from server.errors import CloseReason

if TYPE_CHECKING:
    from server.websocket.connection import Connection


class FakeConnection:
    """Records when and with which text it was closed; `busy_until` is the end of its upload."""

    def __init__(self, busy_until: float = 0.0) -> None:
        self.busy_until = busy_until
        self.closed_at = 0.0
        self.text = ""

    @property
    def is_busy(self) -> bool:
        return time.perf_counter() < self.busy_until

    def close(self, reason: CloseReason, text: str, *, finish_reading: bool) -> None:
        assert (reason, finish_reading, self.text) == (CloseReason.DRAIN, True, "")
        self.closed_at = time.perf_counter()
        self.text = text


def drain(connections: list[FakeConnection], seconds: float) -> float:
    """Run a drain; return when it started."""
    start = time.perf_counter()
    asyncio.run(Drain(cast("list[Connection]", connections), seconds, time.perf_counter).run())
    return start


def retries(connections: list[FakeConnection]) -> list[int]:
    return sorted(int(connection.text.removeprefix("restart retry_ms=")) for connection in connections)


def test_closes_are_spread_over_the_drain_time() -> None:
    connections = [FakeConnection() for _ in range(5)]
    start = drain(connections, 0.5)
    delays = sorted(connection.closed_at - start for connection in connections)
    assert all(delay >= 0.1 * number - 0.01 for number, delay in enumerate(delays, 1))
    assert retries(connections) == [500, 600, 700, 800, 900]


def test_without_a_drain_time_all_connections_are_closed_at_once_with_different_retry_times() -> None:
    connections = [FakeConnection() for _ in range(1000)]
    drain(connections, 0.0)
    assert retries(connections) == list(range(500, 1500))


def test_a_drain_without_connections_ends_at_once() -> None:
    assert time.perf_counter() - drain([], 3600.0) < 60


@pytest.mark.parametrize(("upload", "is_closed_early"), [(0.2, True), (3600.0, False)])
def test_a_connection_is_closed_when_its_upload_ends_or_at_the_deadline(
    upload: float, *, is_closed_early: bool
) -> None:
    busy, other = FakeConnection(time.perf_counter() + upload), FakeConnection()
    start = drain([busy, other], 0.4)
    assert other.text
    assert busy.closed_at >= (busy.busy_until if is_closed_early else start + 0.4)
