"""The time line of a drill: when users and latency were as before the command. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from capacity.judge.limits import DEFAULT_LIMITS
from capacity.record.drill import DrillSecond

CALM_READINGS: Final = 5
"""Readings in a row, about a second apart, that are as before: then a drill ends."""

_LATENCY_FACTOR: Final = 2.0
_READY: Final = DEFAULT_LIMITS.ready


@dataclass(slots=True)
class Timeline:
    """The readings of a drill.

    Attributes:
        users: users in their rooms before the command.
        limit_ms: latency (p99) up to which it is as before; None if no message was delivered before.
    """

    users: int
    limit_ms: float | None
    seconds: list[DrillSecond] = field(default_factory=list)

    def add(self, at_s: float, ready: int, p99_ms: float | None, *, has_outage: bool) -> None:
        """Add a reading.

        Args:
            at_s: seconds since the command started.
            ready: users in their rooms.
            p99_ms: latency since the last reading; None without a delivery.
            has_outage: whether a user that was dropped has not resynced.
        """
        is_slow = self.limit_ms is not None and (p99_ms is None or p99_ms > self.limit_ms)
        as_before = ready >= _READY * self.users and not has_outage and not is_slow
        self.seconds.append(DrillSecond(at_s=at_s, ready=ready, p99_ms=p99_ms, as_before=as_before))

    def is_calm_since(self, at_s: float) -> bool:
        """Return whether the latest `CALM_READINGS` readings, all taken after `at_s`, were as before."""
        latest = [second for second in self.seconds if second.at_s > at_s][-CALM_READINGS:]
        return len(latest) == CALM_READINGS and all(second.as_before for second in latest)

    @property
    def recovered_s(self) -> float | None:
        """When all was as before for good, in seconds since the command started; None if it was not at the end.

        That is the first reading of the last good ones, or 0 if all readings were good.
        """
        if not self.seconds or not self.seconds[-1].as_before:
            return None
        last_bad = max((number for number, second in enumerate(self.seconds) if not second.as_before), default=-1)
        return 0.0 if last_bad < 0 else max(0.0, self.seconds[last_bad + 1].at_s)


def latency_limit_ms(threshold_ms: float | None, before_ms: float | None) -> float | None:
    """Return the latency that counts as before: the larger of the SLO and twice the latency before the command."""
    if before_ms is None:
        return None
    return max(threshold_ms or 0.0, _LATENCY_FACTOR * before_ms)
