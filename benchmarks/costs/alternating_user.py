"""Users of whom in turns everyone is timed and only a tenth is, so that one run gives the percentiles of both.

The turns have the same server, users and machine, and they are a few seconds apart. At the end three lists of
percentiles are printed as JSON, in ms: `{"everyone": [p50, p90, p99], "of them": [...], "batched": [...]}`, see
`populations.py`. Each percentile is the median over the turns, because the machine now and then stops both processes
for some milliseconds.
"""

from __future__ import annotations

import json
from statistics import median
from typing import TYPE_CHECKING, Final

import gevent
from locust import events

from benchmarks.costs.populations import BATCHED, EVERYONE, OF_THEM
from stampede import ScheduledUser, rate
from stampede.measure.log_linear_histogram import LogLinearHistogram
from stampede.workload.timed_users import TimedUsers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stampede.measure.measures import Measures
    from stampede.pool.session import Session
    from stampede.pool.user_pool import UserPool

QUANTILES: Final = (0.5, 0.9, 0.99)
TURN_SECONDS: Final = 2.0
SETTLE_SECONDS: Final = 1.0
"""Between two turns; longer than a batch interval, so that no delivery of one turn counts in the next."""

RAMP_SECONDS: Final = 5.0
_TENTH: Final = TimedUsers(0.1)


class _AlsoRecorded:
    """The measures of the process for a drawn user, whose latencies are recorded on their own, too."""

    def __init__(self, measures: Measures, latencies: LogLinearHistogram) -> None:
        self._measures = measures
        self._latencies = latencies

    def delivered(self, by_intended: int, by_sent: int) -> None:
        """Record the latency of one delivery."""
        self._measures.delivered(by_intended, by_sent)
        self._latencies.record(by_intended)

    def __getattr__(self, name: str) -> object:
        return getattr(self._measures, name)


class Turns:
    """Takes the turns and keeps the latencies of each."""

    def __init__(self) -> None:
        self.latencies: dict[str, list[LogLinearHistogram]] = {EVERYONE: [], OF_THEM: [], BATCHED: []}
        self._users: list[Session] = []
        self._drawn = LogLinearHistogram()  # latencies of the drawn users
        self._task: gevent.Greenlet[[UserPool], None] | None = None

    def add(self, pool: UserPool, session: Session) -> None:
        """Add a user; the first one starts the turns."""
        self._users.append(session)
        if self._task is None:
            self._task = gevent.spawn(self._run, pool)

    def _run(self, pool: UserPool) -> None:
        gevent.sleep(RAMP_SECONDS)
        for handler in (session.connection.handler for session in self._users):
            if handler.is_timed:
                handler._measures = _AlsoRecorded(pool.measures, self._drawn)  # type: ignore[assignment] # noqa: SLF001
        while True:
            everyone, drawn = self._turn(pool, TimedUsers(1.0))
            self.latencies[EVERYONE].append(everyone)
            self.latencies[OF_THEM].append(drawn)
            self.latencies[BATCHED].append(self._turn(pool, _TENTH)[1])

    def _turn(self, pool: UserPool, timed: TimedUsers) -> tuple[LogLinearHistogram, LogLinearHistogram]:
        """Return the latencies in one turn: of all timed users, and of the drawn ones."""
        pool.batch_reader.change(timed)
        gevent.sleep(SETTLE_SECONDS)
        before = pool.measures.latency.intended.copy(), self._drawn.copy()
        gevent.sleep(TURN_SECONDS)
        return pool.measures.latency.intended - before[0], self._drawn - before[1]

    def percentiles(self) -> dict[str, list[float]]:
        """Return the medians of the turns' percentiles, in ms."""
        return {
            who: [median(turn.quantile(q) or 0.0 for turn in turns) / 1e6 for q in QUANTILES]
            for who, turns in self.latencies.items()
            if turns
        }


_turns: Final = Turns()


class AlternatingUser(ScheduledUser):
    """Sends `--message-rate` chat messages per second."""

    def on_start(self) -> None:
        """Connect, and take part in the turns."""
        super().on_start()
        if self._pool is not None and self._session is not None:
            _turns.add(self._pool, self._session)

    def schedule(self) -> Iterator[float]:
        """Return the due times of the messages."""
        return rate(self.settings.message_rate)(self)


@events.quit.add_listener  # type: ignore[untyped-decorator]
def _print(**_: object) -> None:
    print(json.dumps(_turns.percentiles()))
