"""The inbound half of a connection: what was received, and when reading is paused.

A pause of reading is back-pressure: the data of the peer then waits in the kernel and in the peer's own buffers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from server.websocket.context import ServerContext

MAX_DISCARDED_BYTES: Final = 256 * 1024
"""Bytes read and discarded after the connection has left the chat; then reading is paused."""


class InboundStream:
    """Count what one transport receives, and pause reading from it.

    Args:
        context: has the clock, the event loop and the scheduler.
        transport: the connection's transport.

    Attributes:
        bytes_in: bytes received so far; the connection adds to it.
        last_received_at: when data was last received, which the connection sets, or reading was resumed. Infinite while
            reading is paused, because data may be waiting unread: the heartbeat timeout stops.
        resumed_at: when reading was last resumed; 0: never. The pong to an earlier ping may have waited unread.
    """

    __slots__ = ("_context", "_discardable", "_pauses", "_transport", "bytes_in", "last_received_at", "resumed_at")

    def __init__(self, context: ServerContext, transport: asyncio.Transport) -> None:
        self._context = context
        self._transport = transport
        self._discardable = MAX_DISCARDED_BYTES
        self._pauses = 0  # calls of `pause_reading` that `resume_reading` has not undone
        self.bytes_in = 0
        self.last_received_at = 0.0
        self.resumed_at = 0.0

    def pause_reading(self) -> None:
        """Pause reading until `resume_reading` has been called equally often."""
        self._pauses += 1
        self.last_received_at = math.inf
        if self._pauses == 1 and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Undo one `pause_reading`; read on after the last."""
        self._pauses -= 1
        if not self._pauses:
            self.last_received_at = self.resumed_at = self._context.clock()
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def pause_reading_for(self, seconds: float) -> None:
        """Pause reading for some seconds, so that the peer's own buffers fill."""
        self.pause_reading()
        self._context.loop.call_later(seconds, self.resume_reading)

    def defer(self, handle: Callable[[bytes, float], None], data: bytes, now: float) -> None:
        """Handle received data in a later event loop iteration; until then no further data is read."""
        self.pause_reading()
        self._context.scheduler.defer(lambda: self._handle_deferred(handle, data, now))

    def _handle_deferred(self, handle: Callable[[bytes, float], None], data: bytes, now: float) -> None:
        if not self._transport.is_closing():
            handle(data, now)
        self.resume_reading()

    def discard(self, size: int) -> None:
        """Count bytes that are not handled; above the limit, pause reading for good."""
        if self._discardable > 0:
            self._discardable -= size
            if self._discardable <= 0:
                self.pause_reading()  # aborting now could discard the close frame that we sent
