"""Messages in flight to a client that is about to close its connection."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

import gevent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stampede.ledger.membership import Membership
    from stampede.websocket.connection import Connection

_POLL_SECONDS: Final = 0.01


def await_deliveries(
    connection: Connection, memberships: Mapping[int, Membership], seconds: float
) -> dict[int, list[int]]:
    """Wait until everything sent so far has arrived, `seconds` at most.

    Args:
        connection: of the client, open and watched.
        memberships: of the client by the number of their room; it changes if the client leaves a room meanwhile.
        seconds: longest wait.

    Returns:
        What was waited for: the mark of each joined room, by its number; empty if the connection ended meanwhile.
    """
    marks = {number: one.room.mark() for number, one in memberships.items() if one.joined}
    deadline = monotonic() + seconds
    while connection.is_open and monotonic() < deadline and not _have_arrived(marks, memberships):
        gevent.sleep(_POLL_SECONDS)
    return marks if connection.is_open else {}


def _have_arrived(marks: Mapping[int, list[int]], memberships: Mapping[int, Membership]) -> bool:
    return all(memberships[number].arrived(mark) for number, mark in marks.items() if number in memberships)
