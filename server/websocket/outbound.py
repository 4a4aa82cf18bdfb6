"""The sending half of a connection: frames out, and what happens to a peer that does not keep up with them.

Above the soft limit a peer is behind: what is ephemeral is kept from it, the rest waits here for it to catch up.
Above the hard limit, or after too long, it is given up.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from websockets.frames import Frame, Opcode

from server.chat.member import CLOSED, SENT, SLOW
from server.errors import CloseReason

if TYPE_CHECKING:
    from server.chat.member import WriteResult
    from server.http.listener import Gate

PING_PAYLOAD: Final = b"stampede"
_PING_FRAME: Final = Frame(Opcode.PING, PING_PAYLOAD).serialize(mask=False)


class Sending(asyncio.Protocol, ABC):
    """Whoever is sent frames."""

    __slots__ = (
        "_backlog",
        "_bytes_out",
        "_gate",
        "_open",
        "_ping_sent_at",
        "_slow",
        "_timer",
        "_transport",
        "_writable",
    )

    def __init__(self, gate: Gate, transport: asyncio.Transport) -> None:
        self._gate = gate
        self._transport = transport
        self._backlog: bytes | bytearray = b""  # whole frames that wait for the peer to catch up; a bytearray, once any
        self._open = True  # until a close frame was sent
        self._writable = True  # open, and not behind
        self._slow = False
        self._bytes_out = 0
        self._ping_sent_at = 0.0
        self._timer: asyncio.TimerHandle | None = None  # of slowness while open, of the end after that

    def pause_writing(self) -> None:
        """Note that more than the soft limit is unsent; that may last only so long."""
        self._writable = False
        if self._open and not self._slow:
            services = self._gate.services
            services.stats.slow_consumers += 1
            self._slow = True
            if services.settings.slow_timeout:
                self._timer = self._gate.loop.call_later(services.settings.slow_timeout, self._give_up)

    def resume_writing(self) -> None:
        """Hand on what waited; unless that is too much again, the peer has caught up."""
        self._writable = self._open
        self._release()
        if self._writable:
            self._end_slowness()

    def write(self, data: bytes) -> WriteResult:
        """Send whole frames; return why not, if not: it is behind, or gone."""
        transport = self._transport
        if not self._writable or transport.is_closing():
            return SLOW if self._open and not transport.is_closing() else CLOSED
        transport.write(data)
        size = len(data)
        self._gate.services.stats.sent_bytes += size
        self._bytes_out += size
        return SENT

    def enqueue(self, data: bytes) -> WriteResult:
        """Send whole frames to a peer that is behind; above the hard limit it is given up."""
        if not self._open or self._transport.is_closing():
            return CLOSED
        if self._is_too_much(len(data)):
            return SLOW
        # Not into the transport: it spends some hundred bytes on each write, whatever its size.
        if not self._backlog:
            self._backlog = bytearray()
        self._backlog += data
        size = len(data)
        self._gate.services.stats.sent_bytes += size
        self._bytes_out += size
        return SENT

    def ping(self, now: float) -> None:
        """Send a ping frame; its pong tells the round trip time."""
        if self.write(_PING_FRAME) is SENT:
            self._ping_sent_at = now

    @abstractmethod
    def close(self, reason: CloseReason, text: str = "") -> None:
        """Say goodbye."""

    def _is_too_much(self, more: int) -> bool:
        """Tell whether so many bytes more would be above the hard limit; then the peer is given up."""
        limit = self._gate.services.settings.buffer_hard_limit
        if not limit or self._transport.get_write_buffer_size() + len(self._backlog) + more <= limit:
            return False
        self._writable = False
        self._gate.loop.call_soon(self._give_up)  # not now: whoever writes may be walking through a room
        return True

    def _release(self) -> None:
        """Hand the backlog to the transport, in one piece."""
        if self._backlog and not self._transport.is_closing():
            self._transport.write(self._backlog)
            self._backlog = b""

    def _give_up(self) -> None:
        """Drop a peer that does not read what it is sent."""
        if self._open:
            self._gate.services.stats.slow_consumer_kills += 1
            self.close(CloseReason.SLOW_CONSUMER, "too slow")

    def _end_slowness(self) -> None:
        if self._slow:
            self._slow = False
            self._gate.services.stats.slow_consumers -= 1
            self._cancel_timer()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
