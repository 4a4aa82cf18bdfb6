"""The counters of the server, as plain integers and bucket lists.

The hot path increments attributes and pre-filled dictionaries, which costs 0.05 us. The counters of prometheus-client
cost 0.3 to 2.2 us each. `metrics/` exports these counters and names them. The bounds of the buckets are in
`server/histogram_buckets.py` and `stampede/metrics/histogram_buckets.py`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from server.errors import CloseReason, ErrorCode
from server.histogram_buckets import RECIPIENT_BOUNDS, SESSION_BOUNDS, UPLOAD_BOUNDS
from server.protocol.messages import CLIENT_TYPES, FILE_CHUNK, SERVER_TYPES
from stampede.metrics.histogram_buckets import LATENCY_BOUNDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

INVALID_REASONS: Final = tuple(
    error.code
    for error in (
        ErrorCode.INVALID_JSON,
        ErrorCode.NOT_AN_OBJECT,
        ErrorCode.MISSING_TYPE,
        ErrorCode.UNKNOWN_TYPE,
        ErrorCode.INVALID_FIELD,
        ErrorCode.TOO_LARGE,
        ErrorCode.RECEIVE_ONLY,
    )
)
UPLOAD_OUTCOMES: Final = ("saved", "cancelled", "vanished", "rejected", "failed", "idle", "limit", "budget")
DOWNLOAD_OUTCOMES: Final = ("sent", "vanished", "stalled", "failed", "limit")
REJECTIONS: Final = (
    "bad_request",
    "not_found",
    "origin",
    "unauthorized",
    "full",
    "address_limit",
    "handshake_rate",
    "draining",
)
RATE_LIMITS: Final = ("messages", "frames", "chat")
DROP_REASONS: Final = ("closed", "slow")
FILES_PATH: Final = "/files"
"""Stored files are served below this path."""

HTTP_PATHS: Final = ("/", "/health", "/api/status", "/metrics", FILES_PATH, "other")
HTTP_CODES: Final = (200, 204, 400, 401, 403, 404, 405, 408, 413, 414, 426, 431, 501, 503, 505)
BUS_DIRECTIONS: Final = ("received", "sent")
BUS_DROP_REASONS: Final = ("disconnected", "backlog", "ephemeral", "lost", "too_large")
TASKS: Final = ("bus_beat", "bus_sender", "heartbeat", "load_report")
"""Names of the tasks that run as long as the server."""

ECHO: Final = "echo"


class Histogram:
    """Count values in buckets with inclusive upper bounds, like a classic Prometheus histogram.

    Attributes:
        bounds: ascending upper bounds; one more bucket counts values above the last.
        counts: values per bucket, not cumulative.
        total: sum of all values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value `times` times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times


class IntegerHistogram:
    """A histogram of integers with few distinct values, sorted into buckets only when it is read.

    Attributes:
        bounds: ascending upper bounds, as in `Histogram`.
        occurrences: how often each value occurred; counting a value increments one of them.
    """

    __slots__ = ("bounds", "occurrences")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.occurrences: Counter[int] = Counter()

    @property
    def counts(self) -> list[int]:
        """Values per bucket, not cumulative."""
        counts = [0] * (len(self.bounds) + 1)
        for value, times in self.occurrences.items():
            counts[bisect_left(self.bounds, value)] += times
        return counts

    @property
    def total(self) -> float:
        """Sum of all values."""
        return float(sum(value * times for value, times in self.occurrences.items()))


def _zeros(labels: Iterable[str]) -> dict[str, int]:
    """Return a counter of 0 for each label, so that every series exists from the start."""
    return dict.fromkeys(labels, 0)


@dataclass(slots=True)
class ServerStats:
    """The counters of one server process; dictionary keys are label values."""

    connections_opened: int = 0
    connections_closed: dict[str, int] = field(default_factory=lambda: _zeros(reason.label for reason in CloseReason))
    handshakes_rejected: dict[str, int] = field(default_factory=lambda: _zeros(REJECTIONS))
    http_requests: dict[tuple[str, int], int] = field(
        default_factory=lambda: {(path, code): 0 for path in HTTP_PATHS for code in HTTP_CODES}
    )
    received_bytes: int = 0
    """Bytes of received WebSocket frames, with headers, without the HTTP handshake."""
    sent_bytes: int = 0
    """Bytes of WebSocket frames written to the transport or queued for it, with headers, without the HTTP handshake."""
    messages_received: dict[str, int] = field(default_factory=lambda: _zeros((*CLIENT_TYPES, FILE_CHUNK, ECHO)))
    messages_delivered: dict[str, int] = field(default_factory=lambda: _zeros((*SERVER_TYPES, ECHO)))
    messages_dropped: dict[tuple[str, str], int] = field(
        default_factory=lambda: {(kind, reason): 0 for kind in SERVER_TYPES for reason in DROP_REASONS}
    )
    invalid_messages: dict[str, int] = field(default_factory=lambda: _zeros(INVALID_REASONS))
    rate_limited: dict[str, int] = field(default_factory=lambda: _zeros(RATE_LIMITS))
    heartbeat_pings: int = 0
    heartbeat_kills: int = 0
    slow_consumers: int = 0
    """Connections that now have more unsent bytes than the soft limit."""
    slow_consumer_kills: int = 0
    room_joins: int = 0
    room_leaves: int = 0
    rooms_created: int = 0
    uploads: dict[str, int] = field(default_factory=lambda: _zeros(UPLOAD_OUTCOMES))
    upload_bytes: int = 0
    downloads: dict[str, int] = field(default_factory=lambda: _zeros(DOWNLOAD_OUTCOMES))
    downloads_active: int = 0
    download_bytes: int = 0
    """Bytes of file content written to transports."""
    bus_messages: dict[str, int] = field(default_factory=lambda: _zeros(BUS_DIRECTIONS))
    bus_dropped: dict[str, int] = field(default_factory=lambda: _zeros(BUS_DROP_REASONS))
    """Chat messages not sent to other nodes, by reason; `lost`: sent by other nodes and not received."""
    task_failures: dict[str, int] = field(default_factory=lambda: _zeros(TASKS))
    """Unexpected errors in long-lived tasks, which continued afterwards."""
    uploads_expired: int = 0
    """Stored files removed after their retention time."""
    fanout_recipients: IntegerHistogram = field(default_factory=lambda: IntegerHistogram(RECIPIENT_BOUNDS))
    fanout_duration: Histogram = field(default_factory=lambda: Histogram(LATENCY_BOUNDS))
    ping_rtt: Histogram = field(default_factory=lambda: Histogram(LATENCY_BOUNDS))
    event_loop_lag: Histogram = field(default_factory=lambda: Histogram(LATENCY_BOUNDS))
    session_duration: Histogram = field(default_factory=lambda: Histogram(SESSION_BOUNDS))
    upload_duration: Histogram = field(default_factory=lambda: Histogram(UPLOAD_BOUNDS))
    bus_lag: Histogram = field(default_factory=lambda: Histogram(LATENCY_BOUNDS))

    def count_response(self, path: str, code: int) -> None:
        """Count a response to an HTTP request.

        Args:
            path: one of `HTTP_PATHS`.
            code: its status.
        """
        self.http_requests[path, code] = self.http_requests.get((path, code), 0) + 1

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return self.connections_opened - sum(self.connections_closed.values())
