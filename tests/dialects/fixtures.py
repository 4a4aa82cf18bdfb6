"""Start chat servers of other projects, whose protocols the dialects implement; loaded by tests/conftest.py.

This folder contains the real servers of other protocols, independent clients of each, and the tests of the dialects
against them. The unit tests of the dialects are in tests/stampede/dialects.
"""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from benchmarks.processes import BenchmarkError
from tests.dialects.programs import PROGRAMS
from tests.dialects.real_server import RealServer
from tests.metrics.fixtures import skip_or_fail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class StartReal(Protocol):
    """Start a server of `PROGRAMS` with flags; skip the test if the server cannot be installed."""

    def __call__(self, name: str, *flags: str) -> RealServer: ...


@pytest.fixture
def start_real(tmp_path: Path) -> Iterator[StartReal]:
    """Start real servers; a warning or an error in a server's log fails the test at its end."""
    stack = ExitStack()
    number = itertools.count(1)

    def start(name: str, *flags: str) -> RealServer:
        try:
            program = PROGRAMS[name].server()
        except BenchmarkError as problem:
            skip_or_fail(str(problem))
        log_file = tmp_path / f"{name}.{next(number)}.log"
        server = RealServer(lambda port: [*program, "--port", str(port), *flags], log_file)
        stack.callback(server.close)
        return server

    with stack:
        yield start
