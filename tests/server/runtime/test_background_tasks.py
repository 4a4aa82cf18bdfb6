"""Background tasks continue after an unexpected error, and each error is counted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import uvloop

from server.app import ChatServer
from server.runtime import background_tasks
from server.runtime.background_tasks import BackgroundTasks
from server.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SECONDS = 60


def test_a_task_that_fails_or_returns_is_restarted_until_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_tasks, "RESTART_SECONDS", 0.0)
    failures = {"task": 0}

    async def story() -> None:
        runs, third = 0, asyncio.Event()

        async def run() -> None:
            nonlocal runs
            runs += 1
            if runs == 1:
                raise RuntimeError
            if runs == 3:
                third.set()
                await asyncio.sleep(SECONDS)

        task = asyncio.create_task(BackgroundTasks(failures).keep_running("task", run))
        async with asyncio.timeout(SECONDS):
            await third.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert runs == 3

    asyncio.run(story())
    assert failures == {"task": 1}


def test_timers_of_the_server_continue_after_an_error_and_count_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        server = ChatServer(Settings(port=0, upload_dir=tmp_path, drain_seconds=0.0), asyncio.get_running_loop())
        turns = {"heartbeat": 0, "load_report": 0}
        both_again = asyncio.Event()

        def fail(task: str) -> None:
            turns[task] += 1
            if min(turns.values()) >= 2:
                both_again.set()
            raise RuntimeError

        monkeypatch.setattr(server, "_advance_wheel", lambda: fail("heartbeat"))
        monkeypatch.setattr(server, "_report_load", lambda: fail("load_report"))
        await server.startup()
        async with asyncio.timeout(SECONDS):
            await both_again.wait()
        counted = {task: server.stats.task_failures[task] for task in turns}
        assert min(counted.values()) >= 1
        assert counted["heartbeat"] in (turns["heartbeat"], turns["heartbeat"] - 1)
        await server.shutdown(asyncio.Event())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())
