"""Derive the mix of users from a production server's counters.

The rate at which a user of each class acts is known. A counter's rate divided by it is the number of such users. The
remaining users chat at the rate of the remaining messages, or listen if there are none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

from capacity.errors import UsageError
from capacity.formatting import about, figure, format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client.samples import Sample

    from capacity.measure.prometheus import Prometheus

# Actions of one user per second, as in the load test; a test compares them with its user classes.
NOTICES_PER_TYPING_USER: Final = 2.5 / 13.5
MESSAGES_PER_TYPING_USER: Final = 1 / 13.5
UPLOADS_PER_UPLOADING_USER: Final = 1 / 10
DROPS_PER_STORMING_USER: Final = 0.5 / 30
_MIN_MESSAGE_RATE: Final = 0.001
_TOTAL_WEIGHT: Final = 100
_COUNTERS: Final = {
    "messages": 'chat_messages_received_total{type="chatMessage"}',
    "notices": 'chat_messages_received_total{type="typing"}',
    "uploads": 'chat_messages_received_total{type="fileStart"}',
    "upload_bytes": "chat_upload_bytes_total",
    "vanished": 'chat_connections_closed_total{reason="vanished"}',
}
_GAUGES: Final = {"connections": "chat_connections", "rooms": "chat_rooms"}


@dataclass(frozen=True, slots=True)
class Traffic:
    """The traffic of a server: means of its gauges, and counts per second."""

    connections: float
    rooms: float
    messages: float
    notices: float
    uploads: float
    upload_bytes: float
    vanished: float


@dataclass(frozen=True, slots=True)
class Mix:
    """The mix: weights by user class that add up to about 100, and the load of the chatting users."""

    weights: Mapping[str, int]
    message_rate: float | None
    room_size: int | None
    upload_bytes: int | None

    def _load_options(self) -> list[str]:
        options = []
        if self.room_size is not None:
            options += ["--room-size", str(self.room_size)]
        if self.message_rate is not None:
            options += ["--message-rate", f"{self.message_rate:.3g}"]
        if self.upload_bytes is not None:
            options += ["--upload-bytes", f"{max(1, round(self.upload_bytes / 1024))}k"]
        return options

    def capacity_options(self) -> str:
        """Return the mix as options of a capacity run."""
        mix = ",".join(f"{name}={weight}" for name, weight in self.weights.items())
        return " ".join(["--mix", mix, *self._load_options()])

    def locust_options(self) -> str:
        """Return the mix as options of Locust, quoted for a shell."""
        weights = [
            "'" + json.dumps({"user_class_name": name, "weight": weight}) + "'" for name, weight in self.weights.items()
        ]
        return " ".join([*self.weights, "--config-users", *weights, *self._load_options()])


def derive_mix(traffic: Traffic) -> Mix:
    """Return the mix that produces this traffic.

    Raises:
        UsageError: no user was connected.
    """
    remaining = traffic.connections
    if remaining < 1:
        raise UsageError("no user was connected in that time: there is nothing to derive a mix from")
    users: dict[str, float] = {}
    for name, number in (
        ("FileUploadUser", traffic.uploads / UPLOADS_PER_UPLOADING_USER),
        ("TypingUser", traffic.notices / NOTICES_PER_TYPING_USER),
        ("ReconnectStormUser", traffic.vanished / DROPS_PER_STORMING_USER),
    ):
        users[name] = min(number, remaining)
        remaining -= users[name]
    messages = max(0.0, traffic.messages - users["TypingUser"] * MESSAGES_PER_TYPING_USER)
    do_chat = remaining > 0 and messages / remaining >= _MIN_MESSAGE_RATE
    users = {"ChattingUser" if do_chat else "ListeningUser": remaining} | users
    return Mix(
        weights=_weights(users),
        message_rate=messages / remaining if do_chat else None,
        room_size=max(2, round(traffic.connections / traffic.rooms)) if traffic.rooms >= 1 else None,
        upload_bytes=round(traffic.upload_bytes / traffic.uploads) if traffic.uploads else None,
    )


def _weights(users: Mapping[str, float]) -> dict[str, int]:
    """Return weights that add up to about 100, at least 1 for each class that is present."""
    total = sum(users.values())
    present = {name: number for name, number in users.items() if number > total / 1e4}
    return {name: max(1, round(number / total * _TOTAL_WEIGHT)) for name, number in present.items()}


def describe_traffic(traffic: Traffic) -> str:
    """Return the traffic in one line of text."""
    size = traffic.upload_bytes / traffic.uploads if traffic.uploads else 0
    files = f"{figure(traffic.uploads)} uploads/s of {format_bytes(size)}" if traffic.uploads else "no uploads"
    return (
        f"{about(traffic.connections)} connections in {about(traffic.rooms)} rooms, "
        f"{figure(traffic.messages)} messages/s, {figure(traffic.notices)} typing notices/s, {files}, "
        f"{figure(traffic.vanished)} connections lost/s"
    )


def seconds_between(first: str, second: str) -> float | None:
    """Return the time between two scrapes by the timestamps of their samples; None without timestamps."""
    one, two = _scraped_at(first), _scraped_at(second)
    return None if one is None or two is None else two - one


def _scraped_at(text: str) -> float | None:
    stamps = [float(sample.timestamp) for sample in _samples(text) if sample.timestamp is not None]
    return max(stamps, default=None)


def traffic_between(first: str, second: str, seconds: float) -> Traffic:
    """Return the traffic between two scrapes of a server's `/metrics`, `seconds` apart.

    Raises:
        UsageError: a scrape is not of the chat server, or the server was restarted between them.
    """
    one, two = _page(first), _page(second)
    missing = [name for name in (*_COUNTERS.values(), *_GAUGES.values()) if name not in one or name not in two]
    if missing:
        raise UsageError(f"a scrape has no {missing[0]}: it is not of the chat server")
    rates = {}
    for field, name in _COUNTERS.items():
        if two[name] < one[name]:
            raise UsageError(f"{name} went down: the server was restarted between the scrapes, or they are swapped")
        rates[field] = (two[name] - one[name]) / seconds
    means = {field: (one[name] + two[name]) / 2 for field, name in _GAUGES.items()}
    return Traffic(**means, **rates)


def _page(text: str) -> dict[str, float]:
    return {one.name + _labels(one.labels): one.value for one in _samples(text)}


def _samples(text: str) -> list[Sample]:
    try:
        return [one for family in text_string_to_metric_families(text) for one in family.samples]
    except ValueError as error:
        raise UsageError(f"a scrape is not a metrics page: {error}") from None


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}" if labels else ""


def busiest_traffic(prometheus: Prometheus, *, days: int, hours: int) -> tuple[Traffic, list[float]]:
    """Return the mean traffic of the busiest hours of the last days, and the ends of these hours in epoch seconds.

    Raises:
        UsageError: Prometheus has no hour with messages.
        PrometheusError: it does not respond.
    """
    by_hour = prometheus.over(f"sum(increase(chat_messages_received_total[1h]))[{days}d:1h]")
    ranked = sorted(by_hour, key=lambda point: point[1], reverse=True)[:hours]
    if not ranked or ranked[0][1] <= 0:
        raise UsageError(f"Prometheus has no chat message in the last {days} days: choose more --days")
    ends = sorted(at for at, _ in ranked)
    return Traffic(
        **{field: _mean(prometheus, f"sum(avg_over_time({name}[1h]))", ends) for field, name in _GAUGES.items()},
        **{field: _mean(prometheus, f"sum(rate({name}[1h]))", ends) for field, name in _COUNTERS.items()},
    ), ends


def _mean(prometheus: Prometheus, expression: str, ends: list[float]) -> float:
    values = [prometheus.value(expression, at) or 0.0 for at in ends]
    return sum(values) / len(values)
