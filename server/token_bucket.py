"""A token bucket without a clock: every call takes the time."""

from __future__ import annotations

import math


class TokenBucket:
    """A token bucket with a single state variable: the generic cell rate algorithm (ITU-T I.371, annex A).

    Args:
        rate: events allowed per second in the long run; 0: no limit.
        burst: events allowed at once.
    """

    __slots__ = ("_due", "_interval", "_slack")

    def __init__(self, rate: float, burst: float) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._slack = max(burst - 1, 0) * self._interval
        self._due = -math.inf

    def take(self, now: float) -> bool:
        """Return whether an event at `now` seconds is allowed, and count it if so."""
        due = self._due
        if due - now > self._slack:
            return False
        if due < now:  # noqa: PLR1730 - `max` would double this method's cost
            due = now
        self._due = due + self._interval
        return True

    def charge(self, now: float, events: int) -> None:
        """Count events at `now` seconds, allowed or not; `wait` returns the time until they are paid off."""
        self._due = max(self._due, now) + events * self._interval

    def wait(self, now: float) -> float:
        """Return the seconds until the next event is allowed."""
        return max(0.0, self._due - self._slack - now)
