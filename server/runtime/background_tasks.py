"""Long-lived tasks of a server process: one that fails is logged, counted and started again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from server.runtime.exception_fields import exception_fields

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

RESTART_SECONDS: Final = 0.25
"""Pause before a failed task is started again."""

log = structlog.get_logger()


class BackgroundTasks:
    """Keep long-lived tasks running.

    Args:
        failures: the counters of failures, by name of the task.
    """

    def __init__(self, failures: dict[str, int]) -> None:
        self._failures = failures

    async def keep_running(self, task: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a task; when it ends or fails, run it again after a pause. Ends when it is cancelled."""
        while True:
            try:
                await run()
            except Exception as error:  # noqa: BLE001 - whatever it is, the task has to go on
                self.record_failure(task, error)
            await asyncio.sleep(RESTART_SECONDS)

    def run_guarded(self, task: str, turn: Callable[[], None]) -> None:
        """Do one turn of a task that a timer drives; a failure is reported, and does not reach the timer."""
        try:
            turn()
        except Exception as error:  # noqa: BLE001 - whatever it is, the task has to go on
            self.record_failure(task, error)

    def record_failure(self, task: str, error: Exception) -> None:
        """Log and count a failure."""
        self._failures[task] += 1
        log.error("task failed", task=task, **exception_fields(error))
