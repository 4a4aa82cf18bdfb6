from __future__ import annotations

import os
import sys

import psutil
import pytest

from benchmarks.processes import BenchmarkError, running


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ([sys.executable, "-c", "print('hello')"], "did not print its URL: hello"),
        ([sys.executable, "-c", "pass"], "did not print its URL: it ended"),
        (["/nowhere/server"], "cannot start /nowhere/server: No such file"),
    ],
)
def test_a_server_that_does_not_start_is_reported_in_one_line(command: list[str], problem: str) -> None:
    with pytest.raises(BenchmarkError, match=problem), running(command):
        pass


def test_a_pinned_server_has_one_cpu_and_the_caller_keeps_all() -> None:
    before = os.sched_getaffinity(0)
    script = "import time; print('ws://here', flush=True); time.sleep(600)"
    with running([sys.executable, "-c", script], cpu=min(before)) as server:
        assert psutil.Process(server.process.pid).cpu_affinity() == [min(before)]
        assert os.sched_getaffinity(0) == before
        assert server.url == "ws://here"
    assert server.process.returncode is not None


def test_the_plain_server_reports_a_taken_port_in_one_line(plain_peer_command: list[str]) -> None:
    with running(plain_peer_command) as first:
        taken = [*plain_peer_command[:-1], first.url.rpartition(":")[2]]
        with pytest.raises(BenchmarkError, match="it ended"), running(taken):
            pass
