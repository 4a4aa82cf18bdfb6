"""The catalog of all metrics: those of the server, with the prefix `chat_`, and those of the load generator.

Collectors, documents, rules and dashboards take their names from here. No label identifies a room, a user or an
address, so the number of series is bounded. Series with known label values exist from the start with 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from server.errors import CloseReason
from server.histogram_buckets import LATENCY_BOUNDS, RECIPIENT_BOUNDS, SESSION_BOUNDS, UPLOAD_BOUNDS
from server.protocol.messages import CLIENT_TYPES, FILE_CHUNK, SERVER_TYPES
from server.stats import (
    BUS_DIRECTIONS,
    BUS_DROP_REASONS,
    DROP_REASONS,
    ECHO,
    HTTP_CODES,
    HTTP_PATHS,
    INVALID_REASONS,
    RATE_LIMITS,
    REJECTIONS,
    TASKS,
    UPLOAD_OUTCOMES,
)
from stampede.measure.drop_causes import DROP_CAUSES
from stampede.measure.storm_results import SHARES

_UNITS: Final = ("seconds", "bytes")

RESYNC_BOUNDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Bucket bounds in seconds; all others are in `server/histogram_buckets.py`."""

Kind = Literal["gauge", "counter", "histogram"]


@dataclass(frozen=True, slots=True)
class Label:
    """A label and its known values; none for values that come from outside, such as versions."""

    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the catalog.

    Attributes:
        name: name in queries; for a histogram without `_bucket`, `_sum`, `_count`.
        kind: Prometheus type; histograms are classic ones, because prometheus-client has no native ones.
        help: HELP text of the exposition.
        labels: labels, in the order of the label values.
        buckets: ascending upper bounds of a histogram, without +Inf.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def family(self) -> str:
        """Name of the metric family: the name of a counter without `_total` (OpenMetrics)."""
        return self.name.removesuffix("_total")

    @property
    def unit(self) -> str:
        """Base unit, seconds or bytes, which is also the suffix of the family name; empty for plain numbers."""
        return next((unit for unit in _UNITS if self.family.endswith(f"_{unit}")), "")


_TASK: Final = Label("task", TASKS)
_CLOSED: Final = Label("reason", tuple(reason.label for reason in CloseReason))
_REJECTED: Final = Label("reason", REJECTIONS)
_DROPPED: Final = Label("reason", DROP_REASONS)
_INVALID: Final = Label("reason", INVALID_REASONS)
_RECEIVED: Final = Label("type", (*CLIENT_TYPES, FILE_CHUNK, ECHO))
_SENT: Final = Label("type", (*SERVER_TYPES, ECHO))
_NOTICE: Final = Label("type", tuple(SERVER_TYPES))
_LIMIT: Final = Label("limit", RATE_LIMITS)
_OUTCOME: Final = Label("outcome", UPLOAD_OUTCOMES)
_PATH: Final = Label("path", HTTP_PATHS)
_CODE: Final = Label("code", tuple(map(str, HTTP_CODES)))
_DIRECTION: Final = Label("direction", BUS_DIRECTIONS)
_LOST: Final = Label("reason", BUS_DROP_REASONS)
_BUILD: Final = tuple(Label(part) for part in ("version", "python", "uvloop", "websockets"))
_METHOD: Final = Label("method")
_NAME: Final = Label("name")
_STATE: Final = Label("state")
_CLOCK: Final = Label("clock", ("intended", "sent"))
_WORKER: Final = Label("worker")
_CAUSE: Final = Label("cause", DROP_CAUSES)
_SHARE: Final = Label("share", tuple(f"{share:g}" for share in SHARES))


def _gauge(name: str, text: str, *labels: Label) -> Metric:
    return Metric(name, "gauge", text, labels)


def _counter(name: str, text: str, *labels: Label) -> Metric:
    return Metric(name, "counter", text, labels)


def _histogram(name: str, buckets: tuple[float, ...], text: str, *labels: Label) -> Metric:
    return Metric(name, "histogram", text, labels, buckets)


