"""Drops connections of users again and again: of one class periodically, and of single users at random (churn)."""

from __future__ import annotations

import math
from time import monotonic_ns
from typing import TYPE_CHECKING, Protocol

import gevent

from stampede.measure import drop_causes

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from random import Random

    from stampede.measure.storm import Manner
    from stampede.pool.session import Session


class ReadySessions(Protocol):
    """Returns the sessions of a user class that are in their room, by place; of all classes by default."""

    def __call__(self, user_class: type = ...) -> list[Session]: ...


class Droppers:
    """The periodic drops and the churn of one process.

    Args:
        ready_sessions: the users that can be dropped.
        rng: returns the random generator of one purpose.
        drops: number of drops by cause, counted here.
        began: start of the test, in monotonic nanoseconds.
    """

    __slots__ = ("_began", "_drops", "_is_closed", "_ready_sessions", "_rng", "_tasks")

    def __init__(
        self,
        ready_sessions: ReadySessions,
        rng: Callable[[str], Random],
        drops: MutableMapping[str, int],
        began: int,
    ) -> None:
        self._ready_sessions = ready_sessions
        self._rng = rng
        self._drops = drops
        self._began = began
        self._tasks: dict[str, gevent.Greenlet[..., None]] = {}
        self._is_closed = False

    def start_periodic(self, user_class: type, share: float, period: float, manner: Manner) -> None:
        """Drop a share of one user class at once, every `period` seconds from the start of the test.

        Calls after the first one have no effect.
        """
        self._start(drop_causes.STORM_USER, lambda: self._drop_periodically(user_class, share, period, manner))

    def start_churn(self, per_minute: float, manner: Manner) -> None:
        """Drop single users at random, `per_minute` times the number of users each minute."""
        if per_minute:
            self._start(drop_causes.CHURN, lambda: self._drop_one_by_one(per_minute / 60, manner))

    def close(self) -> None:
        """Drop no further user."""
        self._is_closed = True
        gevent.killall(list(self._tasks.values()))

    def _start(self, cause: str, run: Callable[[], None]) -> None:
        if cause not in self._tasks and not self._is_closed:
            self._tasks[cause] = gevent.spawn(run)

    def _drop_periodically(self, user_class: type, share: float, period: float, manner: Manner) -> None:
        rng = self._rng("storms")
        while True:
            gevent.sleep(period - (monotonic_ns() - self._began) / 1e9 % period)
            cohort = self._ready_sessions(user_class)
            for session in rng.sample(cohort, math.ceil(share * len(cohort))):
                self._drops[drop_causes.STORM_USER] += 1
                session.drop(manner)

    def _drop_one_by_one(self, share_per_second: float, manner: Manner) -> None:
        rng = self._rng("churn")
        while True:
            # A Poisson process. Its rate follows the number of users, which is read again after at most one second.
            ready = self._ready_sessions()
            rate = share_per_second * len(ready)
            gap = rng.expovariate(rate) if rate else 1.0
            gevent.sleep(min(gap, 1.0))
            ready = self._ready_sessions()
            if gap <= 1.0 and ready:
                self._drops[drop_causes.CHURN] += 1
                rng.choice(ready).drop(manner)
