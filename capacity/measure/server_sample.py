"""The server's figures at one moment, from `/metrics` pages and the operating system.

Figures are cumulative or momentary; `server_window` subtracts them. A figure that no source provides is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from capacity.measure.metrics_page import samples_of
from capacity.measure.series import BUNDLED, DROPPED, FIGURES, Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psutil

    from capacity.measure.system_sample import SystemSample

ATTRIBUTES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "connections": "connections",
        "messages_delivered": "delivered",
        "messages_dropped": "dropped",
        "slow_consumer_kills": "kills",
        "sent_bytes": "sent_bytes",
        "event_loop_lag": "lag_buckets",
        "event_loop_lag_seconds": "lag_s",
        "cpu_seconds": "cpu_seconds",
        "resident_memory_bytes": "rss_bytes",
        "open_fds": "fds",
        "max_fds": "fds_limit",
        "start_time_seconds": "started_at",
    }
)
"""The attribute of a sample for each key of `[metrics]`."""


@dataclass(frozen=True, slots=True)
class ServerSample:
    """The server at one moment.

    Attributes:
        at_s: time of the reading on this process's monotonic clock.
        cpu_seconds: CPU time of the server process since its start.
        started_at: start of the process with the metrics, seconds since the epoch; a change means a restart.
        lag_buckets: cumulative counts of event loop lag by upper bound in seconds.
        lag_s: event loop lag of a server that reports it as a gauge.
        dropped: messages dropped for slow consumers; `kills`: connections closed as slow, or by heartbeat timeout.
        core_busy_s, core_steal_s: busy and stolen seconds of the core that the server is pinned to.
        memory_bytes: memory of the machine, if the server is local.
        page_at_s: time of the metrics, on the clock of their source; use differences only.
        processes: number of processes that are summed; `cpu_parts`: CPU time of each.
        problem: why a source failed that provided metrics before.
        system: the operating system's figures, if the server is local; they replace CPU, memory and files of a page.
    """

    at_s: float
    cpu_seconds: float | None = None
    started_at: float | None = None
    rss_bytes: int | None = None
    fds: int | None = None
    fds_limit: int | None = None
    connections: int | None = None
    delivered: int | None = None
    dropped: int | None = None
    kills: int | None = None
    sent_bytes: int | None = None
    lag_buckets: Mapping[float, float] | None = None
    lag_s: float | None = None
    core_busy_s: float | None = None
    core_steal_s: float | None = None
    memory_bytes: int | None = None
    page_at_s: float | None = None
    processes: int = 1
    cpu_parts: tuple[float, ...] | None = None
    problem: str | None = None
    system: SystemSample | None = None


class _Exposition:
    """The samples of one process by key, whatever their labels."""

    __slots__ = ("_series", "lag", "values")

    def __init__(self, series: Series) -> None:
        self._series = [(key, selector) for key in FIGURES for selector in series[key]]
        self.values: dict[str, list[float]] = {}
        self.lag: dict[float, float] = {}

    def add(self, name: str, labels: Mapping[str, str], value: float) -> None:
        """Add one sample."""
        if name == DROPPED and labels.get("reason") == "closed":
            return  # its recipient had disconnected
        for key, selector in self._series:
            if not selector.matches(name, labels):
                continue
            if key == "event_loop_lag":
                bound = float(labels["le"])
                self.lag[bound] = self.lag.get(bound, 0.0) + value
            else:
                self.values.setdefault(key, []).append(value)

    def sum(self, key: str) -> float | None:
        """Return the sum of the series of a key; None if none exists."""
        return sum(self.values[key]) if key in self.values else None

    def whole(self, key: str) -> int | None:
        """Return that sum as an int."""
        found = self.sum(key)
        return None if found is None else int(found)


def parse_metrics(text: str, at_s: float, series: Series = BUNDLED) -> ServerSample:
    """Return the server's figures from a metrics page; missing series are None.

    Raises:
        ValueError: the text is not a Prometheus exposition.
    """
    samples = ((sample.name, sample.labels, sample.value) for sample in samples_of(text))
    return sample_of(samples, at_s, series)


def sample_of(
    samples: Iterable[tuple[str, Mapping[str, str], float]], at_s: float, series: Series = BUNDLED
) -> ServerSample:
    """Return the figures of one process from samples (name, labels, value) of one moment."""
    page = _Exposition(series)
    for name, labels, value in samples:
        page.add(name, labels, value)
    return ServerSample(
        at_s=at_s,
        cpu_seconds=page.sum("cpu_seconds"),
        started_at=page.sum("start_time_seconds"),
        rss_bytes=page.whole("resident_memory_bytes"),
        fds=page.whole("open_fds"),
        fds_limit=page.whole("max_fds"),
        connections=page.whole("connections"),
        delivered=page.whole("messages_delivered"),
        dropped=page.whole("messages_dropped"),
        kills=page.whole("slow_consumer_kills"),
        sent_bytes=page.whole("sent_bytes"),
        lag_buckets=page.lag or None,
        lag_s=max(page.values.get("event_loop_lag_seconds", ()), default=None),
        page_at_s=at_s,
    )


def core_seconds(times: psutil._ntp.pcputimes | psutil._ntp.scputimes) -> tuple[float, float]:
    """Return the (busy, stolen) seconds of one core; other virtual machines used the stolen time."""
    busy = sum(float(getattr(times, name, 0.0)) for name in ("user", "nice", "system", "irq", "softirq"))
    return busy, float(getattr(times, "steal", 0.0))
