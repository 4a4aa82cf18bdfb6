"""One scheduler for all users of a process: a heap of due times and one timer of the gevent hub.

A sleeping greenlet per user would cost a switch and a timer per message. The scheduler costs one heap operation. The
heap contains plain integers: with thousands of users most of them are not in the CPU's caches, and a tuple would add a
second cache miss to each comparison.
Waking a process costs 30 us on a virtual machine, more than most actions. The timer is therefore set at least
one tick ahead, and actions that are due within one tick share a wake-up.
"""

from __future__ import annotations

from heapq import heappop, heappush, heapreplace
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final, Protocol

from gevent import get_hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stampede.workload.schedule import ScheduledAction

_TICK: Final = 1_000_000
_NEVER: Final = 1 << 63
_MAX_ACTIONS_PER_RUN: Final = 2000  # then the hub reads from the sockets


class Performer(Protocol):
    """Performs the actions of a schedule."""

    def perform(self, action: Callable[[], Any], intended: int) -> None:
        """Perform one action now; runs in the hub, so it must not block.

        Args:
            action: to perform.
            intended: its due time in monotonic nanoseconds.
        """


class ScheduleHandle:
    """A schedule that the scheduler runs; `cancel` ends it.

    Attributes:
        action: the next one; `at` is its due time in monotonic nanoseconds.
    """

    __slots__ = ("action", "at", "cancelled", "performer", "schedule", "start")

    action: Callable[[], Any]
    at: int

    def __init__(self, performer: Performer, schedule: Iterator[ScheduledAction], start: int) -> None:
        self.performer = performer
        self.schedule = schedule
        self.start = start
        self.cancelled = False

    def cancel(self) -> None:
        """Perform no further action of this schedule."""
        self.cancelled = True


class Scheduler:
    """Runs the schedules of all users of a process.

    Args:
        on_fault: called with an exception that a performer or a schedule raised; that schedule ends.
    """

    def __init__(self, on_fault: Callable[[Exception], None]) -> None:
        self._on_fault = on_fault
        self._heap: list[int] = []  # due times in monotonic nanoseconds, each only once
        self._handles: dict[int, ScheduleHandle] = {}  # by due time
        self._new_timer = get_hub().loop.timer
        self._timer: Any = None
        self._wakes_at = _NEVER
        self._closed = False

    def add(self, performer: Performer, schedule: Iterator[ScheduledAction], start: int) -> ScheduleHandle:
        """Run a schedule that starts at `start` (monotonic nanoseconds)."""
        handle = ScheduleHandle(performer, schedule, start)
        first = next(schedule, None)
        if first is not None:
            heappush(self._heap, self._plan(handle, first))
            if self._heap[0] < self._wakes_at:
                self._wake_at(self._heap[0])
        return handle

    def _plan(self, handle: ScheduleHandle, scheduled: ScheduledAction) -> int:
        """Make an action the next one of a schedule; return its due time, or the next nanosecond that is not taken."""
        handle.action = scheduled.action
        handle.at = key = handle.start + scheduled.at
        while key in self._handles:
            key += 1
        self._handles[key] = handle
        return key

    @property
    def overdue_ns(self) -> int:
        """Nanoseconds by which the next action is late; 0 if it is not due."""
        return max(0, monotonic_ns() - self._heap[0]) if self._heap else 0

    def close(self) -> None:
        """Perform no further action."""
        self._closed = True
        self._stop_timer()
        self._heap.clear()
        self._handles.clear()

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

    def _run(self) -> None:
        now = monotonic_ns()
        self._wakes_at = _NEVER
        more = self._perform_until(now)
        if self._heap:
            self._wake_at(now if more else max(self._heap[0], now + _TICK))

    def _perform_until(self, now: int) -> bool:
        """Perform the actions due by `now`, up to the limit of one run; return whether some are left."""
        heap, handles = self._heap, self._handles
        for _ in range(_MAX_ACTIONS_PER_RUN):
            if not heap or heap[0] > now:
                return False
            handle = handles[heap[0]]
            action, at = handle.action, handle.at
            try:
                scheduled = None if handle.cancelled else next(handle.schedule, None)
                del handles[heap[0]]
                if scheduled is None:
                    heappop(heap)
                else:
                    heapreplace(heap, self._plan(handle, scheduled))
                if not handle.cancelled:
                    handle.performer.perform(action, at)
            except Exception as error:  # noqa: BLE001 # one failing schedule must not stop the others
                handle.cancelled = True
                self._on_fault(error)
        return True
