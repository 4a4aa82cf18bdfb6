"""Stored files are found by their id only, and never outside of the upload folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.protocol.messages import CHUNK_BYTES
from server.uploads.stored_file import open_stored
from tests.server.uploads.uploading import FILE_ID, store


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 1])
def test_a_stored_file_is_read_in_chunks(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    store(tmp_path, data, "a name", "image/png")
    file = open_stored(tmp_path, FILE_ID)
    assert file is not None
    assert (file.metadata.name, file.metadata.mime_type, file.size) == ("a name", "image/png", size)
    assert file.stored_at == (tmp_path / FILE_ID).stat().st_mtime
    chunks = [file.read(offset) for offset in range(0, size, CHUNK_BYTES)]
    file.close()
    assert b"".join(chunks) == data
    assert max(map(len, chunks), default=0) <= CHUNK_BYTES


def test_a_file_that_became_shorter_is_an_error(tmp_path: Path) -> None:
    store(tmp_path, b"x" * 100)
    file = open_stored(tmp_path, FILE_ID)
    assert file is not None
    (tmp_path / FILE_ID).write_bytes(b"")
    with pytest.raises(OSError, match="shorter"):
        file.read(0)
    file.close()


@pytest.mark.parametrize(
    "file_id", ["", ".", "..", "../secret", f"{FILE_ID}.json", f"{FILE_ID}.part", "a" * 31, "/etc/passwd"]
)
def test_another_name_never_reaches_the_disk(tmp_path: Path, file_id: str) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    store(folder, b"data")
    for name in ("secret", "secret.json"):
        (tmp_path / name).write_text('{"name": "n", "mimeType": "t"}')
    assert open_stored(folder, file_id) is None


def test_links_folders_and_files_without_metadata_are_not_served(tmp_path: Path) -> None:
    assert open_stored(tmp_path / "missing", FILE_ID) is None
    store(tmp_path, b"data")
    (tmp_path / FILE_ID).unlink()
    assert open_stored(tmp_path, FILE_ID) is None
    (tmp_path / FILE_ID).mkdir()
    assert open_stored(tmp_path, FILE_ID) is None
    (tmp_path / FILE_ID).rmdir()
    (tmp_path / "other").write_bytes(b"secret")
    (tmp_path / FILE_ID).symlink_to(tmp_path / "other")
    assert open_stored(tmp_path, FILE_ID) is None
    (tmp_path / FILE_ID).unlink()
    store(tmp_path, b"data")
    (tmp_path / f"{FILE_ID}.json").write_text("{")
    assert open_stored(tmp_path, FILE_ID) is None
    (tmp_path / f"{FILE_ID}.json").unlink()
    assert open_stored(tmp_path, FILE_ID) is None
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        open_stored(tmp_path, FILE_ID)
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
