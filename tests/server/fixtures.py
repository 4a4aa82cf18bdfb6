"""A server that the tests of a module share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.processes import RunningServer, start_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The upload folder of the shared server."""
    return tmp_path_factory.mktemp("shared") / "uploads"


@pytest.fixture(scope="module")
def shared(shared_folder: Path) -> Iterator[RunningServer]:
    """One server for the tests of a module that neither stop it nor check its counters.

    Its heartbeats are off: raw clients would receive pings between the frames that they expect.
    """
    no_heartbeat = ("--heartbeat-interval", "0", "--heartbeat-timeout", "0")
    server = start_server("--upload-dir", str(shared_folder), "--drain-seconds", "0", *no_heartbeat)
    yield server
    server.stop()
