"""Child processes that are started again when they die, after pauses that double up to half a minute."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

import structlog

from server.runtime.exception_fields import exception_fields

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

log = structlog.get_logger()

FIRST_PAUSE_SECONDS: Final = 0.25
MAX_PAUSE_SECONDS: Final = 30.0

STABLE_SECONDS: Final = 10.0
"""After a run of at least this length the next pause is the first one again."""

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


class ChildProcess:
    """A process that is started again whenever it ends.

    Args:
        name: name of the process in the log.
        command: returns the command line; called before each start.
        environment: environment of the process.
        ready: waits until the process is ready; raises EOFError when it ended before.

    Attributes:
        restarts: number of times the process ended unexpectedly.
        is_ready: whether the process runs and is ready.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[], Sequence[str]],
        environment: Mapping[str, str],
        ready: Callable[[asyncio.subprocess.Process], Awaitable[None]],
    ) -> None:
        self.name = name
        self.restarts = 0
        self.is_ready = False
        self._command = command
        self._environment = environment
        self._ready = ready
        self._process: asyncio.subprocess.Process | None = None
        self._is_stopping = False
        self._restart_task: asyncio.Task[None] | None = None

    async def start(self) -> int | None:
        """Start the process and wait until it is ready.

        Returns:
            None, or the exit code when the process ended before it was ready.

        Raises:
            OSError: the program does not exist, or the system allows no further process.
        """
        process = await self._spawn()
        if not self.is_ready:
            return await process.wait()
        self._restart_task = asyncio.create_task(self._restart_when_ended(process))
        return None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def stop(self) -> None:
        """Send SIGTERM and do not start the process again."""
        self._is_stopping = True
        self.signal(signal.SIGTERM)

    async def wait_stopped(self) -> None:
        """Wait until the process has ended after `stop`."""
        if self._restart_task is None:
            return
        if self._process is None or self._process.returncode is not None:
            self._restart_task.cancel()  # it waits to start the process again
        with contextlib.suppress(asyncio.CancelledError):
            await self._restart_task

    async def _spawn(self) -> asyncio.subprocess.Process:
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command(),
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            preexec_fn=_terminate_with_parent if sys.platform == "linux" else None,
            start_new_session=True,  # the terminal sends Ctrl-C to the parent only, which stops its children in order
        )
        if self._is_stopping:  # `stop` was called while the process was being created
            self.signal(signal.SIGTERM)
        try:
            await self._ready(process)
        except EOFError:
            pass
        except Exception as error:  # noqa: BLE001 - the process is replaced like one that died
            log.error("process not ready", process=self.name, **exception_fields(error))  # noqa: TRY400 - the fields name the exception
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        else:
            self.is_ready = True
        return process

    async def _restart_when_ended(self, process: asyncio.subprocess.Process | None) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            started = time.monotonic()
            code = await process.wait() if process is not None else None
            self.is_ready = False
            if self._is_stopping:
                return
            self.restarts += 1
            if time.monotonic() - started >= STABLE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            log.error("process died", process=self.name, exit_code=code, next_start_in_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)
            process = await self._try_spawn()

    async def _try_spawn(self) -> asyncio.subprocess.Process | None:
        """Start the process, or return None when that fails, for example for lack of memory."""
        try:
            return await self._spawn()
        except Exception as error:  # noqa: BLE001 - the next attempt may succeed
            log.error("process not started", process=self.name, **exception_fields(error))  # noqa: TRY400 - the fields name the exception
            return None


def _terminate_with_parent() -> None:
    """Ask the kernel to send SIGTERM to this process when its parent ends, even by SIGKILL."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
