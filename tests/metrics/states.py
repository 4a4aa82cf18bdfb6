"""Server states for tests of the metrics, without a server."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count, repeat

from metrics.catalog import CATALOG
from metrics.collectors import BuildCollector, server_collectors
from server.stats import Histogram, IntegerHistogram, ServerStats
from stampede.metrics.exposition import Exposition


@dataclass(frozen=True)
class Uploads:
    """A stand-in for the upload store."""

    active: int


@dataclass(frozen=True)
class FixedAdmission:
    """A stand-in for the admission."""

    max_connections: int = 5000
    draining: bool = False


def busy_stats() -> ServerStats:
    """Return counters with different values, so that every number on the page identifies its counter."""
    stats, numbers = ServerStats(), count(1)
    for name in ServerStats.__slots__:
        value = getattr(stats, name)
        if isinstance(value, Histogram):
            value.counts[:] = [next(numbers) for _ in value.counts]
            value.total = next(numbers) + 0.5
        elif isinstance(value, IntegerHistogram):
            value.occurrences.update({number: next(numbers) for number in (*map(int, value.bounds), 1_000_000)})
            next(numbers)  # its sum follows from them
        elif isinstance(value, dict):
            value.update((key, next(numbers)) for key in value)
        else:
            setattr(stats, name, next(numbers))
    return stats


def exposition(stats: ServerStats, rooms: dict[str, list[int]], *, process: bool = False) -> Exposition:
    """Return the exposition of such a server, with 3 uploads in progress."""
    build = BuildCollector("0.1.0", "3.11.0", "0.23.0", "17.4")
    return Exposition(
        (*server_collectors(stats, rooms, Uploads(active=3), FixedAdmission()), build),
        process=process,
        duration=CATALOG["chat_scrape_duration_seconds"],
        clock=repeat(0.0).__next__,
    )
