"""Tidying the upload folder: at the start it either succeeds or says why not, and a failure later is no end of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from server.stats import ServerStats
from server.uploads.disk_threads import DiskThreads
from server.uploads.retention import Retention
from server.uploads.storage import Swept
from server.uploads.uploads import UploadStore
from tests.server.cluster.fixtures import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def retention(folder: Path, later: list[Callable[[], None]], run: Callable[..., Any]) -> tuple[Retention, UploadStore]:
    store = UploadStore(folder, ServerStats())
    kept = Retention(
        store,
        60.0,
        wall=lambda: 0.0,
        call_later=lambda _seconds, act: later.append(act),
        run_in_thread=run,
    )
    return kept, store


def test_a_folder_that_cannot_be_read_is_an_error_at_the_start_and_only_logged_later(tmp_path: Path) -> None:
    later: list[Callable[[], None]] = []
    fails = True

    async def story() -> None:
        nonlocal fails
        kept, store = retention(tmp_path, later, DiskThreads(asyncio.get_running_loop(), 1).run)

        def sweep(_before: float) -> Swept:
            if fails:
                raise PermissionError(13, "Permission denied")
            return Swept(0, 0, 0)

        store.folder.sweep = sweep  # type: ignore[method-assign, assignment]
        with pytest.raises(PermissionError):
            await kept.start()
        assert later == []
        fails = False
        await kept.start()
        fails = True
        for turns in range(1, 3):  # each failure asks for another turn
            assert len(later) == turns
            later[-1]()
            await until(lambda: len(later) > turns)  # noqa: B023 - is asked at once

    asyncio.run(story())


def test_a_start_that_is_called_off_takes_a_late_answer_of_the_disk(tmp_path: Path) -> None:
    async def story() -> None:
        answers: list[Callable[[Any], None]] = []
        kept, _ = retention(tmp_path, [], lambda _work, done: answers.append(done))
        starting = asyncio.create_task(kept.start())
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait([starting])
        answers[0](Swept(0, 0, 0))
        assert starting.cancelled()

    asyncio.run(story())
