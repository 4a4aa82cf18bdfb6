"""Processes that are forked from a template behave as if they had been started by their command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil

from tests import preloaded

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SERVER = [sys.executable, "-m", "server"]
PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


def test_a_fork_has_the_output_and_exit_code_of_its_command() -> None:
    for arguments in (["--help"], ["--port", "x"]):
        command = [*SERVER, *arguments]
        forked = preloaded.popen(command, **PIPES)
        assert isinstance(forked, preloaded.Fork)
        out, log = forked.communicate(timeout=60)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (forked.returncode, out, log) == (done.returncode, done.stdout, done.stderr)


def test_a_fork_is_a_child_of_the_caller_with_a_session_of_its_own() -> None:
    forked = preloaded.popen([*SERVER, "--port", "0", "--drain-seconds", "0"], start_new_session=True, **PIPES)
    assert forked.stdout is not None
    assert "listening" in forked.stdout.readline()
    assert psutil.Process(forked.pid).ppid() == os.getpid()
    assert os.getsid(forked.pid) == forked.pid
    os.killpg(forked.pid, signal.SIGKILL)
    forked.communicate(timeout=60)
    assert forked.returncode == -signal.SIGKILL
    assert not psutil.pid_exists(forked.pid)


def test_another_environment_folder_or_command_starts_the_command_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for command, folder in (([sys.executable, "-c", "pass"], None), ([*SERVER, "--help"], tmp_path)):
        with preloaded.popen(command, cwd=folder, **PIPES) as process:
            assert not isinstance(process, preloaded.Fork)
    monkeypatch.setenv("COLUMNS", "200")
    with preloaded.popen([*SERVER, "--help"], **PIPES) as process:
        assert not isinstance(process, preloaded.Fork)
