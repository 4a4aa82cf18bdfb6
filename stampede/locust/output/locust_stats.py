"""Updates Locust's statistics, and thereby its table, charts, CSV and HTML, once per second instead of per message.

Firing `events.request` costs 3 us, half as much as a whole delivery. Instead, the growth of each histogram since the
last update becomes one `StatsEntry`. It is added with `extend`, as Locust adds those of its workers. Counts are exact.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING

from locust.stats import RequestStats, StatsEntry, StatsError, bucket_response_time

from stampede.measure.log_linear_histogram import LogLinearHistogram, bucket_bounds
from stampede.measure.request_names import METHOD

if TYPE_CHECKING:
    from stampede.measure.measures import Measures, Request


class StatsUpdater:
    """Adds the growth of the measures to Locust's statistics.

    Args:
        measures: of this process.
    """

    __slots__ = ("_failures", "_measures", "_times", "_untimed")

    def __init__(self, measures: Measures) -> None:
        self._measures = measures
        self._times: defaultdict[str, LogLinearHistogram] = defaultdict(LogLinearHistogram)
        self._untimed: defaultdict[str, int] = defaultdict(int)
        self._failures: defaultdict[str, dict[str, int]] = defaultdict(dict)

    def update(self, stats: RequestStats) -> None:
        """Add what was measured since the last call."""
        for name, request in list(self._measures.requests.items()):
            self._add_failures(stats, name, request)
            self._add_times(stats, name, request)

    def _add_times(self, stats: RequestStats, name: str, request: Request) -> None:
        before = self._times[name]
        untimed = request.untimed - self._untimed[name]
        if request.times.counts == before.counts and not untimed:
            return
        window = request.times - before
        self._times[name], self._untimed[name] = request.times.copy(), request.untimed
        entry = StatsEntry(stats, name, METHOD)
        entry.num_requests = window.count + untimed
        entry.num_none_requests = untimed
        entry.total_response_time = window.total / 1e6  # type: ignore[assignment] # Locust adds up floats, too
        for index, n in enumerate(window.counts):
            if n:
                low, high = bucket_bounds(index)
                ms = (low + high - 1) / 2e6
                entry.response_times[bucket_response_time(ms)] += n
                if entry.min_response_time is None:
                    entry.min_response_time = ms  # type: ignore[assignment]
                entry.max_response_time = ms  # type: ignore[assignment]
        _extend(stats, name, entry)

    def _add_failures(self, stats: RequestStats, name: str, request: Request) -> None:
        known = self._failures[name]
        entry = StatsEntry(stats, name, METHOD)
        for label, n in request.failures.items():
            new = n - known.get(label, 0)
            if new > 0:
                known[label] = n
                entry.num_failures += new
                error = StatsError(METHOD, name, label)
                error = stats.errors.setdefault(StatsError.create_key(METHOD, name, label), error)
                error.occurrences += new
                error.last_seen = time.time()
                error.first_seen = error.first_seen or error.last_seen
        if entry.num_failures:
            entry.num_requests = entry.num_none_requests = entry.num_failures
            entry.num_fail_per_sec[int(time.time())] += entry.num_failures
            _extend(stats, name, entry)


def _extend(stats: RequestStats, name: str, entry: StatsEntry) -> None:
    """Add an entry whose requests count as of now."""
    now = time.time()
    entry.num_reqs_per_sec[int(now)] += entry.num_requests
    entry.last_request_timestamp = now
    entry.start_time = stats.total.start_time
    stats.entries[(name, METHOD)].extend(entry)
    stats.total.extend(entry)
