"""Fixtures that start the plain Node `ws` server; loaded by tests/conftest.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.node_packages import plain_command
from benchmarks.processes import BenchmarkError, ServerProcess, running
from tests.metrics.fixtures import skip_or_fail

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def plain_peer_command() -> list[str]:
    """Return the command that starts the plain Node `ws` server on a free port; skip the test without Node or `ws`."""
    try:
        return plain_command()
    except BenchmarkError as problem:
        skip_or_fail(str(problem))


@pytest.fixture
def plain_peer(plain_peer_command: list[str]) -> Iterator[ServerProcess]:
    """Start a plain Node `ws` server for one test."""
    with running(plain_peer_command) as peer:
        yield peer
