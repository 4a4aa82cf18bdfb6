"""Threads for the disk: results come back in the event loop, and nobody waits for a thread that hangs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Any

from server.uploads.disk_threads import DiskThreads

SECONDS = 60
HANGS = """
import asyncio, threading
from server.uploads.disk_threads import DiskThreads

async def main():
    hung = threading.Event()
    DiskThreads(asyncio.get_running_loop(), 1).run(lambda: (hung.set(), threading.Event().wait()), print)
    await asyncio.to_thread(hung.wait)

asyncio.run(main())
print("ended")
"""


def test_results_and_exceptions_come_back_in_the_event_loop() -> None:
    async def story() -> None:
        outcomes: list[Any] = []
        both = asyncio.Event()

        def done(outcome: Any) -> None:
            assert threading.current_thread() is threading.main_thread()
            outcomes.append(outcome)
            if len(outcomes) == 2:
                both.set()

        def fail() -> None:
            raise OSError(28, "No space left on device")

        threads = DiskThreads(asyncio.get_running_loop(), 1)
        threads.run(lambda: threading.current_thread() is threading.main_thread(), done)
        threads.run(fail, done)
        async with asyncio.timeout(SECONDS):
            await both.wait()
        assert outcomes[0] is False
        assert isinstance(outcomes[1], OSError)

    asyncio.run(story())


def test_work_that_hangs_takes_one_thread_and_no_more_than_all_are_started() -> None:
    async def story() -> None:
        threads = DiskThreads(asyncio.get_running_loop(), 2)
        key, done = threading.Event(), asyncio.Semaphore(0)
        threads.run(key.wait, lambda _: done.release())
        for _ in range(10):
            threads.run(lambda: None, lambda _: done.release())
        async with asyncio.timeout(SECONDS):
            for _ in range(10):
                await done.acquire()
            key.set()
            await done.acquire()
        assert len(threads._threads) == 2

    asyncio.run(story())


def test_a_process_ends_although_its_work_hangs() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert ended.stdout == "ended\n"
