"""The requests in Locust's table: their names, and the type that those of the load test share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

CONNECT: Final = "connect"
JOIN: Final = "join"
SEND: Final = "send"
DELIVER: Final = "deliver"
PING: Final = "ping"
TYPING: Final = "typing"
UPLOAD: Final = "upload"
RESYNC: Final = "resync"

NAMES: Final = (CONNECT, JOIN, SEND, DELIVER, PING, TYPING, UPLOAD, RESYNC)

LEDGER_NAMES: Final = frozenset({SEND, DELIVER, RESYNC})
"""Rows that the ledger and the storms fill; a scenario cannot count requests under these names."""

MAX_OWN_NAMES: Final = 100
"""Most names of requests that are not built in: those of scenarios and of other clients together.

Names in thresholds are kept beyond it.
"""

ACK: Final = "ack"
"""Name of the acknowledgements of chat messages, which only some servers send; counted like a scenario's own name."""

OTHER: Final = "other"
"""Name of all requests beyond the first `MAX_OWN_NAMES` names."""

METHOD: Final = "WS"
"""Locust's request type of all requests of the load test."""


def row_of(name: str) -> str:
    """Return the key of a request in the snapshot, e.g. `WS connect`."""
    return f"{METHOD} {name}"


def rows_named(names: Iterable[str]) -> frozenset[str]:
    """Return the keys that the rows with these names may have: those of the load test, and those of other clients."""
    return frozenset(row for name in names for row in (row_of(name), name))
