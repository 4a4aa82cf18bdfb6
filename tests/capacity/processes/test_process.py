from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from capacity.errors import RunError
from capacity.processes.cores import Cores, usable_cores
from capacity.processes.process import ChildProcess, free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PARENT_OF_ONE = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
{then}
"""
SLEEP = "time.sleep(600)"
SLEEP_ALONE = "import time; print(1, flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"


@pytest.fixture
def start(tmp_path: Path) -> Callable[[str], ChildProcess]:
    def start_one(code: str) -> ChildProcess:
        return ChildProcess("the child", [sys.executable, "-c", code], output=tmp_path / "log", cwd=tmp_path, cores=())

    return start_one


def first_line(child: ChildProcess) -> str:
    return child.wait_until(lambda: child.last_line() or None, timeout_s=30, what="print")


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def has_ended(pid: int) -> bool:
    """Return whether a process ends within 30 s."""
    deadline = time.monotonic() + 30
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


def test_ending_a_process_ends_its_descendants(start: Callable[[str], ChildProcess]) -> None:
    child = start(PARENT_OF_ONE.format(then=SLEEP))
    grandchild = int(first_line(child))
    child.end()
    assert has_ended(child.pid)
    assert has_ended(grandchild)


def test_descendants_of_an_exited_process_are_ended(start: Callable[[str], ChildProcess]) -> None:
    child = start(PARENT_OF_ONE.format(then="sys.exit(3)"))
    grandchild = int(first_line(child))
    with pytest.raises(RunError, match="the child ended with exit code 3"):
        child.wait_until(lambda: None, timeout_s=30, what="start")
    assert is_running(grandchild)
    child.end()
    assert has_ended(grandchild)


def test_a_process_that_ignores_sigterm_is_killed(
    start: Callable[[str], ChildProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capacity.processes.process._TERMINATION_TIMEOUT_S", 0.2)
    child = start(STUBBORN)
    first_line(child)
    child.end()
    assert has_ended(child.pid)


def test_a_second_end_sends_no_signal(start: Callable[[str], ChildProcess], monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may have reused the process id."""
    child = start(SLEEP_ALONE)
    first_line(child)
    child.end()
    assert has_ended(child.pid)
    signalled: list[int] = []
    monkeypatch.setattr("capacity.processes.process.os.killpg", lambda group, _number: signalled.append(group))
    child.end()
    assert signalled == []


def test_the_error_of_an_exited_process_has_its_last_line(start: Callable[[str], ChildProcess]) -> None:
    child = start("import sys; sys.exit('no such room')")
    with pytest.raises(RunError, match="the child ended with exit code 1: no such room"):
        child.wait_until(lambda: None, timeout_s=30, what="start")
    child.end()


def test_a_killed_process_is_named_with_its_signal(start: Callable[[str], ChildProcess]) -> None:
    child = start(STUBBORN)
    first_line(child)
    psutil.Process(child.pid).kill()
    with pytest.raises(RunError, match="the child was ended by SIGKILL"):
        child.wait_until(lambda: None, timeout_s=30, what="start")
    child.end()


def test_waiting_is_bounded(start: Callable[[str], ChildProcess]) -> None:
    child = start(STUBBORN)
    with pytest.raises(RunError, match="did not start within 0 s"):
        child.wait_until(lambda: None, timeout_s=0.1, what="start")
    psutil.Process(child.pid).kill()
    child.end()


def test_a_process_is_pinned_from_its_first_instruction(tmp_path: Path) -> None:
    core = usable_cores()[-1]
    code = "import os, sys; sys.stdin.close(); print(os.sched_getaffinity(0), flush=True); import time; time.sleep(600)"
    child = ChildProcess(
        "the child", [sys.executable, "-c", code], output=tmp_path / "log", cwd=tmp_path, cores=(core,)
    )
    assert first_line(child) == str({core})
    child.end()


@pytest.mark.parametrize(
    ("usable", "server", "generator"), [((0, 1), (1,), (0,)), ((0, 1, 2, 3), (3,), (0, 1, 2)), ((2,), (), (2,))]
)
def test_the_bundled_server_gets_one_core_and_the_generator_the_others(
    usable: tuple[int, ...], server: tuple[int, ...], generator: tuple[int, ...]
) -> None:
    assert Cores.for_bundled_server(usable) == Cores(server, generator)


def test_free_ports_differ() -> None:
    assert free_port() != free_port()
