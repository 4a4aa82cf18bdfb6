"""An event loop whose timers fire without waiting."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine

START: float = 1.0


class _Selector(selectors.SelectSelector):
    """Advance the time by the timeout of `select` instead of waiting."""

    now = START

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "every task waits for an event that nothing can cause"
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that skips idle time."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run(coroutine: Coroutine[object, object, None]) -> None:
    """Run a coroutine on a new loop with virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(coroutine)


async def settle() -> None:
    """Run everything that is due now; the time does not advance."""
    for _ in range(10):
        await asyncio.sleep(0)
