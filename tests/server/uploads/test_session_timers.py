"""The timers of an upload session: reports of progress, and the idle timeout; on a real folder and virtual time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from server.uploads.session import IDLE_SECONDS, PROGRESS_SECONDS
from tests.server.uploads.session_harness import SessionHarness
from tests.server.uploads.uploading import CHUNK
from tests.server.uploads.virtual_time import run

if TYPE_CHECKING:
    from pathlib import Path


def progress(harness: SessionHarness) -> list[tuple[int, int]]:
    """Return `received` and `size` of each `fileProgress`."""
    return [(answer["received"], answer["size"]) for answer in harness.answers() if answer["type"] == "fileProgress"]


def test_progress_is_reported_after_writes_and_at_most_four_times_a_second(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = SessionHarness(tmp_path)
        harness.start(8)
        await harness.disk.work()
        for index in range(8):
            await asyncio.sleep(PROGRESS_SECONDS / 2)
            harness.send(index)
            assert await harness.disk.work()
        assert progress(harness) == [(written * CHUNK, 8 * CHUNK) for written in (2, 4, 6, 8)]

    run(scenario())


def test_chunks_that_wait_for_the_disk_do_not_count_as_progress(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = SessionHarness(tmp_path)
        harness.start(3)
        await harness.disk.work()
        harness.send(0)
        harness.send(1)
        await asyncio.sleep(PROGRESS_SECONDS)
        assert progress(harness) == []
        await harness.disk.work()
        assert progress(harness) == [(CHUNK, 3 * CHUNK)]

    run(scenario())


def test_an_upload_without_chunks_is_dropped_at_the_idle_timeout_and_not_before(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = SessionHarness(tmp_path)
        harness.start(2)
        await harness.disk.work()
        await asyncio.sleep(IDLE_SECONDS - 1)
        harness.send(0)
        await harness.disk.work()
        await asyncio.sleep(IDLE_SECONDS - 0.001)
        assert harness.session.is_active
        await asyncio.sleep(0.002)
        assert await harness.disk.work()
        assert harness.answers()[-1]["code"] == "upload_idle"
        assert harness.stats.uploads["idle"] == 1
        assert not harness.session.is_active

    run(scenario())


def test_other_requests_do_not_postpone_the_idle_timeout(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = SessionHarness(tmp_path)
        harness.start(2)
        await harness.disk.work()
        for _ in range(2):
            await asyncio.sleep(IDLE_SECONDS / 2 + 0.001)
            harness.start(2)
        await harness.disk.work_off()
        assert harness.codes() == ["fileReady", "upload_active", "upload_idle", "fileReady"]

    run(scenario())


def test_a_slow_disk_does_not_make_a_client_idle(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = SessionHarness(tmp_path)
        harness.start(2)
        await harness.disk.work()
        harness.send(0)
        await asyncio.sleep(3 * IDLE_SECONDS)  # the write takes all this time
        assert harness.session.is_active
        await harness.disk.work()
        await asyncio.sleep(IDLE_SECONDS - 0.001)
        harness.send(1)
        await harness.disk.work()
        harness.end()
        await harness.disk.work()
        assert harness.stats.uploads["saved"] == 1
        assert harness.answers()[-1]["type"] == "fileSaved"

    run(scenario())
