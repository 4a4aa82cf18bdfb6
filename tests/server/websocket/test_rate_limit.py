"""How fast one client may send: each time it sends too much it is told so, and only one that goes on is closed."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest

from server.websocket.endpoints import BURST_SECONDS, RateLimiter

RATE = 10
BURST = BURST_SECONDS * RATE


class Peer:
    """A connection that takes note of what is done to it."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.closed = False

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def close(self, *_reason: object) -> None:
        self.closed = True


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def limit(peer: Peer) -> RateLimiter:
    services: Any = SimpleNamespace(
        settings=SimpleNamespace(message_rate=RATE), stats=SimpleNamespace(rate_limited=Counter())
    )
    return RateLimiter(cast("Any", peer), services)


def send(limit: RateLimiter, number: int, now: float) -> list[bool]:
    """Send so many messages at once; return for each that is dropped whether the client is told."""
    assert limit.pace is not None
    pace = limit.pace
    return [limit.throttle(pace, "messages", now) for _ in range(number) if not pace.take(now)]


def test_each_time_a_client_sends_too_much_it_is_told_once(limit: RateLimiter, peer: Peer) -> None:
    assert send(limit, BURST + 3, 100.0) == [True, False, False]
    assert send(limit, BURST + 2, 200.0) == [True, False]
    assert not peer.closed
    assert len(peer.pauses) == 5


def test_what_was_too_much_long_ago_does_not_close_a_client(limit: RateLimiter, peer: Peer) -> None:
    for hour in range(100):
        send(limit, BURST + 1, 3600.0 * hour)
    assert not peer.closed


def test_a_client_that_goes_on_is_closed(limit: RateLimiter, peer: Peer) -> None:
    dropped = len(send(limit, BURST, 100.0))
    for turn in range(1, 1000):
        dropped += len(send(limit, 2, 100.0 + 0.05 * turn))
        assert peer.closed is (dropped > BURST)
        if peer.closed:
            return
    pytest.fail("it was never closed")
