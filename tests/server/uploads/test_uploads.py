"""Checks of chunks, and the limits on uploads in progress and on disk space; without a disk."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ErrorCode, RequestError
from server.protocol.messages import CHUNK_BYTES, FileStart
from server.stats import ServerStats
from server.uploads.storage import BLOCK_BYTES, PartialFile
from server.uploads.uploads import MAX_UPLOAD_BYTES, Upload, UploadStore
from tests.server.uploads.uploading import chunks_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def upload_of(path: Path, size: int) -> Upload:
    start = FileStart(name="n", size=size)
    return Upload("id", start, PartialFile(path, start), 0, 1.0)


def refusal(act: Callable[[], object]) -> ErrorCode:
    with pytest.raises(RequestError) as caught:
        act()
    return caught.value.error


@given(st.integers(1, 3 * CHUNK_BYTES), st.randoms(use_true_random=False))
def test_an_upload_is_complete_after_all_its_chunks_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, size: int, rng: object
) -> None:
    upload = upload_of(tmp_path_factory.getbasetemp(), size)
    chunks = chunks_of(b"x" * size)
    rng.shuffle(chunks)  # type: ignore[attr-defined]
    for chunk in chunks:
        assert not upload.is_complete
        index, data = upload.accept(chunk)
        assert (index, bytes(data)) == (int.from_bytes(chunk[:4]), chunk[4:])
    assert upload.is_complete


@pytest.mark.parametrize(
    "payload",
    [b"", b"\0\0\0", b"\0\0\0\2x", b"\xff" * 4, b"\0\0\0\0x", b"\0\0\0\1xx", b"\0\0\0\1"],
    ids=["empty", "half an index", "out of range", "far out of range", "too short", "too long", "no data"],
)
def test_an_invalid_chunk_is_refused(tmp_path: Path, payload: bytes) -> None:
    upload = upload_of(tmp_path, CHUNK_BYTES + 1)
    assert refusal(lambda: upload.accept(payload)) == ErrorCode.UPLOAD_CHUNK


def test_a_repeated_chunk_is_refused(tmp_path: Path) -> None:
    upload = upload_of(tmp_path, CHUNK_BYTES + 1)
    upload.accept(b"\0\0\0\1x")
    assert refusal(lambda: upload.accept(b"\0\0\0\1x")) == ErrorCode.UPLOAD_CHUNK


def test_uploads_above_a_limit_are_refused_and_counted(tmp_path: Path) -> None:
    stats = ServerStats()
    store = UploadStore(tmp_path, stats, max_uploads=2, budget=5 * BLOCK_BYTES)
    small = FileStart(name="n", size=1)  # one block for the data, one for the metadata
    first = store.admit("1", small, 1.0)
    large = FileStart(name="n", size=MAX_UPLOAD_BYTES + 1)
    assert refusal(lambda: store.admit("2", large, 1.0)) == ErrorCode.UPLOAD_TOO_LARGE
    too_much = FileStart(name="n", size=3 * BLOCK_BYTES)
    assert refusal(lambda: store.admit("2", too_much, 1.0)) == ErrorCode.UPLOAD_BUDGET
    second = store.admit("2", small, 1.0)
    assert refusal(lambda: store.admit("3", small, 1.0)) == ErrorCode.UPLOAD_LIMIT
    for upload in (first, second):
        store.settle(upload, "cancelled", 2.0)
    assert {name: count for name, count in stats.uploads.items() if count} == {
        "rejected": 1,
        "budget": 1,
        "limit": 1,
        "cancelled": 2,
    }
    assert store.admit("3", too_much, 3.0).footprint == 4 * BLOCK_BYTES


def test_stored_files_use_the_budget_until_a_sweep_finds_them_removed(tmp_path: Path) -> None:
    stats = ServerStats()
    store = UploadStore(tmp_path, stats, budget=3 * BLOCK_BYTES)
    small = FileStart(name="n", size=1)
    store.settle(store.admit("1", small, 1.0), "saved", 3.0)
    assert (stats.upload_duration.total, stats.uploads["saved"]) == (2.0, 1)
    assert refusal(lambda: store.admit("2", small, 4.0)) == ErrorCode.UPLOAD_BUDGET
    store.sweep_started()
    store.sweep_finished(kept=0, expired=1)
    assert stats.uploads_expired == 1
    store.admit("2", small, 5.0)


def test_a_file_stored_during_a_sweep_still_counts_after_it(tmp_path: Path) -> None:
    store = UploadStore(tmp_path, ServerStats(), budget=3 * BLOCK_BYTES)
    small = FileStart(name="n", size=1)
    upload = store.admit("1", small, 1.0)
    store.sweep_started()
    store.settle(upload, "saved", 2.0)
    store.sweep_finished(kept=0, expired=0)
    assert refusal(lambda: store.admit("2", small, 3.0)) == ErrorCode.UPLOAD_BUDGET


def test_the_store_is_idle_when_the_last_upload_is_settled(tmp_path: Path) -> None:
    async def story() -> None:
        store = UploadStore(tmp_path, ServerStats())
        await store.wait_until_idle()
        uploads = [store.admit(str(number), FileStart(name="n", size=1), 1.0) for number in range(2)]
        waiting = asyncio.create_task(store.wait_until_idle())
        for upload in uploads:
            await asyncio.sleep(0)
            assert not waiting.done()
            store.settle(upload, "cancelled", 1.0)
        async with asyncio.timeout(60):
            await waiting

    asyncio.run(story())
