"""Collectors that read the server's state during a scrape, one per subject, with no cost on the hot path.

Collectors read the state through protocols, so the server does not import them. They read existing counters and compute
only the size of the largest room, so the cost of a scrape does not depend on the number of connections.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client.registry import Collector

from metrics.catalog import CATALOG
from stampede.metrics.families import Families

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence, Sized

    from prometheus_client.core import Metric as Family

    from stampede.metrics.families import Distribution

_families: Final = Families(CATALOG)


class ConnectionState(Protocol):
    """The counters of connections, bytes, heartbeats and the event loop."""

    connections_opened: int
    connections_closed: dict[str, int]
    handshakes_rejected: dict[str, int]
    http_requests: dict[tuple[str, int], int]
    received_bytes: int
    sent_bytes: int
    rate_limited: dict[str, int]
    slow_consumers: int
    slow_consumer_kills: int
    heartbeat_pings: int
    heartbeat_kills: int

    @property
    def connections(self) -> int: ...

    @property
    def ping_rtt(self) -> Distribution: ...

    @property
    def event_loop_lag(self) -> Distribution: ...

    @property
    def session_duration(self) -> Distribution: ...


class MessageState(Protocol):
    """The counters of messages."""

    messages_received: dict[str, int]
    messages_delivered: dict[str, int]
    messages_dropped: dict[tuple[str, str], int]
    invalid_messages: dict[str, int]

    @property
    def fanout_recipients(self) -> Distribution: ...

    @property
    def fanout_duration(self) -> Distribution: ...


class RoomState(Protocol):
    """The counters of rooms."""

    room_joins: int
    room_leaves: int
    rooms_created: int


class TaskState(Protocol):
    """The counters of long-lived tasks."""

    task_failures: dict[str, int]


class UploadState(Protocol):
    """The counters of uploads and downloads."""

    uploads: dict[str, int]
    upload_bytes: int
    uploads_expired: int
    downloads: dict[str, int]
    downloads_active: int
    download_bytes: int

    @property
    def upload_duration(self) -> Distribution: ...


class ActiveUploads(Protocol):
    """Provides the number of uploads in progress."""

    @property
    def active(self) -> int: ...


class AdmissionState(Protocol):
    """Provides the connection limit and the drain state."""

    @property
    def max_connections(self) -> int: ...

    @property
    def draining(self) -> bool: ...


class ServerState(ConnectionState, MessageState, RoomState, TaskState, UploadState, Protocol):
    """All counters of one server process."""


class ConnectionCollector(Collector):
    """Exports the counters of connections, bytes and heartbeats."""

    def __init__(self, state: ConnectionState) -> None:
        self._state = state

    def collect(self) -> Iterator[Family]:
        state = self._state
        yield _families.scalar("chat_connections", state.connections)
        yield _families.scalar("chat_connections_opened_total", state.connections_opened)
        yield _families.labelled("chat_connections_closed_total", state.connections_closed)
        yield _families.labelled("chat_handshakes_rejected_total", state.handshakes_rejected)
        yield _families.labelled("chat_http_requests_total", state.http_requests)
        yield _families.scalar("chat_received_bytes_total", state.received_bytes)
        yield _families.scalar("chat_sent_bytes_total", state.sent_bytes)
        yield _families.scalar("chat_slow_consumers", state.slow_consumers)
        yield _families.scalar("chat_slow_consumer_kills_total", state.slow_consumer_kills)
        yield _families.labelled("chat_rate_limited_total", state.rate_limited)
        yield _families.scalar("chat_heartbeat_pings_total", state.heartbeat_pings)
        yield _families.scalar("chat_heartbeat_kills_total", state.heartbeat_kills)
        yield _families.histogram("chat_ping_rtt_seconds", {(): state.ping_rtt})
        yield _families.histogram("chat_session_duration_seconds", {(): state.session_duration})
        yield _families.histogram("chat_event_loop_lag_seconds", {(): state.event_loop_lag})


class MessageCollector(Collector):
    """Exports the counters of messages, and the fan-out."""

    def __init__(self, state: MessageState) -> None:
        self._state = state

    def collect(self) -> Iterator[Family]:
        state = self._state
        yield _families.labelled("chat_messages_received_total", state.messages_received)
        yield _families.labelled("chat_messages_delivered_total", state.messages_delivered)
        yield _families.labelled("chat_messages_dropped_total", state.messages_dropped)
        yield _families.labelled("chat_invalid_messages_total", state.invalid_messages)
        yield _families.histogram("chat_fanout_recipients", {(): state.fanout_recipients})
        yield _families.histogram("chat_fanout_duration_seconds", {(): state.fanout_duration})


class RoomCollector(Collector):
    """Exports the number of rooms, the size of the largest, joins and leaves."""

    def __init__(self, state: RoomState, rooms: Mapping[str, Sized]) -> None:
        self._state = state
        self._rooms = rooms

    def collect(self) -> Iterator[Family]:
        state = self._state
        yield _families.scalar("chat_rooms", len(self._rooms))
        yield _families.scalar("chat_room_members_max", max(map(len, self._rooms.values()), default=0))
        yield _families.scalar("chat_room_joins_total", state.room_joins)
        yield _families.scalar("chat_room_leaves_total", state.room_leaves)
        yield _families.scalar("chat_rooms_created_total", state.rooms_created)


class TaskCollector(Collector):
    """Exports the failures of long-lived tasks."""

    def __init__(self, state: TaskState) -> None:
        self._state = state

    def collect(self) -> Iterator[Family]:
        yield _families.labelled("chat_task_failures_total", self._state.task_failures)


class UploadCollector(Collector):
    """Exports the uploads and downloads in progress, their outcomes, and the durations of uploads."""

    def __init__(self, state: UploadState, uploads: ActiveUploads) -> None:
        self._state = state
        self._uploads = uploads

    def collect(self) -> Iterator[Family]:
        state = self._state
        yield _families.scalar("chat_uploads_active", self._uploads.active)
        yield _families.labelled("chat_uploads_total", state.uploads)
        yield _families.scalar("chat_upload_bytes_total", state.upload_bytes)
        yield _families.scalar("chat_uploads_expired_total", state.uploads_expired)
        yield _families.scalar("chat_downloads_active", state.downloads_active)
        yield _families.labelled("chat_downloads_total", state.downloads)
        yield _families.scalar("chat_download_bytes_total", state.download_bytes)
        yield _families.histogram("chat_upload_duration_seconds", {(): state.upload_duration})


class AdmissionCollector(Collector):
    """Exports the connection limit and the drain state."""

    def __init__(self, admission: AdmissionState) -> None:
        self._admission = admission

    def collect(self) -> Iterator[Family]:
        yield _families.scalar("chat_connection_limit", self._admission.max_connections)
        yield _families.scalar("chat_draining", int(self._admission.draining))


class BusState(Protocol):
    """The counters of the bus."""

    bus_messages: dict[str, int]
    bus_dropped: dict[str, int]

    @property
    def bus_lag(self) -> Distribution: ...


class OtherNodes(Protocol):
    """Provides the bus connection and the number of other nodes."""

    @property
    def is_connected(self) -> bool: ...

    @property
    def nodes(self) -> int: ...


class BusCollector(Collector):
    """Exports the state of the bus; a single process has no such collector."""

    def __init__(self, state: BusState, others: OtherNodes) -> None:
        self._state = state
        self._others = others

    def collect(self) -> Iterator[Family]:
        yield _families.scalar("chat_bus_connected", int(self._others.is_connected))
        yield _families.scalar("chat_bus_nodes", self._others.nodes + 1)
        yield _families.labelled("chat_bus_messages_total", self._state.bus_messages)
        yield _families.labelled("chat_bus_dropped_total", self._state.bus_dropped)
        yield _families.histogram("chat_bus_lag_seconds", {(): self._state.bus_lag})


class WorkerState(Protocol):
    """The parent's view of one server process."""

    restarts: int
    is_ready: bool


