"""When a user acts: schedules of an open model; pure, the random generator is an argument.

The times are drawn without regard to the capacity of the server or the load generator. A stall therefore makes messages
late. It never reduces their number.
"""

from __future__ import annotations

from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

SECOND: Final = 1_000_000_000


class Arrivals(Enum):
    """How the messages of one user are spaced."""

    CONSTANT = "constant"
    POISSON = "poisson"


class ScheduledAction(NamedTuple):
    """One action and its due time, in nanoseconds from the start of its schedule."""

    at: int
    action: Callable[[], Any]


class HasRng(Protocol):
    """A user with its own random generators."""

    def rng(self, purpose: str) -> Random:
        """Return a random generator for one purpose."""


def rate(per_second: float) -> Callable[[HasRng], Iterator[float]]:
    """Return a schedule of evenly spaced due times, with a random phase so that users do not act in step."""
    return lambda user: regular(1 / per_second, user.rng("schedule"))


def poisson(per_second: float) -> Callable[[HasRng], Iterator[float]]:
    """Return a schedule of a Poisson process: due times with exponential gaps, `per_second` of them on average."""
    return lambda user: exponential(per_second, user.rng("schedule"))


def regular(period: float, rng: Random) -> Iterator[float]:
    """Return due times every `period` seconds, the first one at random within a period."""
    phase = rng.uniform(0, period)
    return (phase + k * period for k in count())


def exponential(per_second: float, rng: Random) -> Iterator[float]:
    """Yield due times with exponential gaps, in seconds."""
    at = 0.0
    while True:
        at += rng.expovariate(per_second)
        yield at
