"""One timing wheel for the heartbeats of all connections.

The keepalive of a library costs a task and a timer for each connection. In the wheel, a connection is in the slot of
the time at which a ping or the timeout may be due, and is checked only then. Received data costs one assignment, and
ten thousand idle connections cost a few slots per second. The first ping has a random phase, so that pings spread.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

from websockets.frames import Frame, Opcode

from server.chat.member import SENT

if TYPE_CHECKING:
    from server.chat.member import WriteResult
    from server.stats import ServerStats
    from server.websocket.inbound import InboundStream

PING_PAYLOAD: Final = b"stampede"
_PING_FRAME: Final = Frame(Opcode.PING, PING_PAYLOAD).serialize(mask=False)

STALL_SECONDS: Final = 1.0
"""If the wheel was not advanced for longer, the event loop was stalled. Longer than several steps of any wheel."""


class Monitored(Protocol):
    """A connection, as the wheel uses it.

    Attributes:
        inbound: tells when data was last received and reading was resumed.
        ping_sent_at: when the ping was sent whose pong is awaited; 0: none is.
        ping_due: when the next ping is due; the wheel sets it, as it does `wheel_slot`.
    """

    inbound: InboundStream
    ping_sent_at: float
    ping_due: float
    wheel_slot: int

    def write(self, data: bytes, /) -> WriteResult:
        """Write whole frames, unless the connection is slow or closed."""

    def expire(self) -> None:
        """Abort the connection: it missed the heartbeat timeout."""


class HeartbeatWheel:
    """Ping each connection at an interval, and expire connections that sent no data for the timeout.

    Args:
        interval: seconds between two pings to one connection; 0: no pings.
        timeout: seconds without any data until a connection is expired; 0: never.
        now: the current time, on the monotonic clock of all times here.
        stats: counts pings and expired connections, and has the histogram of round-trip times.

    Attributes:
        resolution: seconds between two calls of `advance`.
    """

    def __init__(self, interval: float, timeout: float, now: float, stats: ServerStats) -> None:
        self._interval = interval or math.inf
        self._timeout = timeout or math.inf
        self._stats = stats
        shortest = min(self._interval, self._timeout)
        self.resolution = min(0.25, shortest / 20)
        horizon = max(t for t in (interval, timeout, self.resolution) if math.isfinite(t))
        self._slots: list[set[Monitored]] = [set() for _ in range(math.ceil(horizon / self.resolution) + 2)]
        self._start = now
        self._tick = 0  # number of the last slot that was checked

    def add(self, connection: Monitored, now: float, phase: float) -> None:
        """Add a connection; its first ping is due after `phase` (0 to 1) of an interval."""
        connection.inbound.last_received_at = now
        connection.ping_due = now + phase * self._interval if math.isfinite(self._interval) else math.inf
        self._place(connection)

    def discard(self, connection: Monitored) -> None:
        """Remove a connection."""
        self._slots[connection.wheel_slot].discard(connection)

    def send_ping(self, connection: Monitored, now: float) -> None:
        """Send a ping frame, whose pong measures the round-trip time."""
        if connection.write(_PING_FRAME) is SENT:
            connection.ping_sent_at = now

    def receive_pong(self, connection: Monitored, payload: bytes, now: float) -> None:
        """Observe the round-trip time of a ping once, unless reading was paused meanwhile."""
        if connection.ping_sent_at > connection.inbound.resumed_at and payload == PING_PAYLOAD:
            self._stats.ping_rtt.observe(now - connection.ping_sent_at)
            connection.ping_sent_at = 0.0

    def advance(self, now: float) -> None:
        """Check the connections whose time has come.

        After a stall of the event loop (a suspended machine, a long pause) data may be waiting unread. No connection is
        expired in that call; the next one expires those that are still silent.
        """
        target = int((now - self._start) / self.resolution)
        behind = target - self._tick
        stalled = behind * self.resolution > STALL_SECONDS
        first = self._tick + 1
        self._tick = target
        due: list[Monitored] = []
        for tick in range(first, first + min(behind, len(self._slots))):
            slot = self._slots[tick % len(self._slots)]
            due += slot
            slot.clear()
        try:
            while due:
                self._check(due.pop(), now, stalled=stalled)
        finally:
            for connection in due:  # an error of one connection must not remove the others from the wheel
                self._place(connection)

    def _check(self, connection: Monitored, now: float, *, stalled: bool) -> None:
        if now - connection.inbound.last_received_at >= self._timeout and not stalled:
            self._stats.heartbeat_kills += 1
            connection.expire()
            return
        is_due = now >= connection.ping_due
        if is_due:
            self._stats.heartbeat_pings += 1
            connection.ping_due = now + self._interval
        self._place(connection)
        if is_due:
            self.send_ping(connection, now)

    def _place(self, connection: Monitored) -> None:
        due = min(connection.ping_due, connection.inbound.last_received_at + self._timeout)
        tick = last = self._tick + len(self._slots) - 1
        if math.isfinite(due):
            tick = min(max(math.ceil((due - self._start) / self.resolution), self._tick + 1), last)
        connection.wheel_slot = tick % len(self._slots)
        self._slots[connection.wheel_slot].add(connection)
