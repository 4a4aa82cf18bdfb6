"""The chat messages of one user that cannot be sent yet; pure, times are arguments.

A message that is due while its connection is congested or lost waits here with its intended send time. It is stamped
when it is sent. So latency from the sent time begins when the bytes leave, and latency from the intended time begins
when they should have left. The server causes the difference, not the load generator.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

MAX_AGE: Final = 5_000_000_000
"""Nanoseconds after its due time at which a message that could not be sent is skipped."""

CAPACITY: Final = 256
"""Messages in one outbox: five seconds of a user that sends fifty per second."""


class QueuedMessage(NamedTuple):
    """A message that waits.

    Attributes:
        intended: due time, in monotonic nanoseconds.
        lag: nanoseconds after the due time at which the load generator was ready to send it.
        body: the text after its stamp, escaped by the dialect.
        room: name of the room; None for the client's first room.
    """

    intended: int
    lag: int
    body: bytes
    room: str | None


class Outbox:
    """A bounded queue of messages, oldest first."""

    __slots__ = ("_queue",)

    def __init__(self) -> None:
        self._queue: deque[QueuedMessage] | None = None  # created on first use: most users never need one

    def __len__(self) -> int:
        """Return how many messages are queued."""
        return len(self._queue) if self._queue else 0

    def push(self, message: QueuedMessage) -> bool:
        """Queue a message; return False when the outbox is full."""
        if self._queue is None:
            self._queue = deque()
        if len(self._queue) >= CAPACITY:
            return False
        self._queue.append(message)
        return True

    def pop(self) -> QueuedMessage | None:
        """Remove the oldest message and return it; None when there is none."""
        return self._queue.popleft() if self._queue else None

    def expire(self, now: int) -> int:
        """Remove the messages that are older than `MAX_AGE`; return how many."""
        expired = 0
        while self._queue and now - self._queue[0].intended > MAX_AGE:
            self._queue.popleft()
            expired += 1
        return expired

    def clear(self) -> int:
        """Remove all messages; return how many."""
        removed = len(self)
        self._queue = None
        return removed
