"""Uploads in progress, as the event loop knows them: what is allowed, what has come, how it ended; no disk in here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from server.errors import ErrorCode, RequestError
from server.protocol.messages import CHUNK_BYTES, CHUNK_HEADER_BYTES, FILE_CHUNK
from server.uploads.storage import Folder, PartialFile, blocks, describe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from server.protocol.messages import FileStart
    from server.stats import ServerStats

MAX_UPLOAD_BYTES: Final = 25 * 1024 * 1024
IDLE_SECONDS: Final = 30.0
PROGRESS_SECONDS: Final = 0.25
_ANY_DIGEST: Final = "0" * 64


class Upload:
    """One file on its way in; times in seconds of one monotonic clock.

    Attributes:
        file: its way to the disk.
        footprint: bytes of disk set aside for it.
        outcome: how it ended; empty while it has not.
        writing: whether a job that writes what waits is under way.
    """

    __slots__ = (
        "_chunks",
        "file",
        "footprint",
        "heard_at",
        "outcome",
        "progress_at",
        "received",
        "start",
        "started_at",
        "upload_id",
        "writing",
    )

    def __init__(self, upload_id: str, start: FileStart, file: PartialFile, footprint: int, now: float) -> None:
        self.upload_id = upload_id
        self.start = start
        self.file = file
        self.footprint = footprint
        self.received = 0
        self.started_at = self.heard_at = self.progress_at = now
        self.outcome = ""
        self.writing = False
        self._chunks = bytearray(-(-start.size // CHUNK_BYTES))  # one flag a chunk

    @property
    def complete(self) -> bool:
        """Whether every chunk has come."""
        return self.received == self.start.size

    def take(self, payload: bytes, now: float) -> None:
        """Take one chunk, to be written: a big-endian uint32 index, then the data.

        Raises:
            RequestError: the index is out of range or doubled, or the length is not what the index demands.
        """
        index = int.from_bytes(payload[:CHUNK_HEADER_BYTES])
        size = len(payload) - CHUNK_HEADER_BYTES
        if (
            size < 0
            or index >= len(self._chunks)
            or self._chunks[index]
            or size != min(CHUNK_BYTES, self.start.size - index * CHUNK_BYTES)
        ):
            raise RequestError(ErrorCode.UPLOAD_CHUNK, FILE_CHUNK)
        self._chunks[index] = 1
        self.received += size
        self.heard_at = now
        self.file.add(index, memoryview(payload)[CHUNK_HEADER_BYTES:])


class UploadStore:
    """The uploads of one server process, and the disk that they may take.

    Args:
        path: upload folder, made with the first upload.
        stats: outcomes, bytes and durations are counted here.
        most: uploads in progress at once; 0: any number.
        budget: bytes of disk, in whole blocks, for stored files and those in progress; 0: any number.
    """

    def __init__(self, path: Path, stats: ServerStats, *, most: int = 0, budget: int = 0) -> None:
        self.folder = Folder(path)
        self._stats = stats
        self._most = most
        self._budget = budget
        self._active: set[Upload] = set()
        self._set_aside = 0  # for uploads in progress
        self._stored = 0
        self._stored_since_walk = 0
        self._when_idle: Callable[[], None] | None = None

    @property
    def active(self) -> int:
        """Uploads in progress, those included of which something must still be removed."""
        return len(self._active)

    def admit(self, upload_id: str, start: FileStart, now: float) -> Upload:
        """Take on an upload under a generated id, and set aside the disk that it will take.

        Raises:
            RequestError: the file is too large, or there are too many, or there is no room for it.
        """
        footprint = blocks(start.size) + blocks(len(describe(start, _ANY_DIGEST)))
        if start.size > MAX_UPLOAD_BYTES:
            refusal = ("rejected", ErrorCode.UPLOAD_TOO_LARGE)
        elif self._most and self.active >= self._most:
            refusal = ("limit", ErrorCode.UPLOAD_LIMIT)
        elif self._budget and self._stored + self._set_aside + footprint > self._budget:
            refusal = ("budget", ErrorCode.UPLOAD_BUDGET)
        else:
            upload = Upload(upload_id, start, PartialFile(self.folder.path / upload_id, start), footprint, now)
            self._active.add(upload)
            self._set_aside += footprint
            return upload
        outcome, code = refusal
        self._stats.uploads[outcome] += 1
        raise RequestError(code, "fileStart")

    def settle(self, upload: Upload, now: float) -> None:
        """Count an upload that has come to its outcome; nothing of it is on the disk, unless it was saved."""
        self._active.discard(upload)
        self._set_aside -= upload.footprint
        self._stats.uploads[upload.outcome] += 1
        if upload.outcome == "saved":
            self._stored += upload.footprint
            self._stored_since_walk += upload.footprint
            self._stats.upload_duration.observe(now - upload.started_at)

        if self._when_idle is not None and not self._active:
            self._when_idle()

    def when_idle(self, act: Callable[[], None]) -> None:
        """Call back as soon as nothing is in progress."""
        self._when_idle = act
        if not self._active:
            act()

    def walk_begins(self) -> None:
        """Note that the folder is being added up."""
        self._stored_since_walk = 0

    def walk_ended(self, kept: int, expired: int) -> None:
        """Learn what stored files take, and how many were removed; those stored meanwhile may count twice for now."""
        self._stats.uploads_expired += expired
        self._stored = kept + self._stored_since_walk
