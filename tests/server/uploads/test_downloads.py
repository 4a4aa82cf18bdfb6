"""The limits on downloads in progress, and which files can be downloaded."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import pytest

from server.runtime.rlimits import DOWNLOADS
from server.stats import ServerStats
from server.uploads.downloads import MAX_DOWNLOADS_PER_ADDRESS, Downloads
from tests.server.uploads.uploading import FILE_ID, store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


async def in_place(function: Callable[[], Any]) -> Any:
    return function()


def make(folder: Path, keep_seconds: float = 0.0, now: float = 0.0) -> tuple[Downloads, ServerStats]:
    stats = ServerStats()
    return Downloads(folder, stats, keep_seconds, wall_clock=lambda: now, run_in_thread=in_place), stats


def test_downloads_are_limited_by_address_and_in_total(tmp_path: Path) -> None:
    downloads, stats = make(tmp_path)
    assert [downloads.admit("a") for _ in range(MAX_DOWNLOADS_PER_ADDRESS + 1)] == [
        *[True] * MAX_DOWNLOADS_PER_ADDRESS,
        False,
    ]
    assert sum(downloads.admit(str(number)) for number in range(2 * DOWNLOADS)) == DOWNLOADS - MAX_DOWNLOADS_PER_ADDRESS
    assert stats.downloads_active == DOWNLOADS
    downloads.release("a")
    assert downloads.admit("a")
    for _ in range(MAX_DOWNLOADS_PER_ADDRESS):
        downloads.release("a")
    assert stats.downloads_active == DOWNLOADS - MAX_DOWNLOADS_PER_ADDRESS


@pytest.mark.parametrize(
    ("keep", "age", "left"), [(0.0, 1e9, math.inf), (100.0, 40.0, 60.0), (100.0, 100.0, None), (100.0, 101.0, None)]
)
def test_a_file_can_be_downloaded_until_it_expires(tmp_path: Path, keep: float, age: float, left: float | None) -> None:
    store(tmp_path, b"data")
    downloads, _ = make(tmp_path, keep, now=(tmp_path / FILE_ID).stat().st_mtime + age)

    async def story() -> None:
        found = await downloads.open(FILE_ID)
        if left is None:
            assert found is None
        else:
            assert found is not None
            file, seconds = found
            assert file.read(0) == b"data"
            assert seconds == pytest.approx(left, abs=1e-3)
            file.close()

    asyncio.run(story())
