"""The lag of the event loop is how much later than scheduled its timer fires."""

from __future__ import annotations

import asyncio

import pytest

from server.runtime.loop_lag import SAMPLE_SECONDS, LoopLag
from server.stats import ServerStats


def test_a_blocked_loop_shows_in_the_maximum_once_and_in_the_histogram() -> None:
    now = 0.0

    async def story() -> None:
        nonlocal now
        histogram = ServerStats().event_loop_lag
        lag = LoopLag(asyncio.get_running_loop(), lambda: now, histogram)
        lag.start()
        now += SAMPLE_SECONDS + 0.25  # the clock of the sampler is ahead of the loop's timers
        lag._sample()
        now += SAMPLE_SECONDS
        lag._sample()
        lag.stop()
        assert lag.take_maximum() == pytest.approx(0.25)
        assert lag.take_maximum() == 0.0
        assert sum(histogram.counts) == 2
        assert histogram.total == pytest.approx(0.25)

    asyncio.run(story())


def test_a_sampler_that_was_stopped_takes_no_more_samples() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        histogram = ServerStats().event_loop_lag
        lag = LoopLag(loop, loop.time, histogram)
        lag.start()
        lag.stop()
        await asyncio.sleep(2 * SAMPLE_SECONDS)
        assert sum(histogram.counts) == 0

    asyncio.run(story())
