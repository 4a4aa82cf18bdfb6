"""All processes of a server are profiled; where that is impossible, one line says why and what would help."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from capacity.measure.server_processes import ServerProcesses
from capacity.processes.child_processes import ChildProcesses
from capacity.profile import py_spy
from capacity.profile.profiler import NOT_LOCAL, Profiled, Profiler
from capacity.profile.sampler import ProfileError
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FAMILY = """
import subprocess, sys, time

def busy_until(end):
    while time.monotonic() < end:
        pass

if sys.argv[1] == "parent":
    children = [subprocess.Popen(command) for command in (
        [sys.executable, sys.argv[0], "child"],
        ["sh", "-c", "while :; do :; done"],
        ["sleep", "60"],
    )]
    print("started", flush=True)
    try:
        busy_until(time.monotonic() + 60)
    finally:
        for child in children:
            child.kill()
else:
    busy_until(time.monotonic() + 60)
"""

WITHOUT_PTRACE = """
import sys, time
from pathlib import Path
import psutil
from capacity.measure.server_processes import ServerProcesses
from capacity.processes.child_processes import ChildProcesses
from capacity.profile.profiler import Profiler
with ChildProcesses() as children:
    server = ServerProcesses([psutil.Process(int(sys.argv[1]))])
    Profiler(server, folder=Path(sys.argv[2]), children=children, cores=()).sample(1.0, time.sleep)
"""


@contextmanager
def started(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a process that prints a line, and end it by SIGINT, which lets it end its own children."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)


def sample(server: ServerProcesses | None, folder: Path) -> Profiled:
    """Profile a server for a second; no profiler is left."""
    with ChildProcesses() as children:
        found = Profiler(server, folder=folder, children=children, cores=()).sample(1.0, time.sleep)
        assert not [one for one in psutil.Process().children() if one.name() == "py-spy"]
        return found


def test_processes_are_profiled_together_and_one_that_cannot_be_is_named(tmp_path: Path) -> None:
    script = tmp_path / "family.py"
    script.write_text(FAMILY)
    with started([sys.executable, str(script), "parent"]) as family:
        found = sample(ServerProcesses([psutil.Process(family.pid)]), tmp_path)
    assert found.processes == 2
    (hottest,) = [one for one in found.profile.functions() if one.function == "busy_until"]
    assert hottest.share > 0.5  # the rest is the start of Python
    (omitted,) = found.omitted
    assert "runs neither Python nor Node.js" in omitted
    assert "sleep" not in omitted


def test_a_server_on_another_machine_cannot_be_profiled(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=NOT_LOCAL):
        sample(None, tmp_path)


def test_a_machine_without_py_spy_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(py_spy, "find_py_spy", lambda: None)
    with pytest.raises(ProfileError, match=r"py-spy is not installed: \.venv/bin/pip install py-spy"):
        sample(ServerProcesses([psutil.Process()]), tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a process less than the server has")
def test_missing_permission_is_named_with_what_would_help(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
    with started(command) as server:
        weak = ["setpriv", "--bounding-set", "-sys_ptrace", sys.executable, "-c", WITHOUT_PTRACE]
        done = subprocess.run(
            [*weak, str(server.pid), str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
        )
    last = done.stderr.splitlines()[-1]
    assert "no permission to read the memory of " in last
    assert f"(process {server.pid}): run as its user or as root" in last
    assert "SYS_PTRACE" in last


def test_the_switch_of_yama_is_named_where_it_is_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scope = tmp_path / "ptrace_scope"
    monkeypatch.setattr(py_spy, "_PTRACE_SCOPE", scope)
    assert "yama" not in py_spy._permission_remedy()
    scope.write_text("0\n")
    assert "yama" not in py_spy._permission_remedy()
    scope.write_text("1\n")
    assert py_spy._permission_remedy().endswith("or after sysctl kernel.yama.ptrace_scope=0 (it is 1)")
