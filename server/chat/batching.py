"""One tick: the reads of one iteration of the event loop, and what is done at its end.

libuv serves up to 48 rounds of 1 024 ready sockets before it leaves an iteration (uv__io_poll), and only then come the
callbacks of `call_soon`: with more than a thousand clients that talk faster than they can be served, nothing would be
flushed, nobody accepted and no timer run for seconds. So a tick has a budget of time. What is read after that waits,
and is worked off in the next ticks, in its order, a budget at a time. So has its end, where rooms are flushed: what
that leaves to do is done at the ends that follow, with reads between.

To be told of a tick's end costs a callback of the loop, as much as a small message. So while nobody asks for the end, a
tick is not timed until a budget has gone by since the last end: no iteration lasts longer than two budgets.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

BUDGET_SECONDS: Final = 0.05
END_SECONDS: Final = 0.01
"""How long the end of a tick may take, however many rooms are to be flushed; or as long as its reads took."""


class Tick:
    """Collect what is to be done at the end of this tick, and what has to wait for a later one.

    Args:
        schedule: runs a callback in the loop's next iteration (`loop.call_soon`).
        clock: monotonic seconds.

    Attributes:
        is_crowded: whether what is handled now is one of several messages that came at once: what they bring to
            one client is worth joining.
    """

    __slots__ = ("_at_end", "_clock", "_deadline", "_deferred", "_is_open", "_schedule", "is_crowded")

    def __init__(self, schedule: Callable[[Callable[[], None]], object], clock: Callable[[], float]) -> None:
        self._schedule = schedule
        self._clock = clock
        self._at_end: deque[Callable[[], None]] = deque()
        self._deferred: deque[Callable[[], None]] = deque()
        self.is_crowded = False
        self._is_open = False  # whether the loop has been asked to end it
        self._deadline = -math.inf  # of its reads; while it is not open, when it is to be timed at the latest

    def at_end(self, callback: Callable[[], None]) -> None:
        """Run a callback once, at the end of this tick."""
        if not self._is_open:
            self._open()
        self._at_end.append(callback)

    def is_over(self, now: float) -> bool:
        """Return whether what was read at `now` seconds has to be deferred."""
        if now < self._deadline:
            return False
        if not self._is_open:
            self._open()
            return False
        return True

    def defer(self, callback: Callable[[], None]) -> None:
        """Run a callback in a later tick, after those deferred before it."""
        if not self._is_open:
            self._open()
        self._deferred.append(callback)

    def _open(self) -> None:
        self._is_open = True
        self._deadline = self._clock() + BUDGET_SECONDS
        self._schedule(self._end)

    def _end(self) -> None:
        """End a tick; with work deferred, that is the next one's beginning."""
        now = self._clock()
        began, self._deadline = self._deadline - BUDGET_SECONDS, now + BUDGET_SECONDS
        try:
            self._run_at_end(now - began)
            if self._deferred:
                self._work_off()
                self._run_at_end(BUDGET_SECONDS)
        finally:
            self._is_open = False
            if self._at_end or self._deferred:  # one that fails takes no other with it
                self._open()

    def _run_at_end(self, seconds: float) -> None:
        """Run what was asked for so far; what these ask for, to go on with a slice, waits for the next end."""
        at_end, clock = self._at_end, self._clock
        deadline = clock() + max(seconds, END_SECONDS)
        for _ in range(len(at_end)):
            at_end.popleft()()
            if clock() >= deadline:
                return

    def _work_off(self) -> None:
        deadline = self._clock() + BUDGET_SECONDS
        while self._deferred and self._clock() < deadline:
            self._deferred.popleft()()
