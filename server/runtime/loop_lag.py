"""How late the event loop runs: a timer asks for its turn and notes by how much it was kept waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from server.stats import Histogram

SAMPLE_SECONDS: Final = 0.05


class LoopLag:
    """Sample the lag of one event loop every 50 ms for as long as it runs."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float], histogram: Histogram) -> None:
        self._loop = loop
        self._clock = clock
        self._histogram = histogram
        self._expected = 0.0
        self._maximum = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Ask for the next turn."""
        self._expected = self._clock() + SAMPLE_SECONDS
        self._timer = self._loop.call_later(SAMPLE_SECONDS, self._sample)

    def stop(self) -> None:
        """Sample no more."""
        if self._timer is not None:
            self._timer.cancel()

    def take_maximum(self) -> float:
        """Return the longest lag, in seconds, since this was last called."""
        worst, self._maximum = self._maximum, 0.0
        return worst

    def _sample(self) -> None:
        lag = max(0.0, self._clock() - self._expected)
        self.start()  # first, so that no error below ends the sampling
        self._maximum = max(self._maximum, lag)
        self._histogram.observe(lag)
