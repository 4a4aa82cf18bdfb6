"""Fixtures of the benchmarks, loaded by tests/conftest.py: the plain Node `ws` server, and a compiler."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from benchmarks.node_packages import plain_command
from benchmarks.processes import BenchmarkError, ServerProcess, running
from tests.metrics.fixtures import skip_or_fail

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def compiler() -> None:
    """Skip the test without a compiler for C."""
    if shutil.which("cc") is None:
        skip_or_fail("cc not found (Debian: apt-get install --no-install-recommends gcc libc6-dev)")


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
