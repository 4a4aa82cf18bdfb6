"""A thread with a gevent hub runs functions for other threads."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import gevent
import pytest

from stampede.errors import StampedeError
from stampede.generator.hub_thread import HubThread

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def thread() -> Iterator[HubThread]:
    made = HubThread()
    yield made
    made.stop()


def test_a_function_runs_in_the_thread_and_returns_its_result(thread: HubThread) -> None:
    idents = {thread.call(threading.get_ident) for _ in range(3)}
    assert len(idents) == 1
    assert threading.get_ident() not in idents


def test_a_function_may_wait_while_others_run(thread: HubThread) -> None:
    with ThreadPoolExecutor(2) as threads:
        begun = threading.Event()

        def wait_for(other: list[int]) -> list[int]:
            begun.set()
            while not other:
                gevent.sleep(0.001)
            return other

        other: list[int] = []
        waiting = threads.submit(thread.call, lambda: wait_for(other))
        begun.wait()
        thread.call(lambda: other.append(1))
        assert waiting.result() == [1]


def test_an_exception_is_raised_in_the_caller(thread: HubThread) -> None:
    with pytest.raises(ZeroDivisionError):
        thread.call(lambda: 1 // 0)
    with pytest.raises(SystemExit):
        thread.call(lambda: exec("raise SystemExit"))  # noqa: S102
    assert thread.call(lambda: 1) == 1


def test_a_call_from_the_thread_itself_runs_at_once(thread: HubThread) -> None:
    assert thread.call(lambda: thread.call(lambda: 5)) == 5


def test_calls_from_many_threads_all_return(thread: HubThread) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda n: thread.call(lambda: n), range(500))) == list(range(500))


def test_a_signal_may_interrupt_a_call(thread: HubThread) -> None:
    """As Ctrl-C and time limits of tests do."""

    def interrupt(*_: object) -> None:
        raise InterruptedError

    def kill_and_sleep() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        gevent.sleep(3600)

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(InterruptedError):
            thread.call(kill_and_sleep)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert thread.call(lambda: 1) == 1


def test_a_call_in_progress_at_the_end_raises_in_its_thread() -> None:
    thread = HubThread()
    with ThreadPoolExecutor(1) as threads:
        begun = threading.Event()

        def forever() -> None:
            begun.set()
            gevent.sleep(3600)

        waiting = threads.submit(thread.call, forever)
        begun.wait()
        thread.stop()
        with pytest.raises(StampedeError, match="closed"):
            waiting.result()
    with pytest.raises(StampedeError, match="closed"):
        thread.call(lambda: 1)