SERVER: Final = (
    _gauge("chat_build_info", "Always 1; the labels are the running versions.", *_BUILD),
    _gauge("chat_connections", "Open WebSocket connections on all paths."),
    _gauge("chat_connection_limit", "Limit on connections."),
    _gauge("chat_slow_consumers", "Connections with a write buffer above the soft limit."),
    _gauge("chat_draining", "1 during graceful shutdown, else 0."),
    _gauge("chat_rooms", "Rooms with at least one member."),
    _gauge("chat_room_members_max", "Members of the largest room."),
    _gauge("chat_uploads_active", "Uploads in progress."),
    _counter("chat_connections_opened_total", "WebSocket connections accepted."),
    _counter("chat_connections_closed_total", "WebSocket connections ended, by cause.", _CLOSED),
    _counter("chat_handshakes_rejected_total", "Upgrade requests refused, by cause.", _REJECTED),
    _counter("chat_http_requests_total", "Plain HTTP requests answered, by known path and status.", _PATH, _CODE),
    _counter("chat_messages_received_total", "Valid messages from clients; a file chunk is one.", _RECEIVED),
    _counter("chat_messages_delivered_total", "Messages written, one per recipient.", _SENT),
    _counter(
        "chat_messages_dropped_total",
        "Messages not written, one per recipient; closed: the recipient had disconnected.",
        _NOTICE,
        _DROPPED,
    ),
    _counter("chat_invalid_messages_total", "Malformed messages refused, by cause.", _INVALID),
    _counter("chat_received_bytes_total", "Bytes of WebSocket frames received, with headers."),
    _counter("chat_sent_bytes_total", "Bytes of WebSocket frames handed to transports, with headers."),
    _counter("chat_heartbeat_pings_total", "WebSocket pings sent."),
    _counter("chat_heartbeat_kills_total", "Connections closed after a heartbeat timeout."),
    _counter("chat_slow_consumer_kills_total", "Slow consumers disconnected."),
    _counter("chat_rate_limited_total", "Messages and other frames over their sender's limit.", _LIMIT),
    _counter("chat_room_joins_total", "Joins of a room."),
    _counter("chat_room_leaves_total", "Leaves of a room, disconnects included."),
    _counter("chat_rooms_created_total", "Rooms created by a first member."),
    _counter("chat_uploads_total", "Uploads ended, by outcome.", _OUTCOME),
    _counter("chat_upload_bytes_total", "Bytes of file content received, chunk headers excluded."),
    _counter("chat_uploads_expired_total", "Expired files removed."),
    _counter("chat_task_failures_total", "Unexpected errors in long-lived tasks, which continue, by task.", _TASK),
    _histogram("chat_fanout_recipients", RECIPIENT_BOUNDS, "Recipients of each room message."),
    _histogram("chat_fanout_duration_seconds", LATENCY_BOUNDS, "Time from receiving a room message to its last write."),
    _histogram("chat_ping_rtt_seconds", LATENCY_BOUNDS, "Time from a heartbeat ping to its pong."),
    _histogram("chat_event_loop_lag_seconds", LATENCY_BOUNDS, "Lateness of a periodic timer on the event loop."),
    _histogram("chat_session_duration_seconds", SESSION_BOUNDS, "Lifetime of ended connections."),
    _histogram("chat_upload_duration_seconds", UPLOAD_BOUNDS, "Time from fileStart to the end of the upload."),
    _histogram("chat_scrape_duration_seconds", LATENCY_BOUNDS, "Event loop time of earlier scrapes of this page."),
)

BUS: Final = (  # exported only by a server with NATS; rules on these metrics return nothing for others
    _gauge("chat_bus_connected", "1 while messages pass the bus in both directions, else 0."),
    _gauge("chat_bus_nodes", "Server processes in the cluster, this one included."),
    _counter("chat_bus_messages_total", "Messages on the bus, by direction.", _DIRECTION),
    _counter("chat_bus_dropped_total", "Chat messages lost on the bus, by cause.", _LOST),
    _histogram(
        "chat_bus_lag_seconds",
        LATENCY_BOUNDS,
        "Time on the bus, by the nodes' wall clocks.",
    ),
)

