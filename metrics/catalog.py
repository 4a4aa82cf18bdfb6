"""The catalog of all metrics: those of the server, with the prefix `chat_`, and those of the load generator.

Collectors, documents, rules and dashboards take their names from here. The number of series is bounded: no label
identifies a room, a user or an address. Of the request names that come from scenarios, the load generator exports the
first 100 and adds the others up as `other`. Series with known label values exist from the start with 0.
"""

from __future__ import annotations

from typing import Final

from server.errors import CloseReason
from server.histogram_buckets import RECIPIENT_BOUNDS, SESSION_BOUNDS, UPLOAD_BOUNDS
from server.protocol.messages import CLIENT_TYPES, FILE_CHUNK, SERVER_TYPES
from server.stats import (
    BUS_DIRECTIONS,
    BUS_DROP_REASONS,
    DOWNLOAD_OUTCOMES,
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
from stampede.metrics.catalog import GENERATOR
from stampede.metrics.histogram_buckets import LATENCY_BOUNDS
from stampede.metrics.metric import Label, counter, gauge, histogram

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
_DOWNLOAD: Final = Label("outcome", DOWNLOAD_OUTCOMES)
_DIRECTION: Final = Label("direction", BUS_DIRECTIONS)
_LOST: Final = Label("reason", BUS_DROP_REASONS)
_BUILD: Final = tuple(Label(part) for part in ("version", "python", "uvloop", "websockets"))


SERVER: Final = (
    gauge("chat_build_info", "Always 1; the labels are the running versions.", *_BUILD),
    gauge("chat_connections", "Open WebSocket connections on all paths."),
    gauge("chat_connection_limit", "Limit on connections."),
    gauge("chat_slow_consumers", "Connections with a write buffer above the soft limit."),
    gauge("chat_draining", "1 during graceful shutdown, else 0."),
    gauge("chat_rooms", "Rooms with at least one member."),
    gauge("chat_room_members_max", "Members of the largest room."),
    gauge("chat_uploads_active", "Uploads in progress."),
    gauge("chat_downloads_active", "Downloads of stored files in progress."),
    counter("chat_connections_opened_total", "WebSocket connections accepted."),
    counter("chat_connections_closed_total", "WebSocket connections ended, by cause.", _CLOSED),
    counter("chat_handshakes_rejected_total", "Upgrade requests refused, by cause.", _REJECTED),
    counter("chat_http_requests_total", "Plain HTTP requests answered, by known path and status.", _PATH, _CODE),
    counter("chat_messages_received_total", "Valid messages from clients; a file chunk is one.", _RECEIVED),
    counter("chat_messages_delivered_total", "Messages written, one per recipient.", _SENT),
    counter(
        "chat_messages_dropped_total",
        "Messages not written, one per recipient; closed: the recipient had disconnected.",
        _NOTICE,
        _DROPPED,
    ),
    counter("chat_invalid_messages_total", "Malformed messages refused, by cause.", _INVALID),
    counter("chat_received_bytes_total", "Bytes of WebSocket frames received, with headers."),
    counter("chat_sent_bytes_total", "Bytes of WebSocket frames handed to transports, with headers."),
    counter("chat_heartbeat_pings_total", "WebSocket pings sent."),
    counter("chat_heartbeat_kills_total", "Connections closed after a heartbeat timeout."),
    counter("chat_slow_consumer_kills_total", "Slow consumers disconnected."),
    counter("chat_rate_limited_total", "Messages and other frames over their sender's limit.", _LIMIT),
    counter("chat_room_joins_total", "Joins of a room."),
    counter("chat_room_leaves_total", "Leaves of a room, disconnects included."),
    counter("chat_rooms_created_total", "Rooms created by a first member."),
    counter("chat_uploads_total", "Uploads ended, by outcome.", _OUTCOME),
    counter("chat_upload_bytes_total", "Bytes of file content received, chunk headers excluded."),
    counter("chat_uploads_expired_total", "Expired files removed."),
    counter("chat_downloads_total", "Downloads of stored files ended, by outcome.", _DOWNLOAD),
    counter("chat_download_bytes_total", "Bytes of file content sent."),
    counter("chat_task_failures_total", "Unexpected errors in long-lived tasks, which continue, by task.", _TASK),
    histogram("chat_fanout_recipients", RECIPIENT_BOUNDS, "Recipients of each room message."),
    histogram("chat_fanout_duration_seconds", LATENCY_BOUNDS, "Time from receiving a room message to its last write."),
    histogram("chat_ping_rtt_seconds", LATENCY_BOUNDS, "Time from a heartbeat ping to its pong."),
    histogram("chat_event_loop_lag_seconds", LATENCY_BOUNDS, "Lateness of a periodic timer on the event loop."),
    histogram("chat_session_duration_seconds", SESSION_BOUNDS, "Lifetime of ended connections."),
    histogram("chat_upload_duration_seconds", UPLOAD_BOUNDS, "Time from fileStart to the end of the upload."),
    histogram("chat_scrape_duration_seconds", LATENCY_BOUNDS, "Event loop time of earlier scrapes of this page."),
)

BUS: Final = (  # exported only by a server with NATS; rules on these metrics return nothing for others
    gauge("chat_bus_connected", "1 while messages pass the bus in both directions, else 0."),
    gauge("chat_bus_nodes", "Server processes in the cluster, this one included."),
    counter("chat_bus_messages_total", "Messages on the bus, by direction.", _DIRECTION),
    counter("chat_bus_dropped_total", "Chat messages lost on the bus, by cause.", _LOST),
    histogram(
        "chat_bus_lag_seconds",
        LATENCY_BOUNDS,
        "Time on the bus, by the nodes' wall clocks.",
    ),
)

PARENT: Final = (  # exported by the parent of several server processes, on a separate address
    gauge("chat_workers", "Running server processes."),
    counter("chat_worker_restarts_total", "Restarts of server processes that died."),
)


CATALOG: Final = {metric.name: metric for metric in (*SERVER, *BUS, *PARENT, *GENERATOR)}
