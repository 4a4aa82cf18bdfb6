"""The limits that servers under test give themselves are those that they claim."""

from __future__ import annotations

import asyncio
import math
import time

import pytest

from benchmarks.accuracy.known_limit import KnownLimit

MESSAGES = 20
SECONDS = 0.005


def test_a_message_takes_its_cpu_time_with_everything_else_that_is_done_for_it() -> None:
    async def receive() -> float:
        limit = KnownLimit(SECONDS, math.inf)
        await limit.apply()  # the first message has no previous one
        began = time.process_time()
        for _ in range(MESSAGES):
            sum(range(10_000))
            await limit.apply()
        return time.process_time() - began

    assert asyncio.run(receive()) == pytest.approx(MESSAGES * SECONDS, rel=0.1)


def test_messages_that_come_at_once_are_spaced_by_the_rate() -> None:
    async def receive() -> list[float]:
        limit = KnownLimit(0.0, 1 / SECONDS)

        async def publish() -> float:
            await limit.apply()
            return time.monotonic()

        began = time.monotonic()
        return [at - began for at in await asyncio.gather(*(publish() for _ in range(MESSAGES)))]

    published = asyncio.run(receive())
    assert published == sorted(published)
    assert all(at >= number * SECONDS for number, at in enumerate(published, 1))
