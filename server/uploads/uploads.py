"""The uploads that are in progress in one server process, and the limits on their number and disk space.

This module does not access the disk; `storage` does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from server.errors import ErrorCode, RequestError
from server.protocol.messages import CHUNK_BYTES, CHUNK_HEADER_BYTES, FILE_CHUNK
from server.uploads.storage import Folder, PartialFile, blocks, describe

if TYPE_CHECKING:
    from pathlib import Path

    from server.protocol.messages import FileStart
    from server.stats import ServerStats

MAX_UPLOAD_BYTES: Final = 25 * 1024 * 1024
_ANY_DIGEST: Final = "0" * 64


class Upload:
    """An upload that is in progress; times in seconds of one monotonic clock.

    Attributes:
        file: the partial file that receives its content.
        footprint: bytes of disk reserved for it.
        progress_at: when the last `fileProgress` was sent, at first when the upload started.
    """

    __slots__ = ("_has_chunk", "_received", "file", "footprint", "progress_at", "start", "started_at", "upload_id")

    def __init__(self, upload_id: str, start: FileStart, file: PartialFile, footprint: int, now: float) -> None:
        self.upload_id = upload_id
        self.start = start
        self.file = file
        self.footprint = footprint
        self.started_at = self.progress_at = now
        self._received = 0
        self._has_chunk = bytearray(-(-start.size // CHUNK_BYTES))  # one flag per chunk

    @property
    def is_complete(self) -> bool:
        """Whether every chunk has been accepted."""
        return self._received == self.start.size

    def accept(self, payload: bytes) -> tuple[int, memoryview]:
        """Check a chunk and return its index and data.

        Args:
            payload: a big-endian uint32 index, then the data.

        Raises:
            RequestError: the index is out of range or repeated, or the length does not fit the index.
        """
        index = int.from_bytes(payload[:CHUNK_HEADER_BYTES])
        size = len(payload) - CHUNK_HEADER_BYTES
        if (
            size < 0
            or index >= len(self._has_chunk)
            or self._has_chunk[index]
            or size != min(CHUNK_BYTES, self.start.size - index * CHUNK_BYTES)
        ):
            raise RequestError(ErrorCode.UPLOAD_CHUNK, FILE_CHUNK)
        self._has_chunk[index] = 1
        self._received += size
        return index, memoryview(payload)[CHUNK_HEADER_BYTES:]


class UploadStore:
    """The uploads of one server process, and the disk space that they may use.

    Args:
        path: upload folder, created by the first upload.
        stats: counts outcomes, bytes and durations.
        max_uploads: uploads in progress at once; 0: no limit.
        budget: bytes of disk, in whole blocks, for stored files and uploads in progress; 0: no limit.
    """

    def __init__(self, path: Path, stats: ServerStats, *, max_uploads: int = 0, budget: int = 0) -> None:
        self.folder = Folder(path)
        self._stats = stats
        self._max_uploads = max_uploads
        self._budget = budget
        self._active: set[Upload] = set()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._reserved = 0  # bytes of disk, for uploads in progress
        self._stored = 0
        self._stored_since_sweep = 0

    @property
    def active(self) -> int:
        """Number of uploads in progress, including those whose partial file must still be removed."""
        return len(self._active)

    def admit(self, upload_id: str, start: FileStart, now: float) -> Upload:
        """Start an upload under a generated id and reserve its disk space.

        Raises:
            RequestError: the file is too large, too many uploads are in progress, or the budget is used up.
        """
        footprint = blocks(start.size) + blocks(len(describe(start, _ANY_DIGEST)))
        if start.size > MAX_UPLOAD_BYTES:
            outcome, code = "rejected", ErrorCode.UPLOAD_TOO_LARGE
        elif self._max_uploads and self.active >= self._max_uploads:
            outcome, code = "limit", ErrorCode.UPLOAD_LIMIT
        elif self._budget and self._stored + self._reserved + footprint > self._budget:
            outcome, code = "budget", ErrorCode.UPLOAD_BUDGET
        else:
            upload = Upload(upload_id, start, PartialFile(self.folder.path / upload_id, start), footprint, now)
            self._active.add(upload)
            self._is_idle.clear()
            self._reserved += footprint
            return upload
        self._stats.uploads[outcome] += 1
        raise RequestError(code, "fileStart")

    def settle(self, upload: Upload, outcome: str, now: float) -> None:
        """Count an upload that was stored ("saved") or whose partial file was removed, and release its disk space."""
        self._active.discard(upload)
        self._reserved -= upload.footprint
        self._stats.uploads[outcome] += 1
        if outcome == "saved":
            self._stored += upload.footprint
            self._stored_since_sweep += upload.footprint
            self._stats.upload_duration.observe(now - upload.started_at)
        if not self._active:
            self._is_idle.set()

    async def wait_until_idle(self) -> None:
        """Wait until no upload is in progress."""
        await self._is_idle.wait()

    def sweep_started(self) -> None:
        """Note that a sweep of the folder begins."""
        self._stored_since_sweep = 0

    def sweep_finished(self, kept: int, expired: int) -> None:
        """Correct the disk space in use after a sweep.

        Args:
            kept: bytes of disk that stored files use. A file stored during the sweep may count twice until the next.
            expired: number of files removed.
        """
        self._stats.uploads_expired += expired
        self._stored = kept + self._stored_since_sweep
