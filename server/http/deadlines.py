"""A deadline for each of many connections, with one timer of the event loop.

A timer of its own costs a connection 2 us, and almost every connection sends its request in time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio


class Limited(Protocol):
    """A connection with a deadline."""

    def time_out(self) -> None:
        """End the connection: its deadline has passed."""


class Deadlines:
    """The deadlines of connections that all have the same time."""

    __slots__ = ("_due", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: dict[Limited, float] = {}  # ascending, since all have the same time
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: Limited, seconds: float) -> None:
        """Call the connection's `time_out` after some seconds, as many in each call of this method."""
        self._due[connection] = self._loop.time() + seconds
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._advance)

    def discard(self, connection: Limited) -> None:
        """Remove the deadline of a connection, if it still has one."""
        self._due.pop(connection, None)

    def _advance(self) -> None:
        """Call `time_out` where the deadline has passed, and wait for the next deadline."""
        now = self._loop.time()
        self._timer = None
        passed = []
        for connection, due in self._due.items():
            if due > now:
                self._timer = self._loop.call_at(due, self._advance)
                break
            passed.append(connection)
        for connection in passed:
            del self._due[connection]
        for connection in passed:
            connection.time_out()
