"""Helpers for tests of rooms: members that record their frames, and a scheduler that a test drives."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from server.chat.batching import BatchScheduler
from server.chat.member import CLOSED, SENT, SLOW
from server.chat.room import SLICE_MEMBERS, Room
from server.stats import ServerStats

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.chat.member import WriteResult

KIND = "chatMessage"
LARGE = SLICE_MEMBERS + 100


class FakeMember:
    """A member that records the frames that it receives.

    Attributes:
        result: what `write` returns; frames are recorded only while it is SENT.
        accepts_queued: whether `enqueue` takes frames.
        was_closed: whether a write found it closed.
    """

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.result = SENT
        self.accepts_queued = True
        self.was_closed = False

    def write(self, data: bytes) -> WriteResult:
        if self.result is SENT:
            self.writes.append(data)
        elif self.result is CLOSED:
            self.was_closed = True
        return self.result

    def enqueue(self, data: bytes) -> WriteResult:
        assert self.result is SLOW
        if not self.accepts_queued:
            return SLOW
        self.writes.append(data)
        return SENT


class ManualScheduler(BatchScheduler):
    """A scheduler whose iterations a test ends."""

    def __init__(self) -> None:
        super().__init__(lambda _callback: None, lambda: 0.0)
        self.callbacks: deque[Callable[[], None]] = deque()

    def call_at_end(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def end(self) -> None:
        while self.callbacks:
            self.callbacks.popleft()()


class MonotonicCounters(dict[Any, int]):
    """Counters that fail a test when one decreases, as Prometheus' counters must not."""

    def __setitem__(self, key: Any, value: int) -> None:
        assert value >= self[key], f"the counter of {key} fell from {self[key]} to {value}"
        super().__setitem__(key, value)


def make_room(
    members: int, clock: Callable[[], float] = lambda: 1.0
) -> tuple[Room, list[FakeMember], ManualScheduler, ServerStats]:
    scheduler, stats = ManualScheduler(), ServerStats()
    stats.messages_delivered = MonotonicCounters(stats.messages_delivered)
    stats.messages_dropped = MonotonicCounters(stats.messages_dropped)
    room = Room("r", "r", stats, scheduler, clock)
    everyone = [FakeMember() for _ in range(members)]
    for member in everyone:
        room.add(member)
    return room, everyone, scheduler, stats


def slow_clock() -> Callable[[], float]:
    """Return a clock that advances by more than a slice's time whenever it is read."""
    now = 0.0

    def read() -> float:
        nonlocal now
        now += 0.01
        return now

    return read
