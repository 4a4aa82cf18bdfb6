"""The end of a scheduler: one callback for all, each once, and never too late."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

import pytest

from server.chat.batching import BUDGET_SECONDS, END_SECONDS, BatchScheduler

if TYPE_CHECKING:
    from collections.abc import Callable


class Loop:
    """An event loop of which one turns the crank oneself."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked: deque[Callable[[], None]] = deque()
        self.done: list[str] = []
        self.scheduler = BatchScheduler(self.asked.append, lambda: self.now)

    def iterate(self) -> None:
        for _ in range(len(self.asked)):
            self.asked.popleft()()

    def note(self, text: str, seconds: float = 0.0) -> None:
        self.done.append(text)
        self.now += seconds


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_all_that_is_asked_for_runs_from_one_callback_in_its_order(loop: Loop) -> None:
    assert not loop.scheduler.is_budget_spent(loop.now)
    for name in "abc":
        loop.scheduler.call_at_end(partial(loop.note, name))
    assert (len(loop.asked), loop.done) == (1, [])
    loop.iterate()
    assert (len(loop.asked), loop.done) == (0, ["a", "b", "c"])


def test_what_asks_to_go_on_waits_for_the_next_end(loop: Loop) -> None:
    def first() -> None:
        loop.note("first")
        loop.scheduler.call_at_end(partial(loop.note, "second"))

    loop.scheduler.call_at_end(first)
    loop.iterate()
    assert loop.done == ["first"]
    loop.iterate()
    assert loop.done == ["first", "second"]


def test_a_ticks_time_runs_from_the_moment_its_end_is_asked_for(loop: Loop) -> None:
    loop.iterate()
    loop.now += 10 * BUDGET_SECONDS
    loop.scheduler.call_at_end(partial(loop.note, "flush"))
    assert not loop.scheduler.is_budget_spent(loop.now + BUDGET_SECONDS / 2)
    assert loop.scheduler.is_budget_spent(loop.now + 1.5 * BUDGET_SECONDS)
    loop.iterate()
    assert not loop.scheduler.is_budget_spent(loop.now + BUDGET_SECONDS / 2)


def test_reads_alone_ask_for_the_end_of_a_tick_no_more_than_once_in_a_budget(loop: Loop) -> None:
    asked = 0
    for _ in range(100):
        assert not loop.scheduler.is_budget_spent(loop.now)
        asked += len(loop.asked)
        loop.iterate()
        loop.now += BUDGET_SECONDS / 10
    assert 9 <= asked <= 11


def test_an_iteration_is_over_after_two_budgets_at_most(loop: Loop) -> None:
    loop.scheduler.is_budget_spent(loop.now)
    loop.iterate()
    began = loop.now
    while not loop.scheduler.is_budget_spent(loop.now):
        loop.now += BUDGET_SECONDS / 10
    assert BUDGET_SECONDS <= loop.now - began <= 2.2 * BUDGET_SECONDS


def test_deferred_work_is_done_in_its_order_a_budget_at_a_time_with_flushes_between(loop: Loop) -> None:
    loop.scheduler.is_budget_spent(loop.now)
    loop.scheduler.call_at_end(partial(loop.note, "flush"))

    def work(name: str) -> None:
        loop.note(name, BUDGET_SECONDS * 0.6)
        loop.scheduler.call_at_end(partial(loop.note, f"flush {name}"))

    for name in "abcd":
        loop.scheduler.defer(partial(work, name))
    loop.iterate()
    assert loop.done == ["flush", "a", "b", "flush a", "flush b"]
    loop.iterate()
    assert loop.done[5:] == ["c", "d", "flush c", "flush d"]
    assert not loop.asked


@pytest.mark.parametrize(("reads", "most"), [(0.0, END_SECONDS), (3 * END_SECONDS, 3 * END_SECONDS)])
def test_an_end_takes_no_longer_than_its_budget_or_the_reads_before_it(loop: Loop, reads: float, most: float) -> None:
    loop.scheduler.is_budget_spent(loop.now)
    loop.now += reads
    names = [f"room {number}" for number in range(200)]
    for name in names:
        loop.scheduler.call_at_end(partial(loop.note, name, END_SECONDS / 10))
    loop.iterate()
    assert most / END_SECONDS * 10 - 1 <= len(loop.done) <= most / END_SECONDS * 10 + 1
    while loop.asked:
        before = loop.now
        loop.iterate()
        assert loop.now - before < 1.2 * END_SECONDS
    assert loop.done == names


def test_one_that_fails_takes_no_other_with_it(loop: Loop) -> None:
    def broken() -> None:
        raise OSError("this must not happen, but if it does")

    loop.scheduler.call_at_end(broken)
    loop.scheduler.call_at_end(partial(loop.note, "other"))
    loop.scheduler.defer(broken)
    loop.scheduler.defer(partial(loop.note, "deferred"))
    for _ in range(2):
        with pytest.raises(OSError, match="must not happen"):
            loop.iterate()
    loop.iterate()
    assert loop.done == ["other", "deferred"]


def test_what_is_read_at_the_deadline_is_deferred(loop: Loop) -> None:
    loop.scheduler.call_at_end(partial(loop.note, "flush"))
    deadline = loop.now + BUDGET_SECONDS
    assert [loop.scheduler.is_budget_spent(deadline - 0.001), loop.scheduler.is_budget_spent(deadline)] == [False, True]


def test_an_end_stops_at_its_deadline(loop: Loop) -> None:
    for name in "ab":
        loop.scheduler.call_at_end(partial(loop.note, name, END_SECONDS))
    loop.iterate()
    assert loop.done == ["a"]
    loop.iterate()
    assert loop.done == ["a", "b"]


def test_work_stops_at_its_deadline_and_the_flushes_after_it_have_a_budget(loop: Loop) -> None:
    def work(name: str) -> None:
        loop.note(name, BUDGET_SECONDS)
        for part in "123":
            loop.scheduler.call_at_end(partial(loop.note, name + part, 0.4 * BUDGET_SECONDS))

    for name in "ab":
        loop.scheduler.defer(partial(work, name))
    loop.iterate()
    assert loop.done == ["a", "a1", "a2", "a3"]
    loop.iterate()
    assert loop.done == ["a", "a1", "a2", "a3", "b", "b1", "b2", "b3"]
    assert not loop.asked


def test_deferred_work_alone_asks_for_an_end(loop: Loop) -> None:
    loop.scheduler.defer(partial(loop.note, "work"))
    loop.scheduler.defer(partial(loop.note, "more"))
    assert len(loop.asked) == 1
    loop.iterate()
    assert (loop.done, len(loop.asked)) == (["work", "more"], 0)


def test_flushes_that_are_left_ask_for_the_next_end_without_deferred_work(loop: Loop) -> None:
    for name in "abc":
        loop.scheduler.call_at_end(partial(loop.note, name, 2 * END_SECONDS))
    for done in ("a", "ab", "abc"):
        assert len(loop.asked) == 1
        loop.iterate()
        assert "".join(loop.done) == done
    assert not loop.asked


def test_after_an_end_the_next_reads_have_a_whole_budget(loop: Loop) -> None:
    loop.scheduler.call_at_end(partial(loop.note, "flush"))
    loop.now += 10 * BUDGET_SECONDS
    loop.iterate()
    ended = loop.now
    assert not loop.scheduler.is_budget_spent(ended + 0.9 * BUDGET_SECONDS)
    assert not loop.asked, "not timed until a budget has gone by"
    assert not loop.scheduler.is_budget_spent(ended + BUDGET_SECONDS)
    assert len(loop.asked) == 1
