"""A stored file that is read for a download. Everything here blocks on the disk and therefore runs in a thread."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from typing import TYPE_CHECKING, Final

import msgspec

from server.protocol.messages import CHUNK_BYTES

if TYPE_CHECKING:
    from pathlib import Path

STORED_NAME: Final = re.compile(r"[0-9a-f]{32}")
"""The name of a stored file in the upload folder: 128 random bits in hex."""

METADATA_SUFFIX: Final = ".json"


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """What the uploader said of a file. Nothing of it is trusted."""

    name: str
    mime_type: str


_metadata: Final = msgspec.json.Decoder(Metadata)


class StoredFile:
    """An open stored file. Its methods block; only one may run at a time.

    Attributes:
        metadata: what the uploader said of it.
        size: bytes of content.
        stored_at: when its last byte was written, in Unix seconds.
    """

    __slots__ = ("_file", "metadata", "size", "stored_at")

    def __init__(self, file: int, metadata: Metadata, size: int, stored_at: float) -> None:
        self._file = file
        self.metadata = metadata
        self.size = size
        self.stored_at = stored_at

    def read(self, offset: int) -> bytes:
        """Return a chunk of the content.

        Args:
            offset: position of its first byte, less than the size.

        Raises:
            OSError: the disk failed, or the file has become shorter.
        """
        data = os.pread(self._file, min(CHUNK_BYTES, self.size - offset), offset)
        if not data:
            raise OSError("the stored file has become shorter")
        return data

    def close(self) -> None:
        """Close the file. Call this once, and not during a `read`."""
        os.close(self._file)


def open_stored(folder: Path, file_id: str) -> StoredFile | None:
    """Open a stored file, or return None if the folder has no such file.

    Args:
        folder: the upload folder.
        file_id: any text; only the name of a stored file reaches the disk.

    Raises:
        OSError: the disk failed.
    """
    if not STORED_NAME.fullmatch(file_id):
        return None
    try:
        file = os.open(folder / file_id, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):  # the last: a link, which no upload makes
            return None
        raise
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, file)
        found = os.fstat(file)
        metadata = _read_metadata((folder / file_id).with_suffix(METADATA_SUFFIX))
        if metadata is None or not stat.S_ISREG(found.st_mode):
            return None
        undo.pop_all()
    return StoredFile(file, metadata, found.st_size, found.st_mtime)


def _read_metadata(path: Path) -> Metadata | None:
    """Return the metadata of a file, or None while the file is being removed."""
    try:
        return _metadata.decode(path.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return None
