"""The upload folder: everything that touches the disk, and therefore runs in a thread.

A file is stored under a generated name. While chunks come in, the data is in `<id>.part`; `finish` writes `<id>.json`
(name, size, type, sha256) and renames the data to `<id>`, so a file without that suffix is always whole. Names that are
not ours are never touched: the folder may hold more than uploads. Several processes may share it: whoever writes a
`.part` holds a lock on it (flock(2)), which the system takes back from a process that is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from server.protocol.messages import CHUNK_BYTES, FileSaved

if TYPE_CHECKING:
    from pathlib import Path

    from server.protocol.messages import FileStart

BLOCK_BYTES: Final = 4096
"""What file systems hand out at least: a thousand files of one byte are not a thousand bytes."""

_OURS: Final = re.compile(r"[0-9a-f]{32}")
_PARTIAL: Final = ".part"
_METADATA: Final = ".json"


def blocks(size: int) -> int:
    """Return the bytes that a file of `size` bytes takes on the disk."""
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def describe(start: FileStart, sha256: str) -> bytes:
    """Return the metadata that is kept beside a file."""
    return msgspec.json.encode({"name": start.name, "size": start.size, "mimeType": start.mime_type, "sha256": sha256})


class PartialFile:
    """A file that is being uploaded. Its methods block; only one may run at a time.

    Attributes:
        written: bytes of content on the disk.
    """

    __slots__ = ("_file", "_hash", "_hashed", "_is_created", "_path", "_start", "written")

    def __init__(self, path: Path, start: FileStart) -> None:
        self._path = path
        self._start = start
        self._file = -1
        self._is_created = False
        self._hash = hashlib.sha256()
        self._hashed = 0  # chunks; those that come in order are hashed when they are written
        self.written = 0

    def open(self) -> None:
        """Create the file, and the folder where it is missing.

        Raises:
            OSError: the file cannot be created.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _create_locked(self._path.with_suffix(_PARTIAL))
        self._is_created = True

    def write(self, index: int, data: memoryview) -> None:
        """Write a chunk.

        Raises:
            OSError: the chunk cannot be written.
        """
        self._write_at(data, index * CHUNK_BYTES)
        if index == self._hashed:
            self._hash.update(data)
            self._hashed += 1
        self.written += len(data)

    def finish(self) -> FileSaved:
        """Turn a complete upload into a stored file.

        Raises:
            OSError: the file cannot be stored.
        """
        saved = FileSaved(
            upload_id=self._path.name, name=self._start.name, size=self._start.size, sha256=self._digest()
        )
        self._path.with_suffix(_METADATA).write_bytes(describe(self._start, saved.sha256))
        self._path.with_suffix(_PARTIAL).rename(self._path)
        self._close()  # releases the lock
        return saved

    def discard(self) -> None:
        """Close the file and remove it.

        Raises:
            OSError: the file cannot be removed.
        """
        if not self._is_created:
            return
        try:
            self._close()
        finally:
            for suffix in (_PARTIAL, _METADATA):
                self._path.with_suffix(suffix).unlink(missing_ok=True)

    def _write_at(self, data: memoryview, offset: int) -> None:
        while data:  # a disk that is filling up takes a part, and refuses the rest
            count = os.pwrite(self._file, data, offset)
            data, offset = data[count:], offset + count

    def _digest(self) -> str:
        """Return the sha256 of the whole file in hex, reading back what came out of order."""
        for index in range(self._hashed, -(-self._start.size // CHUNK_BYTES)):
            self._hash.update(os.pread(self._file, CHUNK_BYTES, index * CHUNK_BYTES))
        return self._hash.hexdigest()

    def _close(self) -> None:
        file, self._file = self._file, -1  # closed once: its number may belong to another file a moment later
        if file >= 0:
            os.close(file)


@dataclass(frozen=True, slots=True)
class Swept:
    """What a walk through the folder removed (files, bytes of disk), and the bytes that stored files still take."""

    files: int
    freed: int
    kept: int


class Folder:
    """All uploads of one server process, stored and partial.

    Args:
        path: made with the first upload.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def remove_leftovers(self) -> None:
        """Remove what a crashed process left half-written, and nothing that a living one writes.

        Raises:
            OSError: the folder cannot be read, or something in it not be removed.
        """
        for partial in self.path.glob("*" + _PARTIAL):
            if _OURS.fullmatch(partial.stem):
                _remove_unless_locked(partial)

    def sweep(self, stored_before: float) -> Swept:
        """Remove the files that were stored before a moment (Unix seconds), and add up what the others take.

        Raises:
            OSError: the folder cannot be read, or something in it not be removed.
        """
        files = freed = kept = 0
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.path) as entries:
            for entry in entries:
                if not _OURS.fullmatch(entry.name):
                    continue
                try:
                    data = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # someone else tidies up, too
                metadata = self.path / (entry.name + _METADATA)
                size = blocks(data.st_size) + blocks(_size(metadata))
                if data.st_mtime < stored_before:
                    metadata.unlink(missing_ok=True)  # first: data without it is swept next time, not the reverse
                    (self.path / entry.name).unlink(missing_ok=True)
                    files, freed = files + 1, freed + size
                else:
                    kept += size
        return Swept(files, freed, kept)


def _create_locked(path: Path) -> int:
    """Return the descriptor of a new file that nobody takes for a leftover."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file).st_nlink:
                return file
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        os.close(file)  # another process starts just now, and was faster


def _remove_unless_locked(partial: Path) -> None:
    try:
        file = os.open(partial, os.O_RDONLY)
    except FileNotFoundError:
        return  # it was finished, or someone else tidies up, too
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if partial.exists():  # it may have been finished just now; its metadata stays then
            partial.with_suffix(_METADATA).unlink(missing_ok=True)
            partial.unlink(missing_ok=True)
    except BlockingIOError:
        pass  # somebody is writing it
    finally:
        os.close(file)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
