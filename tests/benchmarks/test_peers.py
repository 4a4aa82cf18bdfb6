from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from benchmarks import peers
from benchmarks.peers import PeerError, install, missing_tools, running

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.usefixtures("plain_peer_command")
def test_a_second_install_only_refreshes_the_copy() -> None:
    server = install()
    modules = server.parent / "node_modules"
    before = modules.stat().st_mtime_ns
    assert install() == server
    assert modules.stat().st_mtime_ns == before
    assert server.read_bytes() == (peers.PLAIN / "server.mjs").read_bytes()
    assert not (server.parent / "package-lock.json").exists()


def test_a_missing_tool_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    problem = missing_tools()
    assert problem is not None
    assert problem.startswith("node and npm not found: install Node.js")
    assert "\n" not in problem
    with pytest.raises(PeerError, match="install Node"):
        install()


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ([sys.executable, "-c", "print('hello')"], "did not say where it listens: hello"),
        ([sys.executable, "-c", "pass"], "did not say where it listens: it ended"),
        (["/nowhere/server"], "cannot start /nowhere/server: No such file"),
    ],
)
def test_a_server_that_does_not_start_is_one_clear_line(command: list[str], problem: str) -> None:
    with pytest.raises(PeerError, match=problem), running(command):
        pass


def test_a_pinned_server_has_one_cpu_and_its_starter_keeps_all() -> None:
    before = os.sched_getaffinity(0)
    script = "import time; print('ws://here', flush=True); time.sleep(600)"
    with running([sys.executable, "-c", script], cpu=min(before)) as server:
        assert psutil.Process(server.process.pid).cpu_affinity() == [min(before)]
        assert os.sched_getaffinity(0) == before
        assert server.url == "ws://here"
    assert server.process.returncode is not None


def test_the_plain_peer_says_in_one_line_that_its_port_is_taken(plain_peer_command: list[str]) -> None:
    with running(plain_peer_command) as first:
        taken = [*plain_peer_command[:-1], first.url.rpartition(":")[2]]
        with pytest.raises(PeerError, match="it ended"), running(taken):
            pass
