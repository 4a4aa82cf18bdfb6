"""The server's figures at one moment, from `/metrics` pages and the operating system.

Figures are cumulative or momentary; `server_window` subtracts them. A figure that no source provides is None.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psutil

    from capacity.measure.system_sample import SystemSample

LOOP_LAG: Final = "chat_event_loop_lag_seconds"
_DROPPED: Final = "chat_messages_dropped_total"


@dataclass(frozen=True, slots=True)
class ServerSample:
    """The server at one moment.

    Attributes:
        at_s: time of the reading on this process's monotonic clock.
        cpu_seconds: CPU time of the server process since its start.
        started_at: start of the process with the metrics, seconds since the epoch; a change means a restart.
        lag_buckets: cumulative counts of event loop lag by upper bound in seconds.
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
    core_busy_s: float | None = None
    core_steal_s: float | None = None
    memory_bytes: int | None = None
    page_at_s: float | None = None
    processes: int = 1
    cpu_parts: tuple[float, ...] | None = None
    problem: str | None = None
    system: SystemSample | None = None


@dataclass(slots=True)
class _Exposition:
    """The sums of a `/metrics` page over all label sets, and the buckets of the loop lag."""

    sums: dict[str, float] = field(default_factory=dict)
    lag: dict[float, float] = field(default_factory=dict)

    def whole(self, *names: str) -> int | None:
        """Return the sum of the series that exist, as an int; None if none exists."""
        found = [self.sums[name] for name in names if name in self.sums]
        return int(sum(found)) if found else None


def parse_metrics(text: str, at_s: float) -> ServerSample:
    """Return the server's figures from a metrics page; missing series are None.

    Raises:
        ValueError: the text is not a Prometheus exposition.
    """
    families = text_string_to_metric_families(text)
    samples = ((sample.name, sample.labels, sample.value) for family in families for sample in family.samples)
    return sample_of(samples, at_s)


def sample_of(samples: Iterable[tuple[str, Mapping[str, str], float]], at_s: float) -> ServerSample:
    """Return the figures of one process from samples (name, labels, value) of one moment."""
    page = _Exposition()
    for name, labels, value in samples:
        if name == _DROPPED and labels.get("reason") == "closed":
            continue  # its recipient had disconnected
        if name == f"{LOOP_LAG}_bucket":
            bound = float(labels["le"])
            page.lag[bound] = page.lag.get(bound, 0.0) + value
        else:
            page.sums[name] = page.sums.get(name, 0.0) + value
    return ServerSample(
        at_s=at_s,
        cpu_seconds=page.sums.get("process_cpu_seconds_total"),
        started_at=page.sums.get("process_start_time_seconds"),
        rss_bytes=page.whole("process_resident_memory_bytes"),
        fds=page.whole("process_open_fds"),
        fds_limit=page.whole("process_max_fds"),
        connections=page.whole("chat_connections"),
        delivered=page.whole("chat_messages_delivered_total"),
        dropped=page.whole(_DROPPED),
        kills=page.whole("chat_slow_consumer_kills_total", "chat_heartbeat_kills_total"),
        sent_bytes=page.whole("chat_sent_bytes_total"),
        lag_buckets=page.lag or None,
        page_at_s=at_s,
    )


def core_seconds(times: psutil._ntp.pcputimes | psutil._ntp.scputimes) -> tuple[float, float]:
    """Return the (busy, stolen) seconds of one core; other virtual machines used the stolen time."""
    busy = sum(float(getattr(times, name, 0.0)) for name in ("user", "nice", "system", "irq", "softirq"))
    return busy, float(getattr(times, "steal", 0.0))
