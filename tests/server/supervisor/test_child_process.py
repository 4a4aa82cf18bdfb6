"""A child process is started again after it died, failed to start, or reported an invalid line."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from server.supervisor import child_process
from server.supervisor.child_process import ChildProcess
from tests.server.cluster.fixtures import until

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Awaitable, Callable, Sequence

SECONDS = 60
SLEEPER = [sys.executable, "-c", "print('ready', flush=True); import time; time.sleep(600)"]


async def first_line(process: Process) -> None:
    assert process.stdout is not None
    if not await process.stdout.readline():
        raise EOFError


def child_of(
    commands: Sequence[Sequence[str]], ready: Callable[[Process], Awaitable[None]] = first_line
) -> tuple[ChildProcess, list[int]]:
    """Return a child that runs the commands in turn, then the last one repeatedly, and the list of its starts."""
    starts: list[int] = []

    def command() -> Sequence[str]:
        starts.append(len(starts))
        return commands[min(len(starts), len(commands)) - 1]

    return ChildProcess("child", command, os.environ, ready), starts


async def stop(child: ChildProcess) -> None:
    child.stop()
    async with asyncio.timeout(SECONDS):
        await child.wait_stopped()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "FIRST_PAUSE_SECONDS", 0.01)


def test_a_child_whose_program_is_missing_for_a_while_is_started_later() -> None:
    async def story() -> None:
        child, starts = child_of([SLEEPER, ["/no/such/program"], ["/no/such/program"], SLEEPER])
        assert await child.start() is None
        child.signal(signal.SIGKILL)
        await until(lambda: len(starts) == 4 and child.is_ready)
        assert child.restarts == 3
        await stop(child)

    asyncio.run(story())


def test_a_child_whose_readiness_check_fails_is_replaced() -> None:
    async def failing_once(process: Process) -> None:
        await first_line(process)
        if len(starts) == 2:
            raise ValueError

    async def story() -> None:
        assert await child.start() is None
        child.signal(signal.SIGKILL)
        await until(lambda: len(starts) == 3 and child.is_ready)
        await stop(child)

    child, starts = child_of([SLEEPER], failing_once)
    asyncio.run(story())


def test_a_child_that_is_stopped_while_its_process_is_created_ends() -> None:
    async def story() -> None:
        child, _ = child_of([SLEEPER])
        starting = asyncio.create_task(child.start())
        await asyncio.sleep(0)  # its process is being created
        child.stop()
        async with asyncio.timeout(SECONDS):
            await starting
        await stop(child)

    asyncio.run(story())


def test_a_missing_program_is_an_error_at_the_first_start() -> None:
    child, _ = child_of([["/no/such/program"]])
    with pytest.raises(OSError, match="No such file"):
        asyncio.run(child.start())
