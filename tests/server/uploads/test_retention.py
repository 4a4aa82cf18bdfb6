"""A folder that cannot be read is an error at the start; a later failure is logged and the sweeps continue."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from server.stats import ServerStats
from server.uploads.retention import Retention
from server.uploads.storage import Swept
from server.uploads.uploads import UploadStore
from tests.server.uploads.virtual_time import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEEP_SECONDS = 60.0
PERIOD_SECONDS = 6.0


async def run_now(function: Callable[[], Any], /) -> Any:
    return function()


def test_a_folder_that_cannot_be_read_is_an_error_at_the_start_and_only_logged_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr("server.uploads.retention.log.error", lambda event, **_: logged.append(event), raising=False)
    sweeps: list[float] = []
    fails = True

    async def story() -> None:
        nonlocal fails
        clock = asyncio.get_running_loop().time
        store = UploadStore(tmp_path, ServerStats())
        retention = Retention(store, KEEP_SECONDS, wall_clock=clock, run_in_thread=run_now)

        def sweep(stored_before: float) -> Swept:
            sweeps.append(stored_before)
            if fails:
                raise PermissionError(13, "Permission denied")
            return Swept(0, 0, 0)

        store.folder.sweep = sweep  # type: ignore[method-assign]
        with pytest.raises(PermissionError):
            await retention.start()
        await asyncio.sleep(3 * PERIOD_SECONDS)
        assert len(sweeps) == 1  # a start that failed does not sweep again
        fails = False
        await retention.start()
        fails = True
        await asyncio.sleep(2.5 * PERIOD_SECONDS)
        assert len(sweeps) == 4
        assert [later - sooner for sooner, later in itertools.pairwise(sweeps[1:])] == [PERIOD_SECONDS] * 2
        assert sweeps[-1] == pytest.approx(clock() - PERIOD_SECONDS / 2 - KEEP_SECONDS)

    run(story())
    assert logged == ["upload folder not swept"] * 2


def test_a_start_that_is_cancelled_while_the_disk_hangs_ends(tmp_path: Path) -> None:
    async def hang(_function: Callable[[], Any], /) -> Any:
        await asyncio.get_running_loop().create_future()

    async def story() -> None:
        retention = Retention(
            UploadStore(tmp_path, ServerStats()), KEEP_SECONDS, wall_clock=lambda: 0.0, run_in_thread=hang
        )
        starting = asyncio.create_task(retention.start())
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait([starting])
        assert starting.cancelled()

    run(story())
