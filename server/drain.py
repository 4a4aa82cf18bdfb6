"""Graceful shutdown with staggered closes, so that the clients do not reconnect all at once."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

from server.errors import CloseReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from server.websocket.connection import Connection

_FIRST_RETRY_MS: Final = 500
_BUSY_SECONDS: Final = 0.05
"""How often to check whether an upload that delays a close is finished."""
_TIMER_RESOLUTION: Final = 0.001
"""Seconds below which the event loop's timers cannot wait."""


class Drain:
    """Close WebSockets evenly over a number of seconds, and tell each client when to reconnect.

    A connection with an upload in progress is closed when the upload is finished, at the latest at the deadline.
    """

    def __init__(self, connections: Iterable[Connection], seconds: float, clock: Callable[[], float]) -> None:
        self._connections = list(connections)
        self._seconds = seconds
        self._clock = clock
        self._closed = 0

    async def run(self) -> None:
        """Send all close frames."""
        start = self._clock()
        deadline = start + self._seconds
        random.shuffle(self._connections)
        total = len(self._connections)
        busy: list[Connection] = []
        for number, connection in enumerate(self._connections):
            await self._sleep_until(start + self._seconds * (number + 1) / total)
            if connection.is_busy:
                busy.append(connection)
            else:
                self._close(connection)
        while busy and self._clock() < deadline:
            await asyncio.sleep(_BUSY_SECONDS)
            for connection in [connection for connection in busy if not connection.is_busy]:
                busy.remove(connection)
                self._close(connection)
        for connection in busy:
            self._close(connection)

    async def _sleep_until(self, moment: float) -> None:
        delay = moment - self._clock()
        if delay > _TIMER_RESOLUTION:
            await asyncio.sleep(delay)

    def _close(self, connection: Connection) -> None:
        """Close with code 1012; each client gets a different time to reconnect."""
        total = len(self._connections)
        spread_ms = max(total, int(1000 * self._seconds))
        retry_ms = _FIRST_RETRY_MS + self._closed * spread_ms // total
        self._closed += 1
        connection.close(CloseReason.DRAIN, f"restart retry_ms={retry_ms}", finish_reading=True)
