"""One timing wheel for the heartbeats of all connections.

A task and a timer per connection is what a library's keepalive costs. Here every connection sits in the slot of the
moment at which something may have to be done for it, and is looked at only then: hearing from a client costs one
attribute, and ten thousand idle ones cost a few slots a second. Each starts at a random phase, so that pings spread.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from server.stats import ServerStats


STALL_SECONDS: Final = 1.0
"""A loop that did not turn the wheel for longer was stalled; several steps of the wheel, whatever its resolution."""


class Monitored(Protocol):
    """What the wheel needs of a connection; times in seconds of one monotonic clock."""

    last_received_at: float
    ping_due: float
    wheel_slot: int

    def ping(self, now: float, /) -> None:
        """Send a ping frame."""

    def expire(self) -> None:
        """Drop the connection: nothing came for the time-out."""


class HeartbeatWheel:
    """Ping every connection each `interval` seconds, expire those silent for `timeout` seconds; 0 turns either off.

    Args:
        interval: seconds between two pings to one connection.
        timeout: seconds without a byte of any kind until a connection is expired.
        now: the current time.
        stats: pings and kills are counted here.
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
        self._tick = 0  # every slot up to this one has been looked at

    def add(self, connection: Monitored, now: float, phase: float) -> None:
        """Take in a connection; its first ping is due after `phase` (0..1) of an interval."""
        connection.last_received_at = now
        connection.ping_due = now + phase * self._interval if math.isfinite(self._interval) else math.inf
        self._place(connection)

    def discard(self, connection: Monitored) -> None:
        """Forget a connection."""
        self._slots[connection.wheel_slot].discard(connection)

    def advance(self, now: float) -> None:
        """Look at every connection whose moment has come.

        After a stall of the loop (a machine asleep, a long pause) bytes may be waiting unread: nobody is expired in
        that round, and those who are really silent are in the next.
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
                self._visit(due.pop(), now, stalled=stalled)
        finally:
            for connection in due:  # one that fails must not take the others out of the wheel
                self._place(connection)

    def _visit(self, connection: Monitored, now: float, *, stalled: bool) -> None:
        if now - connection.last_received_at >= self._timeout and not stalled:
            self._stats.heartbeat_kills += 1
            connection.expire()
            return
        is_due = now >= connection.ping_due
        if is_due:
            self._stats.heartbeat_pings += 1
            connection.ping_due = now + self._interval
        self._place(connection)
        if is_due:
            connection.ping(now)

    def _place(self, connection: Monitored) -> None:
        due = min(connection.ping_due, connection.last_received_at + self._timeout)
        tick = last = self._tick + len(self._slots) - 1
        if math.isfinite(due):
            tick = min(max(math.ceil((due - self._start) / self.resolution), self._tick + 1), last)
        connection.wheel_slot = tick % len(self._slots)
        self._slots[connection.wheel_slot].add(connection)
