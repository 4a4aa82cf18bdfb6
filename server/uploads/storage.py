"""The upload folder. Everything here blocks on the disk and therefore runs in a thread.

A file is stored under a generated id. While chunks arrive, the data is in `<id>.part`. `finish` writes `<id>.json`
(name, size, type, sha256) and renames the data to `<id>`, so a file without a suffix is always complete. Files with
other names are never touched: the folder may contain more than uploads. Several processes may share the folder. A
process holds a lock (flock(2)) on each `.part` that it writes; the kernel releases the locks of a process that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from server.protocol.messages import CHUNK_BYTES, FileSaved
from server.uploads.stored_file import METADATA_SUFFIX, STORED_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from server.protocol.messages import FileStart

BLOCK_BYTES: Final = 4096
"""Block size assumed for the file system: a small file uses a whole block."""

_PARTIAL: Final = ".part"


def blocks(size: int) -> int:
    """Return the disk space of a file of `size` bytes."""
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def describe(start: FileStart, sha256: str) -> bytes:
    """Return the content of the metadata file, as JSON."""
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
        self._path.with_suffix(METADATA_SUFFIX).write_bytes(describe(self._start, saved.sha256))
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
            for suffix in (_PARTIAL, METADATA_SUFFIX):
                self._path.with_suffix(suffix).unlink(missing_ok=True)

    def _write_at(self, data: memoryview, offset: int) -> None:
        while data:  # a nearly full disk writes a part first
            count = os.pwrite(self._file, data, offset)
            data, offset = data[count:], offset + count

    def _digest(self) -> str:
        """Return the sha256 of the file in hex; chunks that came out of order are read back."""
        for index in range(self._hashed, -(-self._start.size // CHUNK_BYTES)):
            self._hash.update(os.pread(self._file, CHUNK_BYTES, index * CHUNK_BYTES))
        return self._hash.hexdigest()

    def _close(self) -> None:
        file, self._file = self._file, -1  # set first: the number of a closed descriptor may be reused
        if file >= 0:
            os.close(file)


@dataclass(frozen=True, slots=True)
class Swept:
    """The result of a sweep.

    Attributes:
        files: number of files removed.
        freed: bytes of disk that they used.
        kept: bytes of disk that the other stored files use.
    """

    files: int
    freed: int
    kept: int


class Folder:
    """The upload folder.

    Args:
        path: path of the folder; the first upload creates it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def remove_leftovers(self) -> None:
        """Remove the partial files of crashed processes, but not those that a running process writes.

        Raises:
            OSError: the folder cannot be read, or a file in it cannot be removed.
        """
        for partial in self.path.glob("*" + _PARTIAL):
            if STORED_NAME.fullmatch(partial.stem):
                _remove_unless_locked(partial)

    def sweep(self, stored_before: float) -> Swept:
        """Remove the files stored before a time (Unix seconds) and add up the disk space of the others.

        Raises:
            OSError: the folder cannot be read, or a file in it cannot be removed.
        """
        files = freed = kept = 0
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.path) as entries:
            for entry in entries:
                if not STORED_NAME.fullmatch(entry.name):
                    continue
                try:
                    data = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # another process removed it
                metadata = self.path / (entry.name + METADATA_SUFFIX)
                size = blocks(data.st_size) + blocks(_size(metadata))
                if data.st_mtime < stored_before:
                    metadata.unlink(
                        missing_ok=True
                    )  # first: the next sweep removes data without metadata, not the reverse
                    (self.path / entry.name).unlink(missing_ok=True)
                    files, freed = files + 1, freed + size
                else:
                    kept += size
        return Swept(files, freed, kept)


def _create_locked(path: Path) -> int:
    """Create a file, lock it, and return its descriptor."""
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
        os.close(file)  # another process removed it before it was locked


def _remove_unless_locked(partial: Path) -> None:
    try:
        file = os.open(partial, os.O_RDONLY)
    except FileNotFoundError:
        return  # it was finished, or another process removed it
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if partial.exists():  # otherwise it was just finished, and its metadata must stay
            partial.with_suffix(METADATA_SUFFIX).unlink(missing_ok=True)
            partial.unlink(missing_ok=True)
    except BlockingIOError:
        pass  # a running process writes it
    finally:
        os.close(file)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
