"""The index of rooms."""

from __future__ import annotations

from server.chat.broker import EVERYONE, WATCHERS
from server.chat.registry import Registry
from server.stats import ServerStats
from tests.server.chat.room_helpers import FakeMember, ManualScheduler


def make_registry() -> Registry:
    return Registry(ServerStats(), ManualScheduler(), lambda: 1.0)


def test_a_room_is_found_by_its_key_until_it_is_closed() -> None:
    registry = make_registry()
    room = registry.open(" Lobby ", "Lobby")
    assert (room.name, room.key) == (" Lobby ", "Lobby")
    assert registry.audience("Lobby") is registry.rooms["Lobby"] is room
    registry.close(room)
    assert registry.audience("Lobby") is None
    assert registry.rooms == {}


def test_everyone_and_the_watchers_are_audiences_and_no_rooms() -> None:
    registry = make_registry()
    registry.everyone.add(FakeMember())
    assert registry.audience(EVERYONE) is registry.everyone
    assert registry.audience(WATCHERS) is registry.watchers
    assert registry.rooms == {}


def test_every_opened_room_is_counted() -> None:
    stats = ServerStats()
    registry = Registry(stats, ManualScheduler(), lambda: 1.0)
    for _ in range(2):
        registry.close(registry.open("a", "a"))
    assert stats.rooms_created == 2