class WorkersCollector(Collector):
    """Exports the state of the server processes of one parent."""

    def __init__(self, workers: Sequence[WorkerState]) -> None:
        self._workers = workers

    def collect(self) -> Iterator[Family]:
        yield _families.scalar("chat_workers", sum(worker.is_ready for worker in self._workers))
        yield _families.scalar("chat_worker_restarts_total", sum(worker.restarts for worker in self._workers))


class BuildCollector(Collector):
    """Exports the running versions."""

    def __init__(self, version: str, python: str, uvloop: str, websockets: str) -> None:
        self._releases = (version, python, uvloop, websockets)

    def collect(self) -> Iterator[Family]:
        yield _families.labelled("chat_build_info", {self._releases: 1})


def server_collectors(
    state: ServerState, rooms: Mapping[str, Sized], uploads: ActiveUploads, admission: AdmissionState
) -> tuple[Collector, ...]:
    """Return the collectors of one server process, without those of build and process.

    Args:
        state: the counters of the process.
        rooms: the rooms by name; the length of each is its number of members.
        uploads: provides the number of uploads in progress.
        admission: provides the connection limit and the drain state.
    """
    return (
        ConnectionCollector(state),
        MessageCollector(state),
        RoomCollector(state, rooms),
        UploadCollector(state, uploads),
        TaskCollector(state),
        AdmissionCollector(admission),
    )
