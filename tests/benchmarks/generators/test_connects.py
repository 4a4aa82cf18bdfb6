"""The connect storm in C: it counts whole handshakes, and reports a refusal."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from benchmarks.comparison.servers import BUN, OURS
from benchmarks.generators.connects import Storm, measure, storm_command, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.processes import RunningServer


pytestmark = pytest.mark.usefixtures("compiler")


def storm(url: str, clients: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(storm_command(url, clients, 10), capture_output=True, text=True, check=False)


def test_every_client_of_the_storm_is_a_connection_of_the_server(server: RunningServer) -> None:
    assert storm(server.url, 35).returncode == 0
    assert server.samples()["chat_connections_opened_total"] == 35


def test_a_refused_client_ends_the_storm(start: Callable[..., RunningServer]) -> None:
    done = storm(start("--max-connections", "3").url, 4)
    assert (done.returncode, done.stderr) == (2, "the server refused a client\n")


def test_the_rate_and_the_cpu_of_our_server_are_measured() -> None:
    measured = measure(OURS, 200)
    assert measured.per_s > 0
    assert measured.cpu_us > 0


def test_rates_are_compared_within_each_round() -> None:
    ours = [Storm(100, 30), Storm(50, 40), Storm(80, 35)]
    others = [Storm(100, 10), Storm(100, 20), Storm(100, 15)]
    assert table({OURS: ours, BUN: others}).splitlines()[2:] == [
        "| Stampede | 80 | 35 us | 1.00 (1.00-1.00) |",
        "| Bun | 100 | 15 us | 0.80 (0.50-1.00) |",
    ]
