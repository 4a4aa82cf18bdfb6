"""What watchers are told of the load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

from server.chat.load_report import LARGEST_ROOMS, LoadMeter
from server.protocol.messages import RoomSize
from server.stats import ServerStats

if TYPE_CHECKING:
    from server.chat.room import Room


class OfSize:
    """A room of which only name and size matter."""

    def __init__(self, size: int) -> None:
        self.name = f"Room {size}"
        self._size = size

    def __len__(self) -> int:
        return self._size


class Unwalked(dict[str, "Room"]):
    """Rooms that must not be walked through."""

    def _walk(self, *_arguments: Any) -> NoReturn:
        raise AssertionError("looked through all rooms")

    __iter__ = items = values = keys = _walk


def test_rates_are_those_since_the_last_time() -> None:
    stats = ServerStats()
    meter = LoadMeter(stats, {}, now=100.0)
    stats.messages_received["chatMessage"] += 30
    stats.messages_delivered["chatMessage"] += 600
    stats.messages_delivered["userTyping"] += 6
    first = meter.measure(102.0, loop_lag=0.012)
    assert (first.messages_per_second, first.deliveries_per_second) == (15.0, 303.0)
    assert (first.uptime, first.loop_lag) == (2.0, 0.012)
    second = meter.measure(103.0, loop_lag=0.0)
    assert (second.messages_per_second, second.deliveries_per_second) == (0.0, 0.0)


def test_the_largest_rooms_come_first_and_are_few() -> None:
    rooms = {f"room {size}": cast("Room", OfSize(size)) for size in range(1, 100)}
    load = LoadMeter(ServerStats(), rooms, now=0.0).measure(1.0, 0.0)
    assert load.rooms == 99
    assert load.largest_rooms[0] == RoomSize("Room 99", 99)
    assert len(load.largest_rooms) == LARGEST_ROOMS


def test_while_nobody_watches_no_room_is_looked_at() -> None:
    rooms = Unwalked()
    rooms["a"] = cast("Room", OfSize(1))
    load = LoadMeter(ServerStats(), rooms, now=0.0).measure(1.0, 0.0, with_rooms=False)
    assert (load.rooms, load.largest_rooms) == (1, ())


def test_two_looks_at_the_same_moment_divide_by_no_zero() -> None:
    meter = LoadMeter(ServerStats(), {}, now=5.0)
    assert meter.measure(5.0, 0.0).messages_per_second == 0.0
