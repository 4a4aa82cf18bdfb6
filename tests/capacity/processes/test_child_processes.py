"""All started processes end, whenever a signal arrives."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from capacity.processes.child_processes import ChildProcesses
from capacity.processes.process import ChildProcess
from tests.capacity.processes.test_process import STUBBORN, first_line, has_ended, is_running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FOREVER = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture(autouse=True)
def _ctrl_c_interrupts() -> Iterator[None]:
    """Handle SIGINT as at a terminal: a shell starts background processes with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def start(tmp_path: Path) -> Callable[[ChildProcesses], ChildProcess]:
    def start_one(children: ChildProcesses) -> ChildProcess:
        return children.start("the child", FOREVER, output=tmp_path / "log", cwd=tmp_path, cores=())

    return start_one


def test_all_processes_end_with_the_block(start: Callable[[ChildProcesses], ChildProcess]) -> None:
    with ChildProcesses() as children:
        started = [start(children), start(children)]
        children.check()
        assert all(is_running(child.pid) for child in started)
    assert all(has_ended(child.pid) for child in started)


def test_a_signal_during_a_start_leaves_no_process(
    start: Callable[[ChildProcesses], ChildProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[ChildProcess] = []

    def interrupted(*args: Any, **options: Any) -> ChildProcess:
        started.append(ChildProcess(*args, **options))
        signal.raise_signal(signal.SIGINT)
        return started[0]

    monkeypatch.setattr("capacity.processes.child_processes.ChildProcess", interrupted)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt), ChildProcesses() as children:
        start(children)
    assert has_ended(started[0].pid)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_next_call_ends_what_an_interruption_left(
    start: Callable[[ChildProcesses], ChildProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    children = ChildProcesses()
    started = [start(children), start(children)]
    ended = ChildProcess.end

    def stopped(_process: ChildProcess) -> None:
        monkeypatch.setattr(ChildProcess, "end", ended)
        raise KeyboardInterrupt  # as a handler does; when Python runs it after `raise_signal` differs by version

    monkeypatch.setattr(ChildProcess, "end", stopped)
    with pytest.raises(KeyboardInterrupt):
        children.end()
    assert all(is_running(child.pid) for child in started)
    children.end()
    assert all(has_ended(child.pid) for child in started)


def test_a_signal_in_another_thread_does_not_interrupt_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries have threads of their own, and the system delivers a signal to any thread that does not block it."""
    monkeypatch.setattr("capacity.processes.process._TERMINATION_TIMEOUT_S", 0.2)
    wait_procs = psutil.wait_procs

    def interrupted(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr("capacity.processes.process.psutil.wait_procs", wait_procs)
        os.kill(os.getpid(), signal.SIGINT)
        return wait_procs(*args, **options)

    monkeypatch.setattr("capacity.processes.process.psutil.wait_procs", interrupted)
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    child = ChildProcess("the child", [sys.executable, "-c", STUBBORN], output=tmp_path / "log", cwd=tmp_path, cores=())
    first_line(child)
    try:
        with pytest.raises(KeyboardInterrupt):
            child.end()
        assert not is_running(child.pid)
    finally:
        done.set()
        other.join()
        child.end()
