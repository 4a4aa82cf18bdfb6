"""The downloads of stored files that are in progress in one server process, and the limits on them."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from server.runtime.exception_fields import exception_fields
from server.runtime.rlimits import DOWNLOADS
from server.uploads.stored_file import open_stored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from server.stats import ServerStats
    from server.uploads.daemon_threads import RunInThread
    from server.uploads.stored_file import StoredFile

MAX_DOWNLOADS_PER_ADDRESS: Final = 16
"""Downloads in progress of one address. A browser requests six files of a page at once."""

log = structlog.get_logger()


class Downloads:
    """Admit downloads, open their files, and count how they end.

    Args:
        folder: the upload folder.
        stats: counts outcomes and bytes.
        keep_seconds: how long a stored file can be downloaded; 0: as long as it exists.
        wall_clock: returns Unix time in seconds.
        run_in_thread: runs disk access.
    """

    def __init__(
        self,
        folder: Path,
        stats: ServerStats,
        keep_seconds: float,
        *,
        wall_clock: Callable[[], float],
        run_in_thread: RunInThread,
    ) -> None:
        self._folder = folder
        self._stats = stats
        self._wall_clock = wall_clock
        self._run_in_thread = run_in_thread
        self.keep_seconds = keep_seconds
        self._by_address: Counter[str] = Counter()

    def admit(self, address: str) -> bool:
        """Count a download, or return False if too many are in progress."""
        if self._stats.downloads_active >= DOWNLOADS or self._by_address[address] >= MAX_DOWNLOADS_PER_ADDRESS:
            return False
        self._by_address[address] += 1
        self._stats.downloads_active += 1
        return True

    def release(self, address: str) -> None:
        """Uncount an admitted download that has ended."""
        self._stats.downloads_active -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    async def open(self, file_id: str) -> tuple[StoredFile, float] | None:
        """Open a file that can be downloaded.

        Returns:
            The file and the seconds for which it can still be downloaded (infinite without a limit), or None if it has
            expired or never existed. The caller closes the file.

        Raises:
            OSError: the disk failed.
        """
        file = await self._run_in_thread(partial(open_stored, self._folder, file_id))
        if file is None:
            return None
        left = file.stored_at + self.keep_seconds - self._wall_clock() if self.keep_seconds else float("inf")
        if left > 0:
            return file, left
        await self._run_in_thread(file.close)  # the next sweep removes the file
        return None

    def count(self, outcome: str, sent_bytes: int) -> None:
        """Count a download that has ended."""
        self._stats.downloads[outcome] += 1
        self._stats.download_bytes += sent_bytes


def log_failure(file_id: str, error: Exception) -> None:
    """Log that a stored file could not be read."""
    log.error("download failed", upload=file_id, **exception_fields(error))
