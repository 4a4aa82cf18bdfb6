"""Functions run in a bounded number of threads, and a function that hangs does not keep the process alive."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from server.uploads.daemon_threads import DaemonThreadPool

SECONDS = 60
HANGS = """
import asyncio, threading
from server.uploads.daemon_threads import DaemonThreadPool

async def main():
    hung = threading.Event()
    asyncio.get_running_loop().run_in_executor(DaemonThreadPool(1), lambda: (hung.set(), threading.Event().wait()))
    await asyncio.to_thread(hung.wait)

asyncio.run(main())
print("ended")
"""


def test_results_and_exceptions_are_returned_to_the_event_loop() -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    async def story() -> None:
        loop, pool = asyncio.get_running_loop(), DaemonThreadPool(1)
        async with asyncio.timeout(SECONDS):
            thread = await loop.run_in_executor(pool, threading.current_thread)
            assert thread is not threading.main_thread()
            with pytest.raises(OSError, match="No space left on device"):
                await loop.run_in_executor(pool, fail)

    asyncio.run(story())


def test_no_more_threads_than_allowed_are_started_and_one_that_hangs_does_not_stop_the_others() -> None:
    async def story() -> None:
        loop, pool, release = asyncio.get_running_loop(), DaemonThreadPool(2), threading.Event()
        hanging = loop.run_in_executor(pool, release.wait)
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*[loop.run_in_executor(pool, lambda: None) for _ in range(10)])
            assert not hanging.done()
            release.set()
            await hanging
        assert len(pool._threads) == 2

    asyncio.run(story())


def test_a_call_that_was_cancelled_before_its_turn_does_not_run() -> None:
    async def story() -> None:
        loop, pool, release = asyncio.get_running_loop(), DaemonThreadPool(1), threading.Event()
        ran: list[str] = []
        hanging = loop.run_in_executor(pool, release.wait)
        cancelled = loop.run_in_executor(pool, ran.append, "cancelled")
        last = loop.run_in_executor(pool, ran.append, "last")
        cancelled.cancel()
        await asyncio.sleep(0)  # the loop passes the cancellation on
        release.set()
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(hanging, last)
        assert ran == ["last"]

    asyncio.run(story())


def test_a_process_ends_although_a_function_hangs() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert (ended.stdout, ended.stderr) == ("ended\n", "")
