"""Threads for work that blocks.

They are daemon threads: a disk that never answers must not keep the process from ending, and the threads of
`concurrent.futures` are waited for.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from server.uploads.lane import T


class DiskThreads:
    """Do work in threads, started as needed.

    Args:
        loop: where results are handed over.
        most: threads at most.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self._loop = loop
        self._most = most
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], Callable[[Any], None]]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._undone = 0

    def run(self, work: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        """Do some work in a thread, then call back in the event loop with its result or its exception."""
        self._undone += 1
        if len(self._threads) < min(self._undone, self._most):
            thread = threading.Thread(target=self._work_off, name=f"disk {len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._work.put((work, done))

    def _work_off(self) -> None:
        while True:
            work, done = self._work.get()
            outcome: Any
            try:
                outcome = work()
            except BaseException as error:  # noqa: BLE001 - it is handed over
                outcome = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
                self._loop.call_soon_threadsafe(self._hand_over, done, outcome)
            del work, done, outcome  # hold nothing while waiting

    def _hand_over(self, done: Callable[[Any], None], outcome: Any) -> None:
        self._undone -= 1
        done(outcome)
