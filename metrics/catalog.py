"""Every metric on one screen: the server's, prefix `chat_`, and the load generator's.

Collectors, documentation, rules and dashboards take names from here and from nowhere else. No label carries a
room, a user or an address, so the number of series is fixed; known label values exist from the start with 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

_UNITS: Final = ("seconds", "bytes")

Kind = Literal["gauge", "counter", "histogram"]


@dataclass(frozen=True, slots=True)
class Label:
    """A label name, and where the list of its known values stands."""

    name: str
    values: str


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the catalog.

    Attributes:
        name: as it is queried; a histogram's without `_bucket`, `_sum`, `_count`.
        kind: Prometheus type; histograms are classic ones, prometheus-client has no native ones.
        help: HELP text of the exposition.
        labels: in the order in which values are given.
        buckets: ascending upper bounds of a histogram, without +Inf.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def family(self) -> str:
        """Name of the metric family: a counter's stands without `_total` (OpenMetrics)."""
        return self.name.removesuffix("_total")

    @property
    def unit(self) -> str:
        """Base unit, seconds or bytes, in which the family name then ends; empty for plain numbers."""
        return next((unit for unit in _UNITS if self.family.endswith(f"_{unit}")), "")


LATENCY: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
RECIPIENTS: Final = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
SESSION: Final = (1, 5, 15, 60, 300, 900, 3600, 14400, 43200, 86400)
UPLOAD: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
RESYNC: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)

_TASK: Final = Label("task", "TASKS of server.stats")
_CLOSED: Final = Label("reason", "CloseReason of server.errors")
_REJECTED: Final = Label("reason", "REJECTIONS of server.stats")
_DROPPED: Final = Label("reason", "DROP_REASONS of server.stats")
_INVALID: Final = Label("reason", "INVALID_REASONS of server.stats")
_RECEIVED: Final = Label("type", "CLIENT_TYPES of server.messages, FILE_CHUNK of server.messages, ECHO of server.stats")
_SENT: Final = Label("type", "SERVER_TYPES of server.messages, ECHO of server.stats")
_NOTICE: Final = Label("type", "SERVER_TYPES of server.messages")
_LIMIT: Final = Label("limit", "RATE_LIMITS of server.stats")
_OUTCOME: Final = Label("outcome", "UPLOAD_OUTCOMES of server.stats")
_PATH: Final = Label("path", "HTTP_PATHS of server.stats")
_CODE: Final = Label("code", "HTTP_CODES of server.stats")
_DIRECTION: Final = Label("direction", "BUS_DIRECTIONS of server.stats")
_LOST: Final = Label("reason", "BUS_DROP_REASONS of server.stats")
_BUILD: Final = tuple(Label(part, "the running release") for part in ("version", "python", "uvloop", "websockets"))
_METHOD: Final = Label("method", "Locust's request types")
_NAME: Final = Label("name", "Locust's request names")
_STATE: Final = Label("state", "Locust's worker states")
_CLOCK: Final = Label("clock", "intended, sent")
_WORKER: Final = Label("worker", "number of a living process of the generator")
_CAUSE: Final = Label("cause", "DROP_CAUSES of stampede.measure.measures")
_SHARE: Final = Label("share", "SHARES of stampede.measure.storm_results")


def _gauge(name: str, text: str, *labels: Label) -> Metric:
    return Metric(name, "gauge", text, labels)


def _counter(name: str, text: str, *labels: Label) -> Metric:
    return Metric(name, "counter", text, labels)


def _histogram(name: str, buckets: tuple[float, ...], text: str, *labels: Label) -> Metric:
    return Metric(name, "histogram", text, labels, buckets)


SERVER: Final = (
    _gauge("chat_build_info", "Always 1; the labels say which releases run.", *_BUILD),
    _gauge("chat_connections", "Open WebSocket connections, of any path."),
    _gauge("chat_connection_limit", "Connections that are admitted at most."),
    _gauge("chat_slow_consumers", "Connections that are behind in reading what they are sent."),
    _gauge("chat_draining", "1 while the server is going away."),
    _gauge("chat_rooms", "Rooms with at least one member."),
    _gauge("chat_room_members_max", "Members of the largest room."),
    _gauge("chat_uploads_active", "Uploads in progress."),
    _counter("chat_connections_opened_total", "WebSocket connections accepted."),
    _counter("chat_connections_closed_total", "WebSocket connections ended, by cause.", _CLOSED),
    _counter("chat_handshakes_rejected_total", "Upgrade requests refused, by cause.", _REJECTED),
    _counter("chat_http_requests_total", "Plain requests answered, by known path and status.", _PATH, _CODE),
    _counter("chat_messages_received_total", "Valid messages of clients; a chunk is one.", _RECEIVED),
    _counter("chat_messages_delivered_total", "Messages written, one per recipient.", _SENT),
    _counter(
        "chat_messages_dropped_total",
        "Messages not written, one per recipient; closed: the recipient was gone.",
        _NOTICE,
        _DROPPED,
    ),
    _counter("chat_invalid_messages_total", "Messages refused as malformed, by cause.", _INVALID),
    _counter("chat_received_bytes_total", "Bytes of WebSocket frames received, with headers."),
    _counter("chat_sent_bytes_total", "Bytes of WebSocket frames handed to transports, with headers."),
    _counter("chat_heartbeat_pings_total", "Protocol pings sent."),
    _counter("chat_heartbeat_kills_total", "Connections dropped after a silent heartbeat timeout."),
    _counter("chat_slow_consumer_kills_total", "Connections dropped for not reading what they were sent."),
    _counter("chat_rate_limited_total", "Messages and other frames over their sender's limit.", _LIMIT),
    _counter("chat_room_joins_total", "Joins of a room."),
    _counter("chat_room_leaves_total", "Departures from a room, disappearances included."),
    _counter("chat_rooms_created_total", "Rooms opened by a first member."),
    _counter("chat_uploads_total", "Uploads ended, by outcome.", _OUTCOME),
    _counter("chat_upload_bytes_total", "Bytes of file content received, chunk headers excluded."),
    _counter("chat_uploads_expired_total", "Stored files removed because their time was up."),
    _counter("chat_task_failures_total", "Unexpected errors in long-lived tasks, by task; each goes on.", _TASK),
    _histogram("chat_fanout_recipients", RECIPIENTS, "Recipients of each room message."),
    _histogram("chat_fanout_duration_seconds", LATENCY, "Room message received until its last write."),
    _histogram("chat_ping_rtt_seconds", LATENCY, "Heartbeat ping sent until its pong."),
    _histogram("chat_event_loop_lag_seconds", LATENCY, "Lateness of a regular timer on the event loop."),
    _histogram("chat_session_duration_seconds", SESSION, "Lifetime of ended connections."),
    _histogram("chat_upload_duration_seconds", UPLOAD, "File announced until its upload ended."),
    _histogram("chat_scrape_duration_seconds", LATENCY, "Event loop held by a scrape of this page; earlier ones."),
)

