"""A room with members that note what they are written, and a tick that ends by hand, for tests."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from server.chat.batching import Tick
from server.chat.room import CLOSED, SLICE_MEMBERS, SLOW, Room
from server.stats import ServerStats

if TYPE_CHECKING:
    from collections.abc import Callable

KIND = "chatMessage"
LARGE = SLICE_MEMBERS + 100


class Member:
    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.trouble = ""
        self.takes_push = True
        self.lost = False

    def write(self, data: bytes) -> str:
        if not self.trouble:
            self.writes.append(data)
        elif self.trouble == CLOSED:
            self.lost = True
        return self.trouble

    def enqueue(self, data: bytes) -> str:
        assert self.trouble == SLOW
        if not self.takes_push:
            return SLOW
        self.writes.append(data)
        return ""


class EndedByHand(Tick):
    """A tick that ends when one says so."""

    def __init__(self) -> None:
        super().__init__(lambda _callback: None, lambda: 0.0)
        self.callbacks: deque[Callable[[], None]] = deque()

    def at_end(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def end(self) -> None:
        while self.callbacks:
            self.callbacks.popleft()()


class Rising(dict[Any, int]):
    """Counters that may only rise, as Prometheus expects of them: whenever they are read."""

    def __setitem__(self, key: Any, value: int) -> None:
        assert value >= self[key], f"the counter of {key} fell from {self[key]} to {value}"
        super().__setitem__(key, value)


def make_room(
    members: int, clock: Callable[[], float] = lambda: 1.0
) -> tuple[Room, list[Member], EndedByHand, ServerStats]:
    tick, stats = EndedByHand(), ServerStats()
    stats.messages_delivered = Rising(stats.messages_delivered)
    stats.messages_dropped = Rising(stats.messages_dropped)
    room = Room("r", "r", stats, tick, clock)
    everyone = [Member() for _ in range(members)]
    for member in everyone:
        room.add(member)
    return room, everyone, tick, stats


def slow_clock() -> Callable[[], float]:
    """Return a clock that moves on by a slice's time whenever it is read."""
    now = 0.0

    def read() -> float:
        nonlocal now
        now += 0.01
        return now

    return read
