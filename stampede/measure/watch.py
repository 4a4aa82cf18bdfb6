"""A storm that the server causes: users whose connection it closes, or that fails, until the watch ends; pure.

An *outage* of a user lasts from the loss of its connection until its resync. If the next connection is lost before the
resync, the outage goes on. If a connection is lost after it, another outage of the same user begins: the user counts as
dropped once, and both outages have their own resync time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stampede.measure.storm import Storm, WatchPart

if TYPE_CHECKING:
    from stampede.measure.storm import StormPart


class Watch(Storm):
    """One watch in one process; its arguments are those of a `Storm`.

    Attributes:
        is_ended: whether it has ended: then no further user counts as dropped.
    """

    __slots__ = ("_causes", "_first_ns", "_last_ns", "_lost", "is_ended")

    def __init__(self, number: int, began: int, at: float, users: int) -> None:
        super().__init__(number, began, at, users)
        self._lost: list[int] = []
        self._causes: dict[str, int] = {}
        self._first_ns: int | None = None
        self._last_ns: int | None = None
        self.is_ended = False

    def lose(self, now: int, cause: str) -> None:
        """Count a connection that the server closed or that failed."""
        self._count(self._lost, now)
        self._causes[cause] = self._causes.get(cause, 0) + 1
        self._last_ns = now - self._began
        if self._first_ns is None:
            self._first_ns = self._last_ns
        self.drop_ns = self._last_ns - self._first_ns

    def begin_outage(self, *, is_first: bool) -> None:
        """Count an outage; the first one of a user counts the user as dropped."""
        self.dropped += is_first
        self.outages += 1
        self.over_at = 0

    def end(self, now: int) -> None:
        """Count no further user as dropped. Those whose outage goes on are still measured."""
        self.is_ended = True
        self._end_if_complete(now)

    def _end_if_complete(self, now: int) -> None:
        if self.is_ended:
            super()._end_if_complete(now)

    def part(self, now: int, *, final: bool = False) -> StormPart:
        """Return what has been counted so far. A `final` part counts the missed messages for the last time."""
        watch = WatchPart(
            is_ended=self.is_ended,
            lost=self._lost[:],
            causes=dict(self._causes),
            first_ns=self._first_ns,
            last_ns=self._last_ns,
        )
        return replace(super().part(now, final=final), watch=watch)
