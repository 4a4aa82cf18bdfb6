"""Fixtures around the plain peer; pulled in by tests/conftest.py through `pytest_plugins`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.peers import PeerError, Running, plain_command, running
from tests.metrics.fixtures import do_without

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def plain_peer_command() -> list[str]:
    """Command that starts the plain Node `ws` peer on a free port; without Node, or `ws`, tests do without."""
    try:
        return plain_command()
    except PeerError as problem:
        do_without(str(problem))


@pytest.fixture
def plain_peer(plain_peer_command: list[str]) -> Iterator[Running]:
    """A running plain peer of this test alone: `.url` without a path, `.process`."""
    with running(plain_peer_command) as peer:
        yield peer
