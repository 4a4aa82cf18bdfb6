"""The state that all connections of one server process share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from server.chat.batching import BatchScheduler
    from server.chat.hub import Hub
    from server.settings import Settings
    from server.stats import ServerStats
    from server.uploads.daemon_threads import RunInThread
    from server.uploads.downloads import Downloads
    from server.uploads.uploads import UploadStore
    from server.websocket.heartbeat import HeartbeatWheel


@dataclass(frozen=True, slots=True)
class ServerContext:
    """The shared objects that a connection and its endpoint use.

    Attributes:
        clock: monotonic seconds.
        scheduler: batches the work of one iteration of the event loop.
        run_in_thread: runs a blocking function in a thread and returns its result.
    """

    settings: Settings
    stats: ServerStats
    hub: Hub
    uploads: UploadStore
    downloads: Downloads
    wheel: HeartbeatWheel
    scheduler: BatchScheduler
    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]
    run_in_thread: RunInThread
