"""Fixtures for every test: real servers in processes of their own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests import preloaded
from tests.processes import RunningServer, start_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

pytest_plugins = [
    "tests.metrics.fixtures",
    "tests.benchmarks.fixtures",
    "tests.capacity.fixtures",
    "tests.capacity.measure.local_servers",
    "tests.deploy.fixtures",
    "tests.dialects.broker_fixtures",
    "tests.dialects.fixtures",
    "tests.docs.fixtures",
    "tests.promises.rest_fixtures",
    "tests.server.cluster.fixtures",
    "tests.server.fixtures",
    "tests.stampede.fixtures",
    "tests.web.fixtures",
]

# Tests and their child processes ignore proxies of the environment for this machine.
LOCAL = "localhost,127.0.0.1,::1"
EXCEPTED = ",".join(filter(None, (os.environ.get("no_proxy"), os.environ.get("NO_PROXY"), LOCAL)))
os.environ |= {"no_proxy": EXCEPTED, "NO_PROXY": EXCEPTED}

# Hundreds of processes under test would otherwise compile the code again, 0.1 s of CPU each.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A job of GitHub Actions would show the summaries of all runs under test.
os.environ.pop("GITHUB_STEP_SUMMARY", None)

# Processes with this environment may be forks of a template.
preloaded.usual_environment()

# A test never fails because the machine is slow.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("patient")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests recorded with `record_property("proved", "...")`."""
    for report in terminalreporter.stats.get("passed", ()):
        for name, text in report.user_properties:
            if name == "proved":
                terminalreporter.write_line(str(text))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """Start servers with given options; each must end without an error in its log when the test is over."""
    servers: list[RunningServer] = []

    def start_one(*flags: str, program: Sequence[str] = ("-m", "server")) -> RunningServer:
        defaults = ("--upload-dir", str(tmp_path / "uploads"), "--drain-seconds", "0")
        servers.append(start_server(*defaults, *flags, program=program))
        return servers[-1]

    yield start_one
    for server in servers:
        server.stop()


@pytest.fixture
def server(start: Callable[..., RunningServer]) -> RunningServer:
    """One server with default settings on a free port."""
    return start()
