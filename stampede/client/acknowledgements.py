"""The chat messages of one connection that the server has not acknowledged yet; pure, times are arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.dialects.events import MAX_UNACKNOWLEDGED
from stampede.measure.request_names import ACK

if TYPE_CHECKING:
    from stampede.measure.measures import Measures


class Acknowledgements:
    """Times the acknowledgements of one client's chat messages, from their intended send times.

    Messages count from 1 on each connection, as in the dialect's conversation.
    """

    __slots__ = ("_measures", "_number", "_pending")

    def __init__(self, measures: Measures) -> None:
        self._measures = measures
        self._number = 0
        self._pending: dict[int, int] = {}  # intended times by number, oldest first

    def __len__(self) -> int:
        """Return how many messages have no acknowledgement yet."""
        return len(self._pending)

    def begin(self) -> None:
        """Count a message that the conversation has numbered, whether it can be sent or not."""
        self._number += 1

    def sent(self, intended: int) -> None:
        """Expect the acknowledgement of the last message, which was due at `intended` (monotonic nanoseconds)."""
        self._pending[self._number] = intended
        if len(self._pending) > MAX_UNACKNOWLEDGED:  # the oldest one is given up
            del self._pending[next(iter(self._pending))]
            self._measures.request(ACK).failed("no acknowledgement")

    def receive(self, number: int | None, now: int) -> None:
        """Handle the acknowledgement of a message; None is the oldest one."""
        if number is None:
            number = next(iter(self._pending), 0)
        intended = self._pending.pop(number, None)
        if intended is not None:
            self._measures.request(ACK).done(now - intended)

    def end(self, failure: str | None = None) -> None:
        """Start again for a new connection; if a failure is given, each missing acknowledgement counts as that."""
        if self._pending and failure is not None:
            for _ in self._pending:
                self._measures.request(ACK).failed(failure)
        self._pending.clear()
        self._number = 0