BUS: Final = (  # exposed by a server on a bus only: rules on them are silent elsewhere
    _gauge("chat_bus_connected", "1 while the bus carries this node's messages both ways, else 0."),
    _gauge("chat_bus_nodes", "Server processes that are one, this one included."),
    _counter("chat_bus_messages_total", "Messages on the bus, by direction.", _DIRECTION),
    _counter("chat_bus_dropped_total", "Chat messages that did not get over the bus, by cause.", _LOST),
    _histogram("chat_bus_lag_seconds", LATENCY, "Message put on the bus until taken off, by the nodes' wall clocks."),
)

PARENT: Final = (  # exposed by the parent of several server processes, on its own address
    _gauge("chat_workers", "Server processes that are up."),
    _counter("chat_worker_restarts_total", "Server processes started again because they died."),
)

GENERATOR: Final = (
    _gauge("locust_test_running", "1 while a test spawns or runs, else 0."),
    _gauge("locust_users", "Users running now."),
    _gauge("locust_users_target", "Users asked for."),
    _gauge("locust_workers", "Worker processes, by state.", _STATE),
    _counter("locust_requests_total", "Requests in Locust's statistics, failures included.", _METHOD, _NAME),
    _counter("locust_request_failures_total", "Failures in Locust's statistics.", _METHOD, _NAME),
    _histogram("locust_request_duration_seconds", LATENCY, "Response times as Locust keeps them.", _METHOD, _NAME),
    _gauge("loadtest_connections", "Open WebSocket connections of the generator."),
    _counter("loadtest_messages_due_total", "Chat messages that were to be sent by now."),
    _counter("loadtest_messages_sent_total", "Of the messages due, those sent."),
    _counter("loadtest_messages_skipped_total", "Of the messages due, those that could not be sent."),
    _counter("loadtest_deliveries_expected_total", "Deliveries owed: room mates of each message sent."),
    _counter("loadtest_deliveries_total", "Deliveries received."),
    _counter("loadtest_deliveries_lost_total", "Deliveries missing from a sender's sequence."),
    _counter("loadtest_deliveries_duplicated_total", "Deliveries received more than once."),
    _counter("loadtest_deliveries_reordered_total", "Deliveries received after a later one of their sender."),
    _histogram("loadtest_delivery_duration_seconds", LATENCY, "Send until delivery, on both clocks.", _CLOCK),
    _histogram("loadtest_send_lag_seconds", LATENCY, "Lateness of sends: the generator's own health."),
    _histogram("loadtest_loop_lag_seconds", LATENCY, "Lateness of a regular timer in the generator."),
    _histogram("loadtest_resync_duration_seconds", RESYNC, "Drop until in the room and hearing again."),
    _counter("loadtest_drops_total", "Connections dropped on purpose, by cause.", _CAUSE),
    _counter("loadtest_storms_total", "Storms on command."),
    _gauge("loadtest_storm_dropped", "Users that the last storm on command dropped."),
    _gauge("loadtest_storm_resynced", "Of these, those in their room and hearing again."),
    _gauge("loadtest_storm_resync_seconds", "Its drop until a share had resynced; NaN before.", _SHARE),
    _gauge("loadtest_storm_peak_accepts", "Reconnects in its busiest second."),
    _gauge("loadtest_storm_unaffected_seconds", "p99 of deliveries to the others during it; NaN without any."),
    _gauge("loadtest_storm_missed_messages", "Messages that its dropped users did not get."),
    _gauge("loadtest_invalid", "1 once the generator was the limit, or a worker died, in this test."),
    _gauge("loadtest_thresholds_failed", "Thresholds that a window of this test has missed."),
    _gauge("loadtest_worker_users", "Users of one process; one that died has no series.", _WORKER),
    _counter("loadtest_worker_cpu_seconds_total", "CPU used by one process.", _WORKER),
    _gauge("loadtest_worker_resident_memory_bytes", "Memory of one process.", _WORKER),
    _gauge("loadtest_worker_report_age_seconds", "Time since one process last reported.", _WORKER),
    _histogram("loadtest_worker_loop_lag_seconds", LATENCY, "Loop lag of one process.", _WORKER),
    _histogram("loadtest_worker_send_lag_seconds", LATENCY, "Send lag of one process.", _WORKER),
)

CATALOG: Final = {metric.name: metric for metric in (*SERVER, *BUS, *PARENT, *GENERATOR)}
