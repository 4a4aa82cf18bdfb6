"""A client that sends too much is slowed down and notified once; it is closed only if it continues."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from server.stats import ServerStats
from server.websocket.rate_limit import BURST_SECONDS, RateLimiter

if TYPE_CHECKING:
    from server.errors import CloseReason

RATE = 10
BURST = BURST_SECONDS * RATE


class FakeConnection:
    """Records how its limiter slows it down and closes it."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.inbound: Any = SimpleNamespace(pause_reading_for=self.pauses.append)
        self.closed = False

    def close(self, _reason: CloseReason, _text: str = "") -> None:
        self.closed = True


@pytest.fixture
def connection() -> FakeConnection:
    return FakeConnection()


@pytest.fixture
def limiter(connection: FakeConnection) -> RateLimiter:
    return RateLimiter(connection, ServerStats(), RATE)


def send(limiter: RateLimiter, number: int, now: float) -> list[bool]:
    """Send messages at once; return for each dropped one whether the client is notified."""
    return [limiter.throttle("messages", now) for _ in range(number) if not limiter.bucket.take(now)]


def test_each_excess_is_reported_to_the_client_once(limiter: RateLimiter, connection: FakeConnection) -> None:
    assert send(limiter, BURST + 3, 100.0) == [True, False, False]
    assert send(limiter, BURST + 2, 200.0) == [True, False]
    assert not connection.closed
    assert len(connection.pauses) == 5


def test_an_excess_of_long_ago_does_not_close_a_client(limiter: RateLimiter, connection: FakeConnection) -> None:
    for hour in range(100):
        send(limiter, BURST + 1, 3600.0 * hour)
    assert not connection.closed


def test_a_client_that_stays_above_its_rate_is_closed(limiter: RateLimiter, connection: FakeConnection) -> None:
    dropped = len(send(limiter, BURST, 100.0))
    for turn in range(1, 1000):
        dropped += len(send(limiter, 2, 100.0 + 0.05 * turn))
        assert connection.closed is (dropped > BURST)
        if connection.closed:
            return
    pytest.fail("the connection was never closed")


def test_a_limiter_without_a_rate_allows_everything(connection: FakeConnection) -> None:
    limiter = RateLimiter(connection, ServerStats(), 0.0)
    assert send(limiter, 1000, 5.0) == []
    for _ in range(1000):
        limiter.count_frame(1, 5.0)
    assert not connection.pauses
