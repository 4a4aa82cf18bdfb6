"""Long-lived tasks of a server process. A task that fails is logged, counted and restarted."""

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
    """Run long-lived tasks, and log and count their failures.

    Args:
        failures: number of failures by task name; incremented here.
    """

    def __init__(self, failures: dict[str, int]) -> None:
        self._failures = failures

    async def keep_running(self, task: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a coroutine function again and again until cancelled, with a pause after it returns or fails."""
        while True:
            try:
                await run()
            except Exception as error:  # noqa: BLE001 - the task must go on
                self.record_failure(task, error)
            await asyncio.sleep(RESTART_SECONDS)

    def run_guarded(self, task: str, function: Callable[[], None]) -> None:
        """Call a function of a timer-driven task. An exception is recorded and does not reach the caller."""
        try:
            function()
        except Exception as error:  # noqa: BLE001 - the task must go on
            self.record_failure(task, error)

    def record_failure(self, task: str, error: Exception) -> None:
        """Log and count a failure of a task."""
        self._failures[task] += 1
        log.error("task failed", task=task, **exception_fields(error))
