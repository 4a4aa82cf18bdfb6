"""What a user would say and cannot yet, since nothing takes it: pure, the time comes in.

A message that is due while its connection takes no more bytes, or while there is none, waits here with its intended
moment and is sent as soon as it can be; it gets its *sent* stamp only then. So the sent clock begins when the bytes
leave, the intended one when they should have, and what lies between is the server's doing, not the generator's.
"""

from __future__ import annotations

from collections import deque
from typing import Final

SKIP_AFTER: Final = 5_000_000_000
"""Nanoseconds after which a message that could not be sent is not sent any more."""

MOST: Final = 256
"""Messages that wait at a time: five seconds of somebody who says fifty a second."""


class Outbox:
    """The messages of one user that wait, oldest first; what does not fit is refused, what is too old is given up."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, int]] | None = None  # most users never need one

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting) if self._waiting else 0

    def keep(self, intended: int, lag: int) -> bool:
        """Keep a message that was due at `intended` and that the generator brought `lag` ns later; False when full."""
        if self._waiting is None:
            self._waiting = deque()
        if len(self._waiting) >= MOST:
            return False
        self._waiting.append((intended, lag))
        return True

    def next(self) -> tuple[int, int] | None:
        """Take out the oldest; return its moment and its lag."""
        return self._waiting.popleft() if self._waiting else None

    def expire(self, now: int) -> int:
        """Give up what was due too long ago; return how many."""
        given_up = 0
        while self._waiting and now - self._waiting[0][0] > SKIP_AFTER:
            self._waiting.popleft()
            given_up += 1
        return given_up

    def clear(self) -> int:
        """Give up all; return how many."""
        given_up = len(self)
        self._waiting = None
        return given_up
