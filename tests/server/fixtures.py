"""What tests of the server may share, so that not each of them has to start one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.processes import RunningServer, start_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shared server stores uploads."""
    return tmp_path_factory.mktemp("shared") / "uploads"


@pytest.fixture(scope="module")
def shared(shared_folder: Path) -> Iterator[RunningServer]:
    """One server for the tests of a file that neither end it nor look at its counters; it must end cleanly.

    It has no heartbeat: raw clients would get its pings between the frames that they wait for.
    """
    no_heartbeat = ("--heartbeat-interval", "0", "--heartbeat-timeout", "0")
    server = start_server("--upload-dir", str(shared_folder), "--drain-seconds", "0", *no_heartbeat)
    yield server
    server.stop()
