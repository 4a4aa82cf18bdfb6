"""Load reports for watchers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

from server.chat.load_report import LARGEST_ROOMS, LoadMeter
from server.protocol.messages import RoomSize
from server.stats import ServerStats

if TYPE_CHECKING:
    from server.chat.room import Room


class FakeRoom:
    """A room with a name and a size."""

    def __init__(self, size: int) -> None:
        self.name = f"Room {size}"
        self._size = size

    def __len__(self) -> int:
        return self._size


class UniterableRooms(dict[str, "Room"]):
    """Rooms that must not be iterated."""

    def _fail(self, *_arguments: Any) -> NoReturn:
        raise AssertionError("iterated over all rooms")

    __iter__ = items = values = keys = _fail


def test_rates_are_measured_since_the_last_report() -> None:
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


def test_a_report_lists_the_few_largest_rooms_first() -> None:
    rooms = {f"room {size}": cast("Room", FakeRoom(size)) for size in range(1, 100)}
    load = LoadMeter(ServerStats(), rooms, now=0.0).measure(1.0, 0.0)
    assert load.rooms == 99
    assert load.largest_rooms[0] == RoomSize("Room 99", 99)
    assert len(load.largest_rooms) == LARGEST_ROOMS


def test_without_watchers_the_rooms_are_not_iterated() -> None:
    rooms = UniterableRooms()
    rooms["a"] = cast("Room", FakeRoom(1))
    load = LoadMeter(ServerStats(), rooms, now=0.0).measure(1.0, 0.0, with_rooms=False)
    assert (load.rooms, load.largest_rooms) == (1, ())


def test_two_reports_at_the_same_time_do_not_divide_by_zero() -> None:
    meter = LoadMeter(ServerStats(), {}, now=5.0)
    assert meter.measure(5.0, 0.0).messages_per_second == 0.0
