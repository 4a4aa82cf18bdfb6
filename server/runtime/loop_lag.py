"""Event loop lag: how much later than scheduled a timer fires."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from server.stats import Histogram

SAMPLE_SECONDS: Final = 0.05


class LoopLag:
    """Sample the lag of an event loop every 50 ms.

    Args:
        loop: event loop to measure.
        clock: returns monotonic seconds.
        histogram: receives each sample, in seconds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float], histogram: Histogram) -> None:
        self._loop = loop
        self._clock = clock
        self._histogram = histogram
        self._expected = 0.0
        self._maximum = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Schedule the next sample."""
        self._expected = self._clock() + SAMPLE_SECONDS
        self._timer = self._loop.call_later(SAMPLE_SECONDS, self._sample)

    def stop(self) -> None:
        """Stop sampling."""
        if self._timer is not None:
            self._timer.cancel()

    def take_maximum(self) -> float:
        """Return the highest lag since the last call, in seconds, and reset it."""
        maximum, self._maximum = self._maximum, 0.0
        return maximum

    def _sample(self) -> None:
        lag = max(0.0, self._clock() - self._expected)
        self.start()  # first: an error below must not stop the sampling
        self._maximum = max(self._maximum, lag)
        self._histogram.observe(lag)
