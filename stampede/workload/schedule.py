"""When a user is due to act: pure, in nanoseconds since its first action could be due; the rng comes in.

An open model: the moments are drawn without looking at what the server or the generator can take, so a stall makes
messages late instead of making them not happen.
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
TYPING_EVERY: Final = 3 * SECOND
"""How often somebody who writes tells so."""


class Arrivals(Enum):
    """How the moments of one user are spread."""

    CONSTANT = "constant"
    POISSON = "poisson"


class Action(Enum):
    """What is due."""

    SAY = "say"
    TYPE = "type"
    PING = "ping"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class ScheduledAction:
    """One action and its moment, in nanoseconds from the timeline's start."""

    at: int
    act: Action


class DueTimes:
    """The moments of a timeline, taken one by one by somebody who may be late; on the monotonic clock.

    Args:
        timeline: when each is due.
        start: of the timeline, in monotonic nanoseconds.

    Attributes:
        next: the earliest moment that is not taken yet.
    """

    __slots__ = ("_start", "_timeline", "next")

    def __init__(self, timeline: Iterator[ScheduledAction], start: int) -> None:
        self._timeline = timeline
        self._start = start
        self.next = start + next(timeline).at

    def take(self) -> int:
        """Take the earliest moment and return it."""
        moment = self.next
        self.next = self._start + next(self._timeline).at
        return moment

    def pass_over(self, until: int) -> int:
        """Skip the moments before `until`; return how many."""
        passed = 0
        while self.next < until:
            self.take()
            passed += 1
        return passed


def regular(period: int, rng: Random, act: Action) -> Iterator[ScheduledAction]:
    """Yield one action each `period` nanoseconds; the phase is random, so that users do not march in step."""
    phase = rng.randrange(period)
    return (ScheduledAction(phase + k * period, act) for k in count())


def messages(rate: float, arrivals: Arrivals, rng: Random) -> Iterator[ScheduledAction]:
    """Return messages at `rate` per second: evenly spaced with a random phase, or with exponential gaps (Poisson)."""
    if arrivals is Arrivals.CONSTANT:
        return regular(round(SECOND / rate), rng, Action.SAY)
    return _poisson(rate, rng)


def _poisson(rate: float, rng: Random) -> Iterator[ScheduledAction]:
    at = 0.0
    while True:
        at += rng.expovariate(rate)
        yield ScheduledAction(round(at * SECOND), Action.SAY)


def composing(rng: Random) -> Iterator[ScheduledAction]:
    """Yield what somebody does who writes: one to four notices 3 s apart, a message, a pause of 6 s on average.

    The first cycle begins at a random point of an average one, so that users do not march in step.
    """
    at = -rng.randrange(14 * SECOND)
    while True:
        for _ in range(rng.randint(1, 4)):
            yield from _later(at, Action.TYPE)
            at += TYPING_EVERY
        yield from _later(at, Action.SAY)
        at += round(rng.expovariate(1 / 6) * SECOND)


def _later(at: int, act: Action) -> Iterator[ScheduledAction]:
    if at >= 0:
        yield ScheduledAction(at, act)
