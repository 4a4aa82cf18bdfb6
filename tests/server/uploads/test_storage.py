"""Partial files, stored files and sweeps of the upload folder, on a real file system."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.protocol.messages import CHUNK_BYTES, FileStart
from server.uploads.storage import BLOCK_BYTES, Folder, PartialFile, Swept, blocks
from tests.server.uploads.uploading import files

if TYPE_CHECKING:
    from pathlib import Path

ID = "0123456789abcdef" * 2
OTHER_ID = "f" * 32


def store(path: Path, data: bytes, order: list[int] | None = None) -> PartialFile:
    """Store a file under a path, with its chunks written in a given order."""
    partial = PartialFile(path, FileStart(name="n", size=len(data)))
    partial.open()
    for index in order if order is not None else range(-(-len(data) // CHUNK_BYTES)):
        partial.write(index, memoryview(data)[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES])
    partial.finish()
    return partial


@given(st.integers(0, 10**9))
def test_disk_space_is_counted_in_whole_blocks(size: int) -> None:
    assert size <= blocks(size) < size + BLOCK_BYTES
    assert blocks(size) % BLOCK_BYTES == 0


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
def test_a_finished_file_has_its_data_and_metadata(tmp_path: Path, order: list[int]) -> None:
    data = os.urandom(2 * CHUNK_BYTES + 1)
    partial = store(tmp_path / "new" / ID, data, order)
    assert files(tmp_path / "new") == {ID, f"{ID}.json"}
    assert (tmp_path / "new" / ID).read_bytes() == data
    metadata = json.loads((tmp_path / "new" / f"{ID}.json").read_bytes())
    assert (metadata["size"], metadata["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert partial.written == len(data)


def test_nothing_is_left_of_a_discarded_file(tmp_path: Path) -> None:
    partial = PartialFile(tmp_path / ID, FileStart(name="n", size=1))
    partial.open()
    partial.write(0, memoryview(b"x"))
    partial.discard()
    assert files(tmp_path) == set()
    partial.discard()


def test_discarding_a_file_that_was_never_created_removes_nothing(tmp_path: Path) -> None:
    store(tmp_path / ID, b"x")
    PartialFile(tmp_path / ID, FileStart(name="n", size=1)).discard()
    assert files(tmp_path) == {ID, f"{ID}.json"}


def test_only_partial_files_without_a_lock_are_leftovers(tmp_path: Path) -> None:
    (tmp_path / f"{OTHER_ID}.part").write_bytes(b"of a crashed process")
    (tmp_path / f"{OTHER_ID}.json").write_bytes(b"{}")
    (tmp_path / "report.part").write_bytes(b"not an upload")
    partial = PartialFile(tmp_path / ID, FileStart(name="n", size=1))
    partial.open()
    Folder(tmp_path).remove_leftovers()
    assert files(tmp_path) == {f"{ID}.part", "report.part"}
    partial.discard()


def test_a_sweep_removes_expired_files_and_adds_up_the_others(tmp_path: Path) -> None:
    store(tmp_path / ID, b"x")
    store(tmp_path / OTHER_ID, b"x" * (BLOCK_BYTES + 1))
    (tmp_path / "report").write_bytes(b"not an upload")
    os.utime(tmp_path / ID, (100, 100))
    os.utime(tmp_path / OTHER_ID, (200, 200))
    assert Folder(tmp_path).sweep(150.0) == Swept(files=1, freed=2 * BLOCK_BYTES, kept=3 * BLOCK_BYTES)
    assert files(tmp_path) == {OTHER_ID, f"{OTHER_ID}.json", "report"}


def test_a_missing_folder_is_an_empty_one(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "none")
    folder.remove_leftovers()
    assert folder.sweep(0.0) == Swept(0, 0, 0)
