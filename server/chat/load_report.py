"""The load reports for watchers: counters converted to rates once per second."""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING, Final

from server.protocol import messages as wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.chat.room import Room
    from server.stats import ServerStats

LARGEST_ROOMS: Final = 8

_LOAD: Final = wire.TYPE_OF[wire.Load]


class LoadMeter:
    """Measure the load of one server process.

    Args:
        stats: the counters of the process.
        rooms: the rooms of the process.
        now: its start time; all times are monotonic seconds.
    """

    __slots__ = ("_at", "_delivered", "_received", "_rooms", "_started_at", "_stats")

    def __init__(self, stats: ServerStats, rooms: Mapping[str, Room], now: float) -> None:
        self._stats = stats
        self._rooms = rooms
        self._started_at = self._at = now
        self._received = self._delivered = 0

    def measure(self, now: float, loop_lag: float, *, with_rooms: bool = True) -> wire.Load:
        """Return the load since the last call.

        Args:
            now: the current time.
            loop_lag: the maximum loop lag since the last call, in seconds.
            with_rooms: whether to find the largest rooms, which takes milliseconds with thousands of rooms.
        """
        stats = self._stats
        received = sum(stats.messages_received.values())
        delivered = sum(stats.messages_delivered.values()) - stats.messages_delivered[_LOAD]  # without the load reports
        seconds = max(now - self._at, 0.001)
        load = wire.Load(
            uptime=round(now - self._started_at, 3),
            connections=stats.connections,
            rooms=len(self._rooms),
            messages_per_second=round((received - self._received) / seconds, 1),
            deliveries_per_second=round((delivered - self._delivered) / seconds, 1),
            heartbeat_kills=stats.heartbeat_kills,
            loop_lag=round(loop_lag, 5),
            largest_rooms=self._largest_rooms() if with_rooms else (),
        )
        self._at, self._received, self._delivered = now, received, delivered
        return load

    def _largest_rooms(self) -> tuple[wire.RoomSize, ...]:
        largest = nlargest(LARGEST_ROOMS, self._rooms.values(), key=len)
        return tuple(wire.RoomSize(room.name, len(room)) for room in largest)
