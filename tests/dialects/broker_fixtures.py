"""A RabbitMQ that tests share, since its start takes five seconds; loaded by tests/conftest.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.processes import BenchmarkError
from tests.dialects.programs import PROGRAMS
from tests.dialects.real_server import PROBLEM, RealServer
from tests.metrics.fixtures import skip_or_fail

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def running_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """Run one RabbitMQ for all tests of this process."""
    try:
        program = PROGRAMS["rabbitmq"].server()
    except BenchmarkError as problem:
        skip_or_fail(str(problem))
    log_file = tmp_path_factory.mktemp("rabbitmq") / "rabbitmq.log"
    server = RealServer(lambda port: [*program, "--port", str(port)], log_file)
    yield server
    server.expects_problems = True  # each test has checked its part of the log
    server.close()


@pytest.fixture
def rabbitmq(running_rabbitmq: RealServer) -> Iterator[RealServer]:
    """Return the shared RabbitMQ; a warning or an error in its log during the test fails the test at its end.

    A test that expects some sets `expects_problems`. One that stops the broker starts its own with `start_real`.
    """
    before = len(running_rabbitmq.log())
    running_rabbitmq.expects_problems = False
    yield running_rabbitmq
    during = running_rabbitmq.log()[before:]
    assert running_rabbitmq.expects_problems or not PROBLEM.search(during), during
