"""What the endpoints of one server process share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.chat.hub import Hub
    from server.settings import Settings
    from server.stats import ServerStats
    from server.uploads.lane import RunInThread
    from server.uploads.uploads import UploadStore


class Timer(Protocol):
    """What is to happen later, unless it is cancelled."""

    def cancel(self) -> None:
        """Let it not happen, and forget what it holds."""


@dataclass(frozen=True, slots=True)
class Services:
    """The state of the process, and its ways to time and threads; endpoints know no event loop.

    Attributes:
        clock: monotonic seconds.
        call_later: call back after some seconds.
        run_in_thread: do what blocks, then call back with what came of it.
    """

    hub: Hub
    uploads: UploadStore
    stats: ServerStats
    settings: Settings
    clock: Callable[[], float]
    call_later: Callable[[float, Callable[[], None]], Timer]
    run_in_thread: RunInThread
