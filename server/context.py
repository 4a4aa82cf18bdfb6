"""What the endpoints of one server process share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.chat.hub import Hub
    from server.settings import Settings
    from server.stats import ServerStats
    from server.uploads.daemon_threads import RunInThread
    from server.uploads.uploads import UploadStore


@dataclass(frozen=True, slots=True)
class Services:
    """The state of the process, its clock and its threads.

    Attributes:
        clock: monotonic seconds.
        run_in_thread: runs a blocking function and returns its result.
    """

    hub: Hub
    uploads: UploadStore
    stats: ServerStats
    settings: Settings
    clock: Callable[[], float]
    run_in_thread: RunInThread
