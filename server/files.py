"""How many files this process may have open, and so how many connections it can take."""

from __future__ import annotations

import contextlib
import resource
from typing import Final

SPARE_SOCKETS: Final = 128
"""Sockets beside the admitted connections: requests for pages, and those being refused."""

_RESERVE: Final = 2 * SPARE_SOCKETS
"""Descriptors kept for those, and for uploads, logs and the loop itself."""


def raise_file_limit() -> None:
    """Allow as many open files as the system lets us have without asking anyone."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_connections(wanted: int | None) -> int:
    """Return the limit on connections: what was asked for, but never more than there are descriptors for.

    Args:
        wanted: a limit, 0 for none, None for the default.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = max(1, soft - _RESERVE) if soft != resource.RLIM_INFINITY else 1_000_000
    return min(wanted or possible, possible)