PARENT: Final = (  # exported by the parent of several server processes, on its own address
    _gauge("chat_workers", "Running server processes."),
    _counter("chat_worker_restarts_total", "Restarts of server processes that died."),
)

GENERATOR: Final = (
    _gauge("locust_test_running", "1 while a test spawns or runs, else 0."),
    _gauge("locust_users", "Running users."),
    _gauge("locust_users_target", "Requested users."),
    _gauge("locust_workers", "Worker processes, by state.", _STATE),
    _counter("locust_requests_total", "Requests in Locust's statistics, failures included.", _METHOD, _NAME),
    _counter("locust_request_failures_total", "Failures in Locust's statistics.", _METHOD, _NAME),
    _histogram(
        "locust_request_duration_seconds", LATENCY_BOUNDS, "Response times in Locust's statistics.", _METHOD, _NAME
    ),
    _gauge("loadtest_connections", "Open WebSocket connections of the generator."),
    _counter("loadtest_messages_due_total", "Chat messages due so far."),
    _counter("loadtest_messages_sent_total", "Due messages that were sent."),
    _counter("loadtest_messages_skipped_total", "Due messages that could not be sent."),
    _counter("loadtest_deliveries_expected_total", "Expected deliveries: the other members for each message sent."),
    _counter("loadtest_deliveries_total", "Deliveries received."),
    _counter("loadtest_deliveries_lost_total", "Deliveries missing from a sender's sequence."),
    _counter("loadtest_deliveries_duplicated_total", "Deliveries received more than once."),
    _counter("loadtest_deliveries_reordered_total", "Deliveries received after a later one of the same sender."),
    _histogram(
        "loadtest_delivery_duration_seconds",
        LATENCY_BOUNDS,
        "Delivery time on both clocks.",
        _CLOCK,
    ),
    _histogram("loadtest_send_lag_seconds", LATENCY_BOUNDS, "Lateness of sends in the generator."),
    _histogram("loadtest_loop_lag_seconds", LATENCY_BOUNDS, "Lateness of a periodic timer in the generator."),
    _histogram(
        "loadtest_resync_duration_seconds",
        RESYNC_BOUNDS,
        "Time from a drop to the resync.",
    ),
    _counter("loadtest_drops_total", "Connections dropped on purpose, by cause.", _CAUSE),
    _counter("loadtest_storms_total", "Storms on command."),
    _gauge("loadtest_storm_dropped", "Users that the last storm on command dropped."),
    _gauge("loadtest_storm_resynced", "Users of the last storm on command that have resynced."),
    _gauge("loadtest_storm_resync_seconds", "Time until a share of its users had resynced; NaN before.", _SHARE),
    _gauge("loadtest_storm_peak_accepts", "Reconnects in the storm's busiest second."),
    _gauge("loadtest_storm_unaffected_seconds", "p99 delivery time of unaffected users; NaN without any."),
    _gauge("loadtest_storm_missed_messages", "Messages that the storm's dropped users missed."),
    _gauge("loadtest_invalid", "1 if the generator was the bottleneck, or a worker died, in this test."),
    _gauge("loadtest_thresholds_failed", "Thresholds that a window of this test missed."),
    _gauge("loadtest_worker_users", "Users of one process; a dead process has no series.", _WORKER),
    _counter("loadtest_worker_cpu_seconds_total", "CPU used by one process.", _WORKER),
    _gauge("loadtest_worker_resident_memory_bytes", "Memory of one process.", _WORKER),
    _gauge("loadtest_worker_report_age_seconds", "Time since the last report of one process.", _WORKER),
    _histogram("loadtest_worker_loop_lag_seconds", LATENCY_BOUNDS, "Loop lag of one process.", _WORKER),
    _histogram("loadtest_worker_send_lag_seconds", LATENCY_BOUNDS, "Send lag of one process.", _WORKER),
)

CATALOG: Final = {metric.name: metric for metric in (*SERVER, *BUS, *PARENT, *GENERATOR)}
