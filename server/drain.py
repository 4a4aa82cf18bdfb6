"""Going away without a stampede: everyone is told to go at a moment of their own, and when to come back."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

from server.errors import CloseReason
from server.websocket.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.http.listener import Gate

_FIRST_RETRY_MS: Final = 500
_BUSY_SECONDS: Final = 0.05
"""How often to look whether an upload that holds a goodbye up is finished."""


class Drain:
    """Tell all WebSockets of a gate to go, evenly over `seconds`; those who upload, at the deadline at the latest."""

    def __init__(self, gate: Gate, seconds: float, clock: Callable[[], float]) -> None:
        self._gate = gate
        self._seconds = seconds
        self._clock = clock
        self._goodbyes = 0

    async def run(self) -> None:
        """Return when the last has been told."""
        start = self._clock()
        deadline = start + self._seconds
        waiting = [guest for guest in self._gate.guests if isinstance(guest, Connection)]
        random.shuffle(waiting)
        total = len(waiting)
        busy: list[Connection] = []
        for number, connection in enumerate(waiting):
            await self._until(start + self._seconds * (number + 1) / total)
            if connection.is_busy:
                busy.append(connection)
            else:
                self._say_goodbye(connection, total)
        while busy and self._clock() < deadline:
            await asyncio.sleep(_BUSY_SECONDS)
            for connection in [connection for connection in busy if not connection.is_busy]:
                busy.remove(connection)
                self._say_goodbye(connection, total)
        for connection in busy:
            self._say_goodbye(connection, total)

    async def _until(self, moment: float) -> None:
        delay = moment - self._clock()
        if delay > 0.001:  # closer than the loop's timers can tell
            await asyncio.sleep(delay)

    def _say_goodbye(self, connection: Connection, total: int) -> None:
        """Close with 1012; nobody is to come back at the same millisecond as another."""
        spread_ms = max(total, int(1000 * self._seconds))
        retry_ms = _FIRST_RETRY_MS + self._goodbyes * spread_ms // total
        self._goodbyes += 1
        connection.close(CloseReason.DRAIN, f"restart retry_ms={retry_ms}", hear_out=True)
