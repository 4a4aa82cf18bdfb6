"""Keep stored files for as long as they are to be kept, and the account of the disk true."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

import structlog

from server.runtime.exception_fields import exception_fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.uploads.lane import RunInThread
    from server.uploads.storage import Swept
    from server.uploads.uploads import UploadStore

_SHORTEST_PERIOD: Final = 0.5
_LONGEST_PERIOD: Final = 300.0
_PERIODS_PER_LIFE: Final = 10
"""A file outlives its time by a tenth of it at most."""

log = structlog.get_logger()


class Retention:
    """Walk through the upload folder now and then, in a thread; also learns what others put there or removed.

    Args:
        uploads: its folder is walked through, its account of the disk kept true.
        keep: seconds for which a stored file is kept; 0: for ever.
        wall: Unix time in seconds, the clock of the files.
        call_later: calls back after some seconds.
        run_in_thread: walks.
    """

    def __init__(
        self,
        uploads: UploadStore,
        keep: float,
        *,
        wall: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], object],
        run_in_thread: RunInThread,
    ) -> None:
        self._uploads = uploads
        self._keep = keep
        self._wall = wall
        self._call_later = call_later
        self._run_in_thread = run_in_thread
        self._period = _LONGEST_PERIOD
        if keep:
            self._period = min(max(keep / _PERIODS_PER_LIFE, _SHORTEST_PERIOD), _LONGEST_PERIOD)

    async def start(self) -> None:
        """Tidy up once, now, and go on from there.

        Raises:
            OSError: the folder cannot be read, or something in it not be removed.
        """
        outcome: asyncio.Future[Swept | BaseException] = asyncio.get_running_loop().create_future()

        def hand_over(result: Swept | BaseException) -> None:
            if not outcome.done():
                outcome.set_result(result)

        self._uploads.walk_begins()
        self._run_in_thread(self._tidy, hand_over)
        swept = await outcome
        if isinstance(swept, BaseException):
            raise swept
        self._note(swept)

    def _tidy(self) -> Swept:
        self._uploads.folder.remove_leftovers()
        return self._sweep()

    def _sweep(self) -> Swept:
        return self._uploads.folder.sweep(self._wall() - self._keep if self._keep else -math.inf)

    def _again(self) -> None:
        self._uploads.walk_begins()
        self._run_in_thread(self._sweep, self._note)

    def _note(self, outcome: Swept | BaseException) -> None:
        self._call_later(self._period, self._again)
        if isinstance(outcome, BaseException):
            log.error("upload folder not swept", **exception_fields(outcome))
            return
        self._uploads.walk_ended(outcome.kept, outcome.files)
        if outcome.files:
            log.info("uploads expired", files=outcome.files, bytes=outcome.freed)
