"""Clean-up of the upload folder: remove expired files and measure the disk space in use."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

import structlog

from server.runtime.exception_fields import exception_fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.uploads.daemon_threads import RunInThread
    from server.uploads.storage import Swept
    from server.uploads.uploads import UploadStore

_MIN_PERIOD_SECONDS: Final = 0.5
_MAX_PERIOD_SECONDS: Final = 300.0
_SWEEPS_PER_LIFETIME: Final = 10
"""A file is removed at most a tenth of its lifetime late."""

log = structlog.get_logger()


class Retention:
    """Sweep the upload folder periodically. The sweeps also find files that other processes stored or removed.

    Args:
        store: its folder is swept; its account of the disk space is corrected.
        keep_seconds: how long a stored file is kept; 0: for ever.
        wall_clock: returns Unix time in seconds, to compare with modification times.
        run_in_thread: runs disk access.
    """

    def __init__(
        self,
        store: UploadStore,
        keep_seconds: float,
        *,
        wall_clock: Callable[[], float],
        run_in_thread: RunInThread,
    ) -> None:
        self._store = store
        self._keep_seconds = keep_seconds
        self._wall_clock = wall_clock
        self._run_in_thread = run_in_thread
        self._period = _MAX_PERIOD_SECONDS
        if keep_seconds:
            self._period = min(max(keep_seconds / _SWEEPS_PER_LIFETIME, _MIN_PERIOD_SECONDS), _MAX_PERIOD_SECONDS)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Remove partial files of crashed processes, sweep once, and start the periodic sweeps.

        Raises:
            OSError: the folder cannot be read, or a file in it cannot be removed.
        """
        await self._run_in_thread(self._store.folder.remove_leftovers)
        await self._sweep()
        self._task = asyncio.create_task(self._sweep_periodically())

    async def _sweep_periodically(self) -> None:
        while True:
            await asyncio.sleep(self._period)
            try:
                await self._sweep()
            except Exception as error:  # noqa: BLE001 - the next sweep may succeed
                log.error("upload folder not swept", **exception_fields(error))  # noqa: TRY400 - the fields name the exception

    async def _sweep(self) -> None:
        self._store.sweep_started()
        swept = await self._run_in_thread(self._remove_expired)
        self._store.sweep_finished(swept.kept, swept.files)
        if swept.files:
            log.info("uploads expired", files=swept.files, bytes=swept.freed)

    def _remove_expired(self) -> Swept:
        stored_before = self._wall_clock() - self._keep_seconds if self._keep_seconds else -math.inf
        return self._store.folder.sweep(stored_before)
