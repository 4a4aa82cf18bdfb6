"""Reassembly of chunked files on disk.

A file is stored under a generated name; the client's name for it is only ever metadata. While chunks come in, the
data is in `<id>.part`; `finish` writes `<id>.json` (name, size, type, sha256) and renames the data to `<id>`, so a file
without that suffix is always whole. Whatever a crash leaves behind is removed at the next start.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING, Final

import msgspec

from server.errors import ErrorCode, RequestError
from server.messages import CHUNK_BYTES, CHUNK_HEADER_BYTES, FILE_CHUNK, FileSaved, FileStart

if TYPE_CHECKING:
    from pathlib import Path

    from server.stats import ServerStats

MAX_UPLOAD_BYTES: Final = 25 * 1024 * 1024
IDLE_SECONDS: Final = 30.0
PROGRESS_SECONDS: Final = 0.25
_PARTIAL: Final = ".part"


class Upload:
    """One file on its way in; times in seconds of one monotonic clock."""

    __slots__ = (
        "_chunks",
        "_file",
        "_hash",
        "_hashed",
        "heard_at",
        "mime_type",
        "name",
        "progress_at",
        "received",
        "size",
        "started_at",
        "upload_id",
    )

    def __init__(self, upload_id: str, start: FileStart, file: int, now: float) -> None:
        self.upload_id = upload_id
        self.name = start.name
        self.size = start.size
        self.mime_type = start.mime_type
        self.received = 0
        self.started_at = self.heard_at = self.progress_at = now
        self._file = file
        self._chunks = bytearray(-(-start.size // CHUNK_BYTES))  # one flag a chunk
        self._hash = hashlib.sha256()
        self._hashed = 0  # chunks that came in order are hashed as they come

    @property
    def complete(self) -> bool:
        """Whether every chunk has come."""
        return self.received == self.size

    def write(self, payload: bytes, now: float) -> None:
        """Store one chunk: a big-endian uint32 index, then the data.

        Raises:
            RequestError: the index is out of range or doubled, or the length is not what the index demands.
            OSError: it cannot be written.
        """
        index = int.from_bytes(payload[:CHUNK_HEADER_BYTES])
        data = payload[CHUNK_HEADER_BYTES:]
        if (
            len(payload) < CHUNK_HEADER_BYTES
            or index >= len(self._chunks)
            or self._chunks[index]
            or len(data) != min(CHUNK_BYTES, self.size - index * CHUNK_BYTES)
        ):
            raise RequestError(ErrorCode.UPLOAD_CHUNK, FILE_CHUNK)
        os.pwrite(self._file, data, index * CHUNK_BYTES)
        self._chunks[index] = 1
        self.received += len(data)
        self.heard_at = now
        if index == self._hashed:
            self._hash.update(data)
            self._hashed += 1

    def digest(self) -> str:
        """Return the sha256 of the whole file in hex, reading back what came out of order."""
        for index in range(self._hashed, len(self._chunks)):
            self._hash.update(os.pread(self._file, CHUNK_BYTES, index * CHUNK_BYTES))
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class UploadStore:
    """The upload folder of one server process.

    Args:
        folder: made on the first upload.
        stats: outcomes, bytes and durations are counted here.
    """

    def __init__(self, folder: Path, stats: ServerStats) -> None:
        self._folder = folder
        self._stats = stats
        self._active: set[Upload] = set()

    @property
    def active(self) -> int:
        """Uploads in flight."""
        return len(self._active)

    def remove_leftovers(self) -> None:
        """Remove what a crashed process left half-written."""
        for partial in self._folder.glob("*" + _PARTIAL):
            partial.unlink(missing_ok=True)
            partial.with_suffix(".json").unlink(missing_ok=True)

    def start(self, upload_id: str, start: FileStart, now: float) -> Upload:
        """Open an upload under a generated id.

        Raises:
            RequestError: the file is too large, or cannot be created.
        """
        if start.size > MAX_UPLOAD_BYTES:
            self._stats.uploads["rejected"] += 1
            raise RequestError(ErrorCode.UPLOAD_TOO_LARGE, "fileStart")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path(upload_id, _PARTIAL), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError:
            self._stats.uploads["failed"] += 1
            raise RequestError(ErrorCode.UPLOAD_STORAGE, "fileStart") from None
        upload = Upload(upload_id, start, file, now)
        self._active.add(upload)
        return upload

    def write(self, upload: Upload, payload: bytes, now: float) -> None:
        """Store one chunk; on any fault nothing of the file remains.

        Raises:
            RequestError: the chunk is wrong, or cannot be written.
        """
        try:
            upload.write(payload, now)
        except RequestError:
            self.drop(upload, "rejected")
            raise
        except OSError:
            self.drop(upload, "failed")
            raise RequestError(ErrorCode.UPLOAD_STORAGE, FILE_CHUNK) from None
        self._stats.upload_bytes += len(payload) - CHUNK_HEADER_BYTES

    def store(self, upload: Upload) -> FileSaved:
        """Make a complete upload a stored file; blocks for as long as the disk and the hash take.

        Touches nothing but the upload's own files, so that it may run in a thread; tell `settle` how it went.

        Raises:
            OSError: it cannot be stored.
        """
        saved = FileSaved(upload_id=upload.upload_id, name=upload.name, size=upload.size, sha256=upload.digest())
        upload.close()
        metadata = msgspec.json.encode(
            {"name": upload.name, "size": upload.size, "mimeType": upload.mime_type, "sha256": saved.sha256}
        )
        self._path(upload.upload_id, ".json").write_bytes(metadata)
        self._path(upload.upload_id, _PARTIAL).rename(self._path(upload.upload_id))
        return saved

    def settle(self, upload: Upload, *, stored: bool, now: float) -> None:
        """Count how `store` went, and clear up when it failed."""
        if stored:
            self._active.discard(upload)
            self._stats.uploads["saved"] += 1
            self._stats.upload_duration.observe(now - upload.started_at)
        else:
            self.drop(upload, "failed")

    def drop(self, upload: Upload, outcome: str) -> None:
        """Forget an upload and remove what there is of it."""
        if upload not in self._active:
            return
        self._active.discard(upload)
        self._stats.uploads[outcome] += 1
        with contextlib.suppress(OSError):
            upload.close()
        for suffix in (_PARTIAL, ".json"):
            self._path(upload.upload_id, suffix).unlink(missing_ok=True)

    def _path(self, upload_id: str, suffix: str = "") -> Path:
        return self._folder / (upload_id + suffix)
