"""The pings of one client, and their pongs; pure, times are arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stampede.measure.request_names import PING

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.measure.measures import Measures


UNTIMED: Final = 0
"""Number of a ping that is not timed; timed pings count from 1."""


class Pings:
    """Counts the pings of one client and times their pongs.

    Attributes:
        on_pong: called once with the arrival time of the pong to a ping that is not timed.
    """

    __slots__ = ("_due", "_measures", "_number", "on_pong")

    def __init__(self, measures: Measures) -> None:
        self._measures = measures
        self._number = 0
        self._due = 0  # due time of the ping without an answer; 0 when there is none
        self.on_pong: Callable[[int], None] | None = None

    @property
    def are_pending(self) -> bool:
        """Whether a pong is expected."""
        return bool(self._due) or self.on_pong is not None

    def begin(self) -> int:
        """Return the number of the next timed ping. If the last one has no pong yet, it counts as a failure."""
        if self._due:
            self._measures.requests[PING].failed("no pong")
            self._due = 0
        self._number += 1
        return self._number

    def sent(self, intended: int) -> None:
        """Time the pong of the ping that was sent from `intended` (monotonic nanoseconds)."""
        self._due = intended

    def receive(self, number: int, now: int) -> None:
        """Handle the pong to the ping of this number."""
        if self._due and number == self._number:
            self._measures.requests[PING].done(now - self._due)
            self._due = 0
        elif self.on_pong is not None and number == UNTIMED:
            on_pong, self.on_pong = self.on_pong, None
            on_pong(now)

    def end(self, failure: str | None = None) -> None:
        """Stop expecting a pong; if a failure is given, a ping without an answer counts as that failure."""
        if self._due and failure is not None:
            self._measures.requests[PING].failed(failure)
        self._due = 0
        self.on_pong = None
