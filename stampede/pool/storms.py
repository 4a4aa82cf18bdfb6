"""The storms and the watch of one process."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from stampede.measure.storm import Storm
from stampede.measure.watch import Watch

if TYPE_CHECKING:
    from stampede.client.context import ClientContext
    from stampede.measure.storm import StormPart

REPORTED_STORMS: Final = 16
"""The latest storms are in each report of the process; the master keeps the results of earlier ones."""


class Storms:
    """The storms and the watch of one process.

    Args:
        context: whose storm in progress the latest one becomes.
        began: when the test began, in monotonic nanoseconds.

    Attributes:
        watch: the watch in progress.
    """

    __slots__ = ("_began", "_context", "_storms", "watch")

    def __init__(self, context: ClientContext, began: int) -> None:
        self._context = context
        self._began = began
        self._storms: list[Storm] = []
        self.watch: Watch | None = None

    def begin(self, number: int, users: int) -> Storm:
        """Begin a storm on command, with a number of users in their rooms."""
        now = monotonic_ns()
        return self._add(Storm(number, now, self._seconds(now), users))

    def start_watch(self, number: int, users: int) -> None:
        """Measure from now on the users whose connection the server closes, or whose connection fails."""
        now = monotonic_ns()
        self.watch = Watch(number, now, self._seconds(now), users)
        self._add(self.watch)

    def end_watch(self) -> None:
        """End the watch in progress, if there is one."""
        watch, self.watch = self.watch, None
        if watch is not None:
            watch.end(monotonic_ns())

    def _seconds(self, now: int) -> float:
        return (now - self._began) / 1e9

    def _add(self, storm: Storm) -> Storm:
        self._storms = [*self._storms[-REPORTED_STORMS + 1 :], storm]
        self._context.storm = storm
        return storm

    def parts(self, *, final: bool = False) -> list[StormPart]:
        """Return what this process has counted of the latest storms."""
        current = self._context.storm
        if current is not None and current.over_at:
            self._context.storm = None
        return [storm.part(monotonic_ns(), final=final) for storm in self._storms]
