"""Batching of work by loop iterations, with a limit to how long one iteration may take.

libuv serves up to 48 rounds of 1 024 ready sockets in one iteration (`uv__io_poll`). Only then do the callbacks of
`call_soon` run. Suppose that more than a thousand clients send faster than the server can handle. For seconds the
server would then flush no room, accept no connection and run no timer. So the reads of an iteration have a time budget.
Data read after the budget is spent is deferred to the next iterations, in order, one budget at a time. Flushing rooms
at the end of an iteration has a limit as well: the remaining rooms are flushed at the end of the next iterations, with
reads in between.

A callback at the end of an iteration costs as much as a small message. So an iteration without such a callback is not
timed until one budget after the end of the last timed one. Therefore no iteration lasts longer than two budgets.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

BUDGET_SECONDS: Final = 0.05
"""Time for the reads of one iteration, and for the deferred ones."""

END_SECONDS: Final = 0.01
"""Minimum time for the callbacks at the end of an iteration; they may take as long as the reads before them."""


class BatchScheduler:
    """Run callbacks at the end of a loop iteration, and defer reads that exceed its time budget.

    Args:
        call_soon: runs a callback in the loop's next iteration (`loop.call_soon`).
        clock: monotonic seconds.
    """

    __slots__ = ("_at_end", "_call_soon", "_clock", "_deadline", "_deferred", "_is_open")

    def __init__(self, call_soon: Callable[[Callable[[], None]], object], clock: Callable[[], float]) -> None:
        self._call_soon = call_soon
        self._clock = clock
        self._at_end: deque[Callable[[], None]] = deque()
        self._deferred: deque[Callable[[], None]] = deque()
        self._is_open = False  # whether the end of this iteration is scheduled
        self._deadline = -math.inf  # of the reads; while not open, the time from which an iteration is timed

    def call_at_end(self, callback: Callable[[], None]) -> None:
        """Run a callback once, at the end of this iteration."""
        if not self._is_open:
            self._open()
        self._at_end.append(callback)

    def is_budget_spent(self, now: float) -> bool:
        """Return whether data read at `now` seconds must be deferred."""
        if now < self._deadline:
            return False
        if not self._is_open:
            self._open()
            return False
        return True

    def defer(self, callback: Callable[[], None]) -> None:
        """Run a callback in a later iteration, after those deferred before it."""
        if not self._is_open:
            self._open()
        self._deferred.append(callback)

    def _open(self) -> None:
        self._is_open = True
        self._deadline = self._clock() + BUDGET_SECONDS
        self._call_soon(self._end)

    def _end(self) -> None:
        """End an iteration; deferred reads already count as the next one's."""
        now = self._clock()
        began, self._deadline = self._deadline - BUDGET_SECONDS, now + BUDGET_SECONDS
        try:
            self._run_at_end(now - began)
            if self._deferred:
                self._run_deferred()
                self._run_at_end(BUDGET_SECONDS)
        finally:
            self._is_open = False
            if self._at_end or self._deferred:  # also after an exception, which must not lose the other callbacks
                self._open()

    def _run_at_end(self, seconds: float) -> None:
        """Run the callbacks scheduled so far; those that they schedule run at the end of the next iteration."""
        deadline = self._clock() + max(seconds, END_SECONDS)
        for _ in range(len(self._at_end)):
            self._at_end.popleft()()
            if self._clock() >= deadline:
                return

    def _run_deferred(self) -> None:
        deadline = self._clock() + BUDGET_SECONDS
        while self._deferred and self._clock() < deadline:
            self._deferred.popleft()()
