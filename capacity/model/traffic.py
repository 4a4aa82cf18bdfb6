"""Read the traffic of a production server: from two scrapes of its metrics, or from a Prometheus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from capacity.errors import UsageError
from capacity.formatting import about, figure, format_bytes, listing
from capacity.measure.metrics_page import samples_of
from stampede.dialects.series import Selector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from prometheus_client.samples import Sample

    from capacity.measure.prometheus import Prometheus


@dataclass(frozen=True, slots=True)
class Traffic:
    """The traffic of a server: means of its gauges, and counts per second; None is unknown."""

    connections: float
    messages: float
    rooms: float | None = None
    notices: float | None = None
    uploads: float | None = None
    upload_bytes: float | None = None
    vanished: float | None = None

    @property
    def room_size(self) -> float | None:
        """Mean number of connections per room; None without rooms."""
        return self.connections / self.rooms if self.rooms is not None and self.rooms >= 1 else None

    @property
    def upload_size(self) -> float | None:
        """Mean size of an upload in bytes; None without uploads."""
        return self.upload_bytes / self.uploads if self.upload_bytes is not None and self.uploads else None


GAUGES: Final = frozenset({"connections", "rooms"})
"""The fields of `Traffic` that are gauges; the others are counters."""

KEYS: Final = {
    "connections": "connections",
    "messages": "messages_received",
    "rooms": "rooms",
    "notices": "typing_notices",
    "uploads": "uploads",
    "upload_bytes": "upload_bytes",
    "vanished": "connections_vanished",
}
"""Keys of the `[metrics]` table of a dialect, by field of `Traffic`."""

_NEEDED: Final = ("connections", "messages")


@dataclass(frozen=True, slots=True)
class TrafficSeries:
    """The series of a server.

    Attributes:
        selectors: by field of `Traffic`; a field without a series is unknown.
        ranking: counts what makes an hour busy.
        source: what names the series, for messages.
    """

    selectors: Mapping[str, Selector]
    ranking: Selector
    source: str

    @classmethod
    def of_dialect(cls, dialect: str, metrics: Mapping[str, str]) -> TrafficSeries:
        """Return the series that the `[metrics]` table of a dialect names.

        Raises:
            UsageError: a series that a mix needs is missing, or the name of one is invalid.
        """
        if missing := [KEYS[field] for field in _NEEDED if KEYS[field] not in metrics]:
            names = listing(missing)
            raise UsageError(f"--dialect {dialect}: [metrics] does not name the server's series for {names}")
        try:
            selectors = {field: Selector.parse(metrics[key]) for field, key in KEYS.items() if key in metrics}
        except ValueError as error:
            raise UsageError(f"--dialect {dialect}: [metrics]: {error}") from None
        return cls(selectors, selectors["messages"], f"[metrics] of the dialect {dialect}")


OUR_SERIES: Final = TrafficSeries(
    {
        field: Selector.parse(text)
        for field, text in {
            "connections": "chat_connections",
            "messages": 'chat_messages_received_total{type="chatMessage"}',
            "rooms": "chat_rooms",
            "notices": 'chat_messages_received_total{type="typing"}',
            "uploads": 'chat_messages_received_total{type="fileStart"}',
            "upload_bytes": "chat_upload_bytes_total",
            "vanished": 'chat_connections_closed_total{reason="vanished"}',
        }.items()
    },
    Selector.parse("chat_messages_received_total"),
    "the metrics of the chat server",
)
"""The series of the bundled server."""


def describe_traffic(traffic: Traffic) -> str:
    """Return the traffic in one line of text."""
    parts = [
        f"{about(traffic.connections)} connections"
        + ("" if traffic.rooms is None else f" in {about(traffic.rooms)} rooms"),
        f"{figure(traffic.messages)} messages/s",
    ]
    if traffic.notices is not None:
        parts.append(f"{figure(traffic.notices)} typing notices/s")
    if traffic.uploads is not None:
        size = f" of {format_bytes(traffic.upload_size)}" if traffic.upload_size is not None else ""
        parts.append(f"{figure(traffic.uploads)} uploads/s{size}" if traffic.uploads else "no uploads")
    if traffic.vanished is not None:
        parts.append(f"{figure(traffic.vanished)} connections lost/s")
    unknown = [key.replace("_", " ") for field, key in KEYS.items() if getattr(traffic, field) is None]
    return ", ".join(parts) + (f"; unknown: {', '.join(unknown)}" if unknown else "")


def seconds_between(first: str, second: str) -> float | None:
    """Return the time between two scrapes by the timestamps of their samples; None without timestamps."""
    one, two = _scraped_at(first), _scraped_at(second)
    return None if one is None or two is None else two - one


def _scraped_at(text: str) -> float | None:
    stamps = [float(sample.timestamp) for sample in _samples(text) if sample.timestamp is not None]
    return max(stamps, default=None)


def traffic_between(first: str, second: str, seconds: float, series: TrafficSeries = OUR_SERIES) -> Traffic:
    """Return the traffic between two scrapes of a server's metrics, `seconds` apart.

    Raises:
        UsageError: a scrape lacks a series, or the server was restarted between them.
    """
    one, two = _samples(first), _samples(second)
    found = {}
    for field, selector in series.selectors.items():
        before, after = _total(one, selector), _total(two, selector)
        if after is None or (before is None and field in GAUGES):
            raise UsageError(f"a scrape has no {selector.text}, which is in {series.source}")
        before = before or 0.0  # a counter may exist only after its first event
        if field in GAUGES:
            found[field] = (before + after) / 2
            continue
        if after < before:
            raise UsageError(
                f"{selector.text} went down: the server was restarted between the scrapes, or they are swapped"
            )
        found[field] = (after - before) / seconds
    return Traffic(**found)


def _total(samples: Sequence[Sample], selector: Selector) -> float | None:
    values = [one.value for one in samples if selector.matches(one.name, one.labels)]
    return sum(values) if values else None


def _samples(text: str) -> list[Sample]:
    try:
        return [*samples_of(text)]
    except ValueError as error:
        raise UsageError(f"a scrape is not a metrics page: {error}") from None


def busiest_traffic(
    prometheus: Prometheus, *, days: int, hours: int, series: TrafficSeries = OUR_SERIES
) -> tuple[Traffic, list[float]]:
    """Return the mean traffic of the busiest hours of the last days, and the ends of these hours in epoch seconds.

    Raises:
        UsageError: Prometheus has no hour with messages, or lacks a series.
        PrometheusError: it does not respond.
    """
    by_hour = prometheus.over(f"sum(increase({series.ranking.text}[1h]))[{days}d:1h]")
    ranked = sorted(by_hour, key=lambda point: point[1], reverse=True)[:hours]
    if not ranked or ranked[0][1] <= 0:
        raise UsageError(
            f"Prometheus has no chat message ({series.ranking.text}) in the last {days} days: choose more --days"
        )
    ends = sorted(at for at, _ in ranked)
    found = {}
    for field, selector in series.selectors.items():
        function = "avg_over_time" if field in GAUGES else "rate"
        values = [prometheus.value(f"sum({function}({selector.text}[1h]))", at) for at in ends]
        known = [value for value in values if value is not None]
        if not known:
            raise UsageError(f"Prometheus has no {selector.text} in these hours, which is in {series.source}")
        found[field] = sum(known) / len(ends)
    return Traffic(**found), ends
