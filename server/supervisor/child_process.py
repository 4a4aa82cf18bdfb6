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
LONGEST_PAUSE_SECONDS: Final = 30.0

STEADY_SECONDS: Final = 10.0
"""A child that lived so long begins with the first pause again."""

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


class ChildProcess:
    """One process that is kept alive.

    Args:
        name: what the log calls it.
        command: returns what to run; asked anew at each start.
        environment: of the process.
        ready: waits until the process has said that it is; raises EOFError when it ended before.
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
        self._is_ending = False
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> int | None:
        """Start it for the first time; return None once it is ready, or the exit code with which it ended before.

        Raises:
            OSError: there is no such program, or the system allows no further process.
        """
        process = await self._run()
        if not self.is_ready:
            return await process.wait()
        self._keeper = asyncio.create_task(self._keep(process))
        return None

    def signal(self, number: signal.Signals) -> None:
        """Pass a signal on to the process, if there is one now."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def end(self) -> None:
        """Let it end, and stay ended."""
        self._is_ending = True
        self.signal(signal.SIGTERM)

    async def ended(self) -> None:
        """Wait until it has ended for good."""
        if self._keeper is None:
            return
        if self._process is None or self._process.returncode is not None:
            self._keeper.cancel()  # in the pause before another start
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeper

    async def _run(self) -> asyncio.subprocess.Process:
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command(),
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            start_new_session=True,  # Ctrl-C reaches only us; we end the children in our own order
        )
        if self._is_ending:  # `end` came while there was no process yet that could be signalled
            self.signal(signal.SIGTERM)
        try:
            await self._ready(process)
        except EOFError:
            pass
        except Exception as error:  # noqa: BLE001 - a process that is not understood is replaced like one that died
            log.error("process not ready", process=self.name, **exception_fields(error))  # noqa: TRY400 - the fields name the exception
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        else:
            self.is_ready = True
        return process

    async def _keep(self, process: asyncio.subprocess.Process | None) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            started = time.monotonic()
            code = await process.wait() if process is not None else None
            self.is_ready = False
            if self._is_ending:
                return
            self.restarts += 1
            if time.monotonic() - started >= STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            log.error("process died", process=self.name, exit_code=code, next_start_in_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            process = await self._run_again()

    async def _run_again(self) -> asyncio.subprocess.Process | None:
        """Start another process, or return None if the system has no resources for one now."""
        try:
            return await self._run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt may succeed
            log.error("process not started", process=self.name, **exception_fields(error))  # noqa: TRY400 - the fields name the exception
            return None


def _end_with_parent() -> None:
    """Ask the kernel to end this process when its parent is gone, however that went."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
