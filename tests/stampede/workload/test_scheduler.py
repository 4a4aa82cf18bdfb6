"""Timelines are followed: in order, never early, and a fault in one is not felt in another."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING

import gevent
import pytest

from stampede.workload import scheduler as module
from stampede.workload.schedule import Action, ScheduledAction
from stampede.workload.scheduler import _AT_ONCE as AT_ONCE
from stampede.workload.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MS = 1_000_000
PATIENCE = 30.0


class Diary:
    """Notes what was due, and how late it came."""

    def __init__(self) -> None:
        self.intended: list[int] = []
        self.late: list[int] = []

    def act(self, act: Action, intended: int) -> None:
        self.late.append(time.monotonic_ns() - intended)
        self.intended.append(intended)


class Faulty:
    def act(self, act: Action, intended: int) -> None:
        raise ZeroDivisionError


def every(ms: float, first: float = 0) -> Iterator[ScheduledAction]:
    at = first
    while True:
        yield ScheduledAction(round(at * MS), Action.SAY)
        at += ms


@pytest.fixture
def faults() -> list[Exception]:
    return []


@pytest.fixture
def scheduler(faults: list[Exception]) -> Iterator[Scheduler]:
    made = Scheduler(faults.append)
    yield made
    made.close()


def until_noted(diary: Diary, entries: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(diary.intended) < entries:
        assert time.monotonic() < deadline
        gevent.sleep(0.002)


def test_what_is_due_is_done_in_its_order_and_never_early(scheduler: Scheduler) -> None:
    diary, start = Diary(), time.monotonic_ns()
    for ms in (7, 3, 5):
        scheduler.add(diary, every(ms), start)
    until_noted(diary, 30)
    assert diary.intended == sorted(diary.intended)
    assert min(diary.late) >= 0
    moments = [at * ms * MS + start for ms in (3, 5, 7) for at in range(100)]
    assert diary.intended == sorted(moments)[: len(diary.intended)]


def test_an_earlier_moment_wakes_it_sooner_than_was_planned(scheduler: Scheduler) -> None:
    far, near = Diary(), Diary()
    scheduler.add(far, every(1, first=3_600_000), time.monotonic_ns())
    gevent.sleep(0.01)
    scheduler.add(near, every(1), time.monotonic_ns())
    until_noted(near, 3)
    assert far.intended == []


def test_what_is_cancelled_is_not_done(scheduler: Scheduler) -> None:
    one, other = Diary(), Diary()
    ticket = scheduler.add(one, every(1), time.monotonic_ns())
    scheduler.add(other, every(1), time.monotonic_ns())
    until_noted(one, 1)
    ticket.cancel()
    before = len(one.intended)
    until_noted(other, len(other.intended) + 5)
    assert len(one.intended) == before


def test_a_fault_ends_its_own_timeline_and_no_other(scheduler: Scheduler, faults: list[Exception]) -> None:
    diary, start = Diary(), time.monotonic_ns()
    scheduler.add(Faulty(), every(1), start)
    scheduler.add(Diary(), iter([ScheduledAction(0, Action.SAY)]), start)  # ends, which none should
    scheduler.add(diary, every(1), start)
    until_noted(diary, 10)
    assert [type(fault) for fault in faults] == [ZeroDivisionError, StopIteration]


def test_a_backlog_is_worked_off_in_parts_so_that_others_get_their_turn(scheduler: Scheduler) -> None:
    diary, parts = Diary(), [0]
    scheduler.add(diary, every(0.001), time.monotonic_ns() - 5 * MS)
    while len(diary.intended) < 5000:
        gevent.sleep(0)
        parts.append(len(diary.intended))
    done = [after - before for before, after in pairwise(parts) if after > before]
    assert max(done) == AT_ONCE
    assert len(done) >= 5000 // AT_ONCE


class Clock:
    """A time that stands still, and the timers that were asked for since."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000 * MS
        self.delays_ms: list[float] = []
        monkeypatch.setattr(module, "monotonic_ns", lambda: self.now)
        monkeypatch.setattr(module, "get_hub", lambda: self)

    @property
    def loop(self) -> Clock:
        return self

    def timer(self, seconds: float) -> Clock:
        self.delays_ms.append(round(seconds * 1000, 6))
        return self

    def start(self, callback: Callable[[], None]) -> None:
        self.wake = callback

    def stop(self) -> None:
        """Be stopped as a timer."""

    def close(self) -> None:
        """Be closed as a timer."""


@pytest.mark.parametrize(
    ("step_ms", "late_ms", "delay_ms"),
    [(0.1, 0.0, 1.0), (0.9, 0.0, 1.0), (1.0, 0.0, 1.0), (20.0, 0.0, 20.0), (20.0, 5.0, 15.0), (20.0, 19.5, 1.0)],
)
def test_it_wakes_up_at_most_once_a_millisecond_and_otherwise_when_something_is_due(
    monkeypatch: pytest.MonkeyPatch, faults: list[Exception], step_ms: float, late_ms: float, delay_ms: float
) -> None:
    clock, diary = Clock(monkeypatch), Diary()
    paced = Scheduler(faults.append)
    paced.add(diary, every(step_ms, first=7), clock.now)
    assert clock.delays_ms == [7.0]
    clock.now += round((7 + late_ms) * MS)
    clock.wake()
    assert clock.delays_ms == [7.0, delay_ms]
    acted = len(diary.intended)
    clock.now += round(delay_ms * MS)
    clock.wake()
    assert len(diary.intended) > acted >= 1  # each of them is done, in the wake-up after it was due
    assert faults == []


def test_what_one_wake_up_leaves_is_gone_on_with_at_once(
    monkeypatch: pytest.MonkeyPatch, faults: list[Exception]
) -> None:
    clock, diary = Clock(monkeypatch), Diary()
    paced = Scheduler(faults.append)
    paced.add(diary, every(0.001), clock.now - 2 * MS)
    assert clock.delays_ms == [0.0]
    for done in (AT_ONCE, 2 * AT_ONCE, 3 * AT_ONCE, 4 * AT_ONCE):
        clock.wake()
        assert len(diary.intended) == done
        assert clock.delays_ms[-1] == 0.0
    clock.wake()
    assert len(diary.intended) == 2001
    assert clock.delays_ms[-1] == 1.0


def test_nothing_happens_after_the_end(scheduler: Scheduler) -> None:
    diary = Diary()
    scheduler.add(diary, every(1), time.monotonic_ns())
    until_noted(diary, 1)
    scheduler.close()
    before = len(diary.intended)
    scheduler.add(diary, every(1), time.monotonic_ns())
    gevent.sleep(0.02)
    assert len(diary.intended) == before
