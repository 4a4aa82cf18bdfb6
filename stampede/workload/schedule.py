"""When a user acts: schedules of an open model; pure, times in nanoseconds, the random generator is an argument.

The times are drawn without regard to the capacity of the server or the load generator. A stall therefore makes messages
late. It never reduces their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

SECOND: Final = 1_000_000_000
TYPING_INTERVAL: Final = 3 * SECOND
"""Nanoseconds between two `typing` notices of a user who is composing a message."""


class Arrivals(Enum):
    """How the messages of one user are spaced."""

    CONSTANT = "constant"
    POISSON = "poisson"


class Action(Enum):
    """The kinds of action of a user."""

    SAY = "say"
    TYPE = "type"
    PING = "ping"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class ScheduledAction:
    """One action and its due time, in nanoseconds from the start of its schedule."""

    at: int
    action: Action


class DueTimes:
    """The due times of a schedule, consumed one by one by a caller that may be late.

    Args:
        schedule: the actions; only their times are used.
        start: of the schedule, in monotonic nanoseconds.

    Attributes:
        next: the earliest due time that is not consumed yet, in monotonic nanoseconds.
    """

    __slots__ = ("_schedule", "_start", "next")

    def __init__(self, schedule: Iterator[ScheduledAction], start: int) -> None:
        self._schedule = schedule
        self._start = start
        self.next = start + next(schedule).at

    def pop(self) -> int:
        """Consume the earliest due time and return it."""
        due = self.next
        self.next = self._start + next(self._schedule).at
        return due

    def skip_until(self, limit: int) -> int:
        """Consume all due times before `limit`; return how many there were."""
        skipped = 0
        while self.next < limit:
            self.pop()
            skipped += 1
        return skipped


def regular(period: int, rng: Random, action: Action) -> Iterator[ScheduledAction]:
    """Return one action every `period` nanoseconds, with a random phase so that users do not act in step."""
    phase = rng.randrange(period)
    return (ScheduledAction(phase + k * period, action) for k in count())


def messages(rate: float, arrivals: Arrivals, rng: Random) -> Iterator[ScheduledAction]:
    """Return chat messages at `rate` per second: evenly spaced with a random phase, or with exponential gaps."""
    if arrivals is Arrivals.CONSTANT:
        return regular(round(SECOND / rate), rng, Action.SAY)
    return _poisson(rate, rng)


def _poisson(rate: float, rng: Random) -> Iterator[ScheduledAction]:
    at = 0.0
    while True:
        at += rng.expovariate(rate)
        yield ScheduledAction(round(at * SECOND), Action.SAY)


def composing(rng: Random) -> Iterator[ScheduledAction]:
    """Yield cycles of composing: one to four `typing` notices 3 s apart, a message, a pause of 6 s on average.

    The first cycle begins at a random point of an average one, so that users do not act in step.
    """
    at = -rng.randrange(14 * SECOND)
    while True:
        for _ in range(rng.randint(1, 4)):
            if at >= 0:
                yield ScheduledAction(at, Action.TYPE)
            at += TYPING_INTERVAL
        if at >= 0:
            yield ScheduledAction(at, Action.SAY)
        at += round(rng.expovariate(1 / 6) * SECOND)
