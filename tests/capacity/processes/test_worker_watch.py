"""A run waits for its workers, says which have come, and uses additional ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from capacity.errors import RunError
from capacity.measure.workers import Connection, LostWorkerError
from capacity.processes.worker_watch import WorkerWatch
from capacity.record.worker import WorkerRecord
from tests.capacity.measure.test_client_window import snapshot
from tests.capacity.measure.test_workers import of_host

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

A, B, C = (Connection(f"{host}_{number}", "ready") for number, host in enumerate("abc", 1))


def answers(*lists: Sequence[Connection]) -> Callable[[], Sequence[Connection]]:
    """Return a function that gives one list after another, and repeats the last."""
    left = list(lists)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_it_waits_until_all_workers_are_ready_and_says_which_have_come() -> None:
    said: list[str] = []
    busy = Connection(B.id, "running")
    WorkerWatch(2, 30.0, "--worker-timeout", said.append).wait_for_all(answers([], [A], [A, busy], [A, B]))
    assert said == [
        "waiting for load generator workers: 0 of 2 connected",
        "waiting for load generator workers: 1 of 2 connected: a",
    ]


def test_too_few_workers_are_one_line_with_the_option() -> None:
    watch = WorkerWatch(2, 0.0, "--worker-timeout", lambda _: None)
    with pytest.raises(RunError) as caught:
        watch.wait_for_all(answers([A]))
    assert str(caught.value) == (
        "the load generator workers did not connect within 0 s (--worker-timeout): 1 of 2 connected: a"
    )


def test_too_many_workers_run_users_too_and_a_note_says_so() -> None:
    said: list[str] = []
    watch = WorkerWatch(2, 30.0, "--worker-timeout", said.append)
    watch.wait_for_all(answers([A, B, C]))
    assert said == watch.notes() == ["3 load generator workers were connected, 2 were expected: all run users"]
    watch.start()
    watch.check(snapshot(workers=[of_host("a", 0), of_host("b", 1), of_host("c", 2)]))
    assert not watch.has_lost


def test_a_lost_worker_stays_lost_until_all_are_connected_again() -> None:
    watch = WorkerWatch(2, 30.0, "--worker-timeout", lambda _: None)
    watch.wait_for_all(answers([A, B]))
    ended = snapshot(workers=[of_host("a", 0), of_host("b", 1, state="ended")])
    watch.check(ended)  # no users run yet
    watch.start()
    with pytest.raises(LostWorkerError, match="worker 1 on b ended"):
        watch.check(ended)
    assert watch.has_lost
    assert watch.records() == [
        WorkerRecord(name="worker 0", host="a", state="connected"),
        WorkerRecord(name="worker 1", host="b", state="ended"),
    ]
    watch.wait_for_all(answers([A, B]))
    assert not watch.has_lost


def test_a_lost_worker_that_does_not_come_back_is_named() -> None:
    watch = WorkerWatch(2, 0.0, "", lambda _: None)
    watch.wait_for_all(answers([A, B]))
    watch.start()
    with pytest.raises(LostWorkerError):
        watch.check(snapshot(workers=[of_host("a", 0), of_host("b", 1, state="ended")]))
    with pytest.raises(RunError) as caught:
        watch.wait_for_all(answers([A]))
    assert str(caught.value) == (
        "load generator worker 1 on b ended, and did not come back within 0 s: 1 of 2 connected: a"
    )
