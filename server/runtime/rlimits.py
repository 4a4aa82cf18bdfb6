"""How many files this process may have open, and so how many sockets it can take."""

from __future__ import annotations

import contextlib
import resource
from dataclasses import dataclass
from typing import Final

SPARE_SOCKETS: Final = 128
"""Sockets beside the admitted connections: requests for pages, heads and TLS handshakes under way."""

METRICS_SOCKETS: Final = 16
"""Sockets on a metrics port of its own."""

REFUSED_SOCKETS: Final = 8
"""Sockets on each port that can at least be told that the server is full."""

_OTHER_FILES: Final = 64
"""Logs, the loop itself, NATS, listening sockets, and what the libraries open."""

_UNLIMITED: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class SocketBudget:
    """What the descriptors are enough for.

    Attributes:
        connections: admitted ones.
        sockets: of the public port in all; above it there would be no descriptor left for files.
    """

    connections: int
    sockets: int


def raise_file_limit() -> None:
    """Allow as many open files as the system lets us have without asking anyone."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def socket_budget(wanted: int | None, most_uploads: int) -> SocketBudget:
    """Return the limits on connections and sockets: what was asked for, but no more than there are descriptors for.

    Args:
        wanted: a limit on connections, 0 for none, None for the default.
        most_uploads: how many files may be written at once; 0: one for each connection.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    left = soft if soft != resource.RLIM_INFINITY else _UNLIMITED
    left -= _OTHER_FILES + METRICS_SOCKETS + REFUSED_SOCKETS
    most = left - SPARE_SOCKETS - REFUSED_SOCKETS
    possible = max(1, most - most_uploads if 0 < most_uploads < most // 2 else most // 2)
    connections = min(wanted or possible, possible)
    files = min(most_uploads or connections, connections)
    return SocketBudget(connections, max(left - files, connections + SPARE_SOCKETS + REFUSED_SOCKETS))
