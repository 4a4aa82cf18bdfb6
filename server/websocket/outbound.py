"""The outbound half of a connection: its write buffer, and the limits on a slow consumer.

Above the soft limit a connection is slow: ephemeral messages are dropped for it, and the rest waits in the backlog.
Above the hard limit, or when it stays slow for too long, the connection is closed.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from server.chat.member import CLOSED, SENT, SLOW
from server.errors import CloseReason
from server.websocket.library import PONG

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from server.chat.member import WriteResult
    from server.websocket.context import ServerContext

_NO_LIMIT: Final = (1 << 31) - 1
"""Largest limit of a write buffer that uvloop takes."""


class OutboundState(Enum):
    """How the frames that are written to a connection are handled."""

    WRITABLE = auto()
    """Frames go to the transport."""

    SLOW = auto()
    """More than the soft limit is unsent: frames wait in the backlog."""

    CLOSED = auto()
    """A close frame was sent, or the connection is lost: frames are refused."""


# Reading a member from its Enum class costs 65 ns in CPython 3.11, a global 1 ns; a delivery costs from 250 ns.
_WRITABLE: Final = OutboundState.WRITABLE
_SLOW: Final = OutboundState.SLOW
_CLOSED: Final = OutboundState.CLOSED


class OutboundBuffer:
    """Write frames to one transport within the limits on unsent bytes.

    Args:
        context: has the limits, the counters and the event loop.
        transport: the connection's transport.
        close: closes the connection, for a reason and with a text; called when it is too slow.

    Attributes:
        bytes_out: bytes of frames written so far.
    """

    __slots__ = ("_backlog", "_close", "_context", "_slow_timer", "_state", "_stats", "_transport", "bytes_out")

    def __init__(
        self, context: ServerContext, transport: asyncio.Transport, close: Callable[[CloseReason, str], None]
    ) -> None:
        self._context = context
        self._stats = context.stats
        self._transport = transport
        self._close = close
        self._state = _WRITABLE
        self._backlog: bytes | bytearray = b""  # whole frames; a bytearray only once there are any, to save memory
        self._slow_timer: asyncio.TimerHandle | None = None
        self.bytes_out = 0

    # --- frames ---

    def open(self, response: bytes, frames: bytes) -> None:
        """Write the response to the handshake and the first frames in one piece; only the frames are counted."""
        # The transport has a limit of 64 KiB by default. Without a soft limit, the hard one alone counts.
        settings = self._context.settings
        limit = settings.buffer_soft_limit or settings.buffer_hard_limit or _NO_LIMIT
        self._transport.set_write_buffer_limits(high=limit)
        self._transport.write(response + frames)
        self._stats.sent_bytes += len(frames)
        self.bytes_out += len(frames)

    def write(self, data: bytes) -> WriteResult:
        """Write whole frames at once.

        Returns:
            SENT; or SLOW or CLOSED if the frames were not written.
        """
        transport = self._transport
        if self._state is not _WRITABLE or transport.is_closing():
            return SLOW if self._state is not _CLOSED and not transport.is_closing() else CLOSED
        transport.write(data)
        size = len(data)
        self._stats.sent_bytes += size
        self.bytes_out += size
        return SENT

    def enqueue(self, data: bytes) -> WriteResult:
        """Add whole frames to the backlog of a slow connection.

        Returns:
            SENT; or SLOW if that would exceed the hard limit; or CLOSED.
        """
        if self._state is _CLOSED or self._transport.is_closing():
            return CLOSED
        size = len(data)
        if self._exceeds_hard_limit(size):
            self._close_soon()
            return SLOW
        # Not into the transport, which allocates some hundred bytes for each write of any size.
        if not self._backlog:
            self._backlog = bytearray()
        self._backlog += data
        self._stats.sent_bytes += size
        self.bytes_out += size
        return SENT

    def write_pong(self, data: bytes) -> None:
        """Write a pong, unless the state is CLOSED; above the hard limit, close the connection instead."""
        if self._state is _CLOSED:
            return
        if self._exceeds_hard_limit(len(data)):
            self._close_soon()
        else:
            self.write_close(data)

    def write_close(self, data: bytes) -> None:
        """Write a close frame, in any state; the transport must not be closing."""
        self._transport.write(data)
        self._stats.sent_bytes += len(data)
        self.bytes_out += len(data)

    def write_from_library(self, frames: list[bytes]) -> None:
        """Write frames of the library after the backlog; an empty one ends the stream."""
        self.flush()
        for frame in frames:
            if self._transport.is_closing():
                return
            if frame:
                (self.write_pong if frame[0] == PONG else self.write_close)(frame)
            elif self._transport.can_write_eof():
                # Half-close: closing with bytes unread would reset the connection, and our close frame be lost.
                self._transport.write_eof()
            else:
                self._transport.close()

    def flush(self) -> None:
        """Write the backlog to the transport, in one piece."""
        if self._backlog and not self._transport.is_closing():
            backlog, self._backlog = self._backlog, b""
            self._transport.write(backlog)

    # --- state ---

    def pause_writing(self) -> None:
        """Enter the state SLOW, and start the timer that limits it."""
        if self._state in (_SLOW, _CLOSED):
            return
        self._state = _SLOW
        self._stats.slow_consumers += 1
        timeout = self._context.settings.slow_timeout
        if timeout and self._slow_timer is None:
            self._slow_timer = self._context.loop.call_later(timeout, self._give_up)

    def resume_writing(self) -> None:
        """Write the backlog; the connection is slow no longer, unless that exceeds the soft limit again."""
        if self._state is _SLOW:
            self._state = _WRITABLE
            self._stats.slow_consumers -= 1
        self.flush()  # may call `pause_writing`; then the timer continues
        if self._state is _WRITABLE:
            self._cancel_timer()

    def close(self) -> None:
        """Refuse frames from now on; the backlog can still be flushed."""
        if self._state is _SLOW:
            self._stats.slow_consumers -= 1
        self._state = _CLOSED
        self._cancel_timer()
        self._close = _do_nothing  # breaks the reference cycle with the connection

    def _exceeds_hard_limit(self, size: int) -> bool:
        limit = self._context.settings.buffer_hard_limit
        return bool(limit) and self._transport.get_write_buffer_size() + len(self._backlog) + size > limit

    def _close_soon(self) -> None:
        """Close the connection in the next iteration of the loop: the caller may be iterating over a room's members."""
        self.pause_writing()
        self._context.loop.call_soon(self._give_up)

    def _give_up(self) -> None:
        if self._state is not _CLOSED:
            self._stats.slow_consumer_kills += 1
            self._close(CloseReason.SLOW_CONSUMER, "too slow")

    def _cancel_timer(self) -> None:
        if self._slow_timer is not None:
            self._slow_timer.cancel()
            self._slow_timer = None


def _do_nothing(_reason: CloseReason, _text: str) -> None:
    pass
