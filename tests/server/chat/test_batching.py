"""The batch scheduler: one callback per iteration, in order, within the time budgets."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

import pytest

from server.chat.batching import BUDGET_SECONDS, END_SECONDS, BatchScheduler

if TYPE_CHECKING:
    from collections.abc import Callable


class ManualLoop:
    """An event loop whose iterations a test runs."""

    def __init__(self) -> None:
        self.now = 100.0
        self.scheduled: deque[Callable[[], None]] = deque()
        self.done: list[str] = []
        self.scheduler = BatchScheduler(self.scheduled.append, lambda: self.now)

    def iterate(self) -> None:
        for _ in range(len(self.scheduled)):
            self.scheduled.popleft()()

    def run(self, text: str, seconds: float = 0.0) -> None:
        self.done.append(text)
        self.now += seconds


@pytest.fixture
def loop() -> ManualLoop:
    return ManualLoop()


def test_all_callbacks_of_an_iteration_run_in_order_from_one_loop_callback(loop: ManualLoop) -> None:
    assert not loop.scheduler.is_budget_spent(loop.now)
    for name in "abc":
        loop.scheduler.call_at_end(partial(loop.run, name))
    assert (len(loop.scheduled), loop.done) == (1, [])
    loop.iterate()
    assert (len(loop.scheduled), loop.done) == (0, ["a", "b", "c"])


def test_a_callback_scheduled_by_a_callback_waits_for_the_next_end(loop: ManualLoop) -> None:
    def first() -> None:
        loop.run("first")
        loop.scheduler.call_at_end(partial(loop.run, "second"))

    loop.scheduler.call_at_end(first)
    loop.iterate()
    assert loop.done == ["first"]
    loop.iterate()
    assert loop.done == ["first", "second"]


def test_the_budget_starts_when_the_end_is_scheduled(loop: ManualLoop) -> None:
    loop.iterate()
    loop.now += 10 * BUDGET_SECONDS
    loop.scheduler.call_at_end(partial(loop.run, "flush"))
    assert not loop.scheduler.is_budget_spent(loop.now + BUDGET_SECONDS / 2)
    assert loop.scheduler.is_budget_spent(loop.now + 1.5 * BUDGET_SECONDS)
    loop.iterate()
    assert not loop.scheduler.is_budget_spent(loop.now + BUDGET_SECONDS / 2)


def test_reads_alone_schedule_an_end_at_most_once_per_budget(loop: ManualLoop) -> None:
    asked = 0
    for _ in range(100):
        assert not loop.scheduler.is_budget_spent(loop.now)
        asked += len(loop.scheduled)
        loop.iterate()
        loop.now += BUDGET_SECONDS / 10
    assert 9 <= asked <= 11


def test_an_iteration_lasts_at_most_two_budgets(loop: ManualLoop) -> None:
    loop.scheduler.is_budget_spent(loop.now)
    loop.iterate()
    began = loop.now
    while not loop.scheduler.is_budget_spent(loop.now):
        loop.now += BUDGET_SECONDS / 10
    assert BUDGET_SECONDS <= loop.now - began <= 2.2 * BUDGET_SECONDS


def test_deferred_reads_run_in_order_one_budget_at_a_time_with_flushes_between(loop: ManualLoop) -> None:
    loop.scheduler.is_budget_spent(loop.now)
    loop.scheduler.call_at_end(partial(loop.run, "flush"))

    def work(name: str) -> None:
        loop.run(name, BUDGET_SECONDS * 0.6)
        loop.scheduler.call_at_end(partial(loop.run, f"flush {name}"))

    for name in "abcd":
        loop.scheduler.defer(partial(work, name))
    loop.iterate()
    assert loop.done == ["flush", "a", "b", "flush a", "flush b"]
    loop.iterate()
    assert loop.done[5:] == ["c", "d", "flush c", "flush d"]
    assert not loop.scheduled


@pytest.mark.parametrize(("reads", "limit"), [(0.0, END_SECONDS), (3 * END_SECONDS, 3 * END_SECONDS)])
def test_an_end_takes_at_most_its_minimum_time_or_the_time_of_the_reads(
    loop: ManualLoop, reads: float, limit: float
) -> None:
    loop.scheduler.is_budget_spent(loop.now)
    loop.now += reads
    names = [f"room {number}" for number in range(200)]
    for name in names:
        loop.scheduler.call_at_end(partial(loop.run, name, END_SECONDS / 10))
    loop.iterate()
    assert limit / END_SECONDS * 10 - 1 <= len(loop.done) <= limit / END_SECONDS * 10 + 1
    while loop.scheduled:
        before = loop.now
        loop.iterate()
        assert loop.now - before < 1.2 * END_SECONDS
    assert loop.done == names


def test_a_failing_callback_does_not_stop_the_others(loop: ManualLoop) -> None:
    def fail() -> None:
        raise OSError("this must not happen, but if it does")

    loop.scheduler.call_at_end(fail)
    loop.scheduler.call_at_end(partial(loop.run, "other"))
    loop.scheduler.defer(fail)
    loop.scheduler.defer(partial(loop.run, "deferred"))
    for _ in range(2):
        with pytest.raises(OSError, match="must not happen"):
            loop.iterate()
    loop.iterate()
    assert loop.done == ["other", "deferred"]


def test_data_read_at_the_deadline_is_deferred(loop: ManualLoop) -> None:
    loop.scheduler.call_at_end(partial(loop.run, "flush"))
    deadline = loop.now + BUDGET_SECONDS
    assert [loop.scheduler.is_budget_spent(deadline - 0.001), loop.scheduler.is_budget_spent(deadline)] == [False, True]


def test_an_end_stops_at_its_deadline(loop: ManualLoop) -> None:
    for name in "ab":
        loop.scheduler.call_at_end(partial(loop.run, name, END_SECONDS))
    loop.iterate()
    assert loop.done == ["a"]
    loop.iterate()
    assert loop.done == ["a", "b"]


def test_deferred_reads_stop_at_their_deadline_and_the_flushes_after_them_have_a_budget(loop: ManualLoop) -> None:
    def work(name: str) -> None:
        loop.run(name, BUDGET_SECONDS)
        for part in "123":
            loop.scheduler.call_at_end(partial(loop.run, name + part, 0.4 * BUDGET_SECONDS))

    for name in "ab":
        loop.scheduler.defer(partial(work, name))
    loop.iterate()
    assert loop.done == ["a", "a1", "a2", "a3"]
    loop.iterate()
    assert loop.done == ["a", "a1", "a2", "a3", "b", "b1", "b2", "b3"]
    assert not loop.scheduled


def test_deferred_reads_alone_schedule_an_end(loop: ManualLoop) -> None:
    loop.scheduler.defer(partial(loop.run, "work"))
    loop.scheduler.defer(partial(loop.run, "more"))
    assert len(loop.scheduled) == 1
    loop.iterate()
    assert (loop.done, len(loop.scheduled)) == (["work", "more"], 0)


def test_remaining_flushes_schedule_the_next_end(loop: ManualLoop) -> None:
    for name in "abc":
        loop.scheduler.call_at_end(partial(loop.run, name, 2 * END_SECONDS))
    for done in ("a", "ab", "abc"):
        assert len(loop.scheduled) == 1
        loop.iterate()
        assert "".join(loop.done) == done
    assert not loop.scheduled


def test_after_an_end_the_next_reads_have_a_full_budget(loop: ManualLoop) -> None:
    loop.scheduler.call_at_end(partial(loop.run, "flush"))
    loop.now += 10 * BUDGET_SECONDS
    loop.iterate()
    ended = loop.now
    assert not loop.scheduler.is_budget_spent(ended + 0.9 * BUDGET_SECONDS)
    assert not loop.scheduled, "not timed until one budget has passed"
    assert not loop.scheduler.is_budget_spent(ended + BUDGET_SECONDS)
    assert len(loop.scheduled) == 1
