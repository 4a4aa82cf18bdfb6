"""Whatever comes, and whenever: what was started ends."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from capacity.children import Children
from capacity.processes import ChildProcess
from tests.capacity.test_processes import has_ended, is_running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FOREVER = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def start(tmp_path: Path) -> Callable[[Children], ChildProcess]:
    def start_one(children: Children) -> ChildProcess:
        return children.start("the child", FOREVER, output=tmp_path / "log", cwd=tmp_path, cores=())

    return start_one


def test_all_end_with_the_block(start: Callable[[Children], ChildProcess]) -> None:
    with Children() as children:
        started = [start(children), start(children)]
        children.check()
        assert all(is_running(child.pid) for child in started)
    assert all(has_ended(child.pid) for child in started)


def test_a_stop_that_comes_as_a_process_is_started_leaves_nothing_behind(
    start: Callable[[Children], ChildProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[ChildProcess] = []

    def interrupted(*args: Any, **options: Any) -> ChildProcess:
        started.append(ChildProcess(*args, **options))
        signal.raise_signal(signal.SIGINT)
        return started[0]

    monkeypatch.setattr("capacity.children.ChildProcess", interrupted)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt), Children() as children:
        start(children)
    assert has_ended(started[0].pid)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_what_a_stop_left_at_the_end_ends_with_the_next_call(
    start: Callable[[Children], ChildProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    children = Children()
    started = [start(children), start(children)]
    ended = ChildProcess.end

    def stopped(_process: ChildProcess) -> None:
        monkeypatch.setattr(ChildProcess, "end", ended)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ChildProcess, "end", stopped)
    with pytest.raises(KeyboardInterrupt):
        children.end()
    assert all(is_running(child.pid) for child in started)
    children.end()
    assert all(has_ended(child.pid) for child in started)
