"""The limit on open files, and the number of sockets that it allows."""

from __future__ import annotations

import contextlib
import resource
from dataclasses import dataclass
from typing import Final

SPARE_SOCKETS: Final = 128
"""Sockets in addition to the admitted connections: page requests, and handshakes in progress."""

METRICS_SOCKETS: Final = 16
"""Sockets on a separate metrics port."""

REFUSED_SOCKETS: Final = 8
"""Sockets on each port that are only answered with 503."""

DOWNLOADS: Final = 64
"""Files that are open for downloads; their sockets are among the spare ones."""

_OTHER_FILES: Final = 128
"""Logs, the event loop, NATS, listening sockets and files of libraries."""

_UNLIMITED: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class SocketBudget:
    """Limits that the number of file descriptors allows.

    Attributes:
        connections: admitted connections.
        sockets: all sockets of the public port; more would leave no descriptors for uploaded files.
    """

    connections: int
    sockets: int


def raise_file_limit() -> None:
    """Raise the soft limit on open files to the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def socket_budget(wanted: int | None, max_uploads: int) -> SocketBudget:
    """Return the limits on connections and sockets that the limit on open files allows.

    Args:
        wanted: limit on connections; 0 or None: as many as possible.
        max_uploads: limit on uploads in progress, which need one descriptor each; 0: one per connection.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    left = soft if soft != resource.RLIM_INFINITY else _UNLIMITED
    left -= _OTHER_FILES + DOWNLOADS + METRICS_SOCKETS + REFUSED_SOCKETS
    most = left - SPARE_SOCKETS - REFUSED_SOCKETS
    possible = max(1, most - max_uploads if 0 < max_uploads < most // 2 else most // 2)
    connections = min(wanted or possible, possible)
    files = min(max_uploads or connections, connections)
    return SocketBudget(connections, max(left - files, connections + SPARE_SOCKETS + REFUSED_SOCKETS))
