"""The rate limit on the messages of one client."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

from server.errors import CloseReason
from server.protocol.messages import CHUNK_BYTES
from server.token_bucket import TokenBucket

if TYPE_CHECKING:
    from server.stats import ServerStats
    from server.websocket.inbound import InboundStream

BURST_SECONDS: Final = 2
"""A client may send at once what its rate allows in this time."""


class Throttled(Protocol):
    """The connection that a limiter slows down."""

    inbound: InboundStream

    def close(self, reason: CloseReason, text: str = "") -> None:
        """Send a close frame and end the connection."""


class RateLimiter:
    """Slow down a client that sends above its rate, and close its connection if it continues.

    Args:
        peer: the client's connection.
        stats: each message and frame above the limit is counted here.
        rate: messages per second; 0: any number.

    Attributes:
        bucket: counts the client's messages.
    """

    __slots__ = ("_burst", "_excess", "_peer", "_stats", "_throttled_at", "bucket")

    def __init__(self, peer: Throttled, stats: ServerStats, rate: float) -> None:
        self._burst = BURST_SECONDS * rate
        self.bucket = TokenBucket(rate, self._burst)
        self._peer = peer
        self._stats = stats
        self._excess = 0  # messages above the limit since the client last kept to it
        self._throttled_at = -math.inf

    def throttle(self, label: str, now: float) -> bool:
        """Count a message above the limit and pause reading; close after a burst of such messages.

        Returns:
            Whether this is the first message above the limit since the client last kept to it.
        """
        self._stats.rate_limited[label] += 1
        # A client that has kept to its rate for the length of a burst starts again.
        self._excess = 1 if now - self._throttled_at >= BURST_SECONDS else self._excess + 1
        self._throttled_at = now
        if self._excess > self._burst:
            self._peer.close(CloseReason.POLICY, "too many messages")
        else:
            self._peer.inbound.pause_reading_for(self.bucket.wait(now))
        return self._excess == 1

    def count_frame(self, size: int, now: float) -> None:
        """Count a control frame, a fragment or a small binary frame: each costs as much as a message."""
        if size < CHUNK_BYTES and not self.bucket.take(now):
            self.throttle("frames", now)
