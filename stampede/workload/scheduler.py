"""One scheduler for all timelines of a process: a heap of due moments and one timer of the hub.

A sleeping greenlet per user would cost a switch and a timer for each message; this costs a heap operation. The timer is
set for the next moment, and never sooner than a tick after the last one: to wake a process costs more (30 us on a
virtual machine) than what it then does, so moments that lie close together share a wake-up.
"""

from __future__ import annotations

from heapq import heappop, heappush, heapreplace
from itertools import count
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final, Protocol

from gevent import get_hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stampede.workload.schedule import Action, ScheduledAction

_TICK: Final = 1_000_000
_NEVER: Final = 1 << 63
_AT_ONCE: Final = 500  # then received bytes get their turn


class Performer(Protocol):
    """Who acts when something is due."""

    def act(self, act: Action, intended: int) -> None:
        """Do it now; called in the hub, must neither block nor raise. `intended` is on the monotonic clock."""


class ScheduleHandle:
    """A timeline in the scheduler; cancel it to end it."""

    __slots__ = ("actor", "cancelled", "start", "timeline")

    def __init__(self, actor: Performer, timeline: Iterator[ScheduledAction], start: int) -> None:
        self.actor = actor
        self.timeline = timeline
        self.start = start
        self.cancelled = False

    def cancel(self) -> None:
        """Let nothing more become due."""
        self.cancelled = True


class Scheduler:
    """Runs timelines; one per process.

    Args:
        on_fault: called with what an actor raised; its timeline ends.
    """

    def __init__(self, on_fault: Callable[[Exception], None]) -> None:
        self._on_fault = on_fault
        self._heap: list[tuple[int, int, Action, ScheduleHandle]] = []
        self._order = count()  # breaks ties, since tickets have no order
        self._new_timer = get_hub().loop.timer
        self._timer: Any = None
        self._wakes_at = _NEVER
        self._closed = False

    def add(self, actor: Performer, timeline: Iterator[ScheduledAction], start: int) -> ScheduleHandle:
        """Follow a timeline that begins at `start` (monotonic nanoseconds)."""
        ticket = ScheduleHandle(actor, timeline, start)
        self._push(ticket)
        if self._heap[0][0] < self._wakes_at:
            self._wake_at(self._heap[0][0])
        return ticket

    def close(self) -> None:
        """Let nothing more become due."""
        self._closed = True
        self._stop_timer()
        self._heap.clear()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def _wake_at(self, at: int) -> None:
        self._stop_timer()
        if not self._closed:
            self._wakes_at = at
            self._timer = self._new_timer(max(at - monotonic_ns(), 0) / 1e9)
            self._timer.start(self._run)

    def _push(self, ticket: ScheduleHandle) -> None:
        due = next(ticket.timeline)
        heappush(self._heap, (ticket.start + due.at, next(self._order), due.act, ticket))

    def _run(self) -> None:
        now = monotonic_ns()
        self._wakes_at = _NEVER
        more = self._act_until(now)
        if self._heap:
            self._wake_at(now if more else max(self._heap[0][0], now + _TICK))

    def _act_until(self, now: int) -> bool:
        """Do what is due, but not too much of it; return whether something is left."""
        heap = self._heap
        for _ in range(_AT_ONCE):
            if not heap or heap[0][0] > now:
                return False
            at, _, act, ticket = heap[0]
            if ticket.cancelled:
                heappop(heap)
                continue
            try:
                due = next(ticket.timeline)
                heapreplace(heap, (ticket.start + due.at, next(self._order), due.act, ticket))
                ticket.actor.act(act, at)
            except Exception as error:  # noqa: BLE001 # it must not stop the others' timelines
                ticket.cancelled = True
                self._on_fault(error)
        return True
