"""The scheduler performs actions in order and never early; a fault ends only its own schedule."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING

import gevent
import pytest

from stampede.workload import scheduler as module
from stampede.workload.schedule import ScheduledAction
from stampede.workload.scheduler import _MAX_ACTIONS_PER_RUN as MAX_ACTIONS
from stampede.workload.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MS = 1_000_000
TIMEOUT = 30.0


def nothing() -> None:
    """Do nothing."""


class Recorder:
    """Records the due time of each action and how late it was performed."""

    def __init__(self) -> None:
        self.intended: list[int] = []
        self.late: list[int] = []

    def perform(self, action: Callable[[], object], intended: int) -> None:
        self.late.append(time.monotonic_ns() - intended)
        self.intended.append(intended)


class Faulty:
    def perform(self, action: Callable[[], object], intended: int) -> None:
        raise ZeroDivisionError


def every(ms: float, first: float = 0) -> Iterator[ScheduledAction]:
    at = first
    while True:
        yield ScheduledAction(round(at * MS), nothing)
        at += ms


@pytest.fixture
def faults() -> list[Exception]:
    return []


@pytest.fixture
def scheduler(faults: list[Exception]) -> Iterator[Scheduler]:
    made = Scheduler(faults.append)
    yield made
    made.close()


def until_recorded(recorder: Recorder, entries: int) -> None:
    deadline = time.monotonic() + TIMEOUT
    while len(recorder.intended) < entries:
        assert time.monotonic() < deadline
        gevent.sleep(0.002)


def test_actions_are_performed_in_order_and_never_early(scheduler: Scheduler) -> None:
    recorder, start = Recorder(), time.monotonic_ns()
    for ms in (7, 3, 5):
        scheduler.add(recorder, every(ms), start)
    until_recorded(recorder, 30)
    assert recorder.intended == sorted(recorder.intended)
    assert min(recorder.late) >= 0
    due_times = [at * ms * MS + start for ms in (3, 5, 7) for at in range(100)]
    assert recorder.intended == sorted(due_times)[: len(recorder.intended)]


def test_a_schedule_with_an_earlier_action_resets_the_timer(scheduler: Scheduler) -> None:
    far, near = Recorder(), Recorder()
    scheduler.add(far, every(1, first=3_600_000), time.monotonic_ns())
    gevent.sleep(0.01)
    scheduler.add(near, every(1), time.monotonic_ns())
    until_recorded(near, 3)
    assert far.intended == []


def test_a_cancelled_schedule_performs_nothing_more(scheduler: Scheduler) -> None:
    one, other = Recorder(), Recorder()
    handle = scheduler.add(one, every(1), time.monotonic_ns())
    scheduler.add(other, every(1), time.monotonic_ns())
    until_recorded(one, 1)
    handle.cancel()
    before = len(one.intended)
    until_recorded(other, len(other.intended) + 5)
    assert len(one.intended) == before


def test_a_fault_ends_its_own_schedule_and_no_other(scheduler: Scheduler, faults: list[Exception]) -> None:
    recorder, start = Recorder(), time.monotonic_ns()
    scheduler.add(Faulty(), every(1), start)
    scheduler.add(recorder, every(1), start)
    until_recorded(recorder, 10)
    assert [type(fault) for fault in faults] == [ZeroDivisionError]


def test_a_schedule_may_end(scheduler: Scheduler, faults: list[Exception]) -> None:
    ended, recorder, start = Recorder(), Recorder(), time.monotonic_ns()
    scheduler.add(Recorder(), iter(()), start)
    scheduler.add(ended, iter([ScheduledAction(0, nothing), ScheduledAction(MS, nothing)]), start)
    scheduler.add(recorder, every(1), start)
    until_recorded(recorder, 10)
    assert ended.intended == [start, start + MS]
    assert faults == []


def test_a_backlog_is_performed_in_parts_between_which_the_hub_runs(scheduler: Scheduler) -> None:
    recorder, parts = Recorder(), [0]
    scheduler.add(recorder, every(0.001), time.monotonic_ns() - 5 * MS)
    while len(recorder.intended) < 5000:
        gevent.sleep(0)
        parts.append(len(recorder.intended))
    done = [after - before for before, after in pairwise(parts) if after > before]
    assert max(done) == MAX_ACTIONS
    assert len(done) >= 5000 // MAX_ACTIONS


class Clock:
    """A stopped clock, and the delays of all timers that were set."""

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
        """Stop, as a gevent timer."""

    def close(self) -> None:
        """Close, as a gevent timer."""


@pytest.mark.parametrize(
    ("step_ms", "late_ms", "delay_ms"),
    [(0.1, 0.0, 1.0), (0.9, 0.0, 1.0), (1.0, 0.0, 1.0), (20.0, 0.0, 20.0), (20.0, 5.0, 15.0), (20.0, 19.5, 1.0)],
)
def test_the_timer_is_set_for_the_next_action_but_at_least_a_millisecond_ahead(
    monkeypatch: pytest.MonkeyPatch, faults: list[Exception], step_ms: float, late_ms: float, delay_ms: float
) -> None:
    clock, recorder = Clock(monkeypatch), Recorder()
    made = Scheduler(faults.append)
    made.add(recorder, every(step_ms, first=7), clock.now)
    assert clock.delays_ms == [7.0]
    clock.now += round((7 + late_ms) * MS)
    clock.wake()
    assert clock.delays_ms == [7.0, delay_ms]
    acted = len(recorder.intended)
    clock.now += round(delay_ms * MS)
    clock.wake()
    assert len(recorder.intended) > acted >= 1  # each action is performed in the wake-up after its due time
    assert faults == []


def test_actions_left_over_by_one_wake_up_are_performed_without_delay(
    monkeypatch: pytest.MonkeyPatch, faults: list[Exception]
) -> None:
    clock, recorder = Clock(monkeypatch), Recorder()
    made = Scheduler(faults.append)
    made.add(recorder, every(0.001), clock.now - 4 * MS)
    assert clock.delays_ms == [0.0]
    for done in (MAX_ACTIONS, 2 * MAX_ACTIONS):
        clock.wake()
        assert len(recorder.intended) == done
        assert clock.delays_ms[-1] == 0.0
    clock.wake()
    assert len(recorder.intended) == 4001
    assert clock.delays_ms[-1] == 1.0


def test_it_knows_by_how_much_the_next_action_is_late(monkeypatch: pytest.MonkeyPatch, faults: list[Exception]) -> None:
    clock, recorder = Clock(monkeypatch), Recorder()
    made = Scheduler(faults.append)
    assert made.overdue_ns == 0
    made.add(recorder, every(20), clock.now + 5 * MS)
    assert made.overdue_ns == 0
    clock.now += 8 * MS
    assert made.overdue_ns == 3 * MS
    clock.wake()
    assert made.overdue_ns == 0


def test_nothing_is_performed_after_close(scheduler: Scheduler) -> None:
    recorder = Recorder()
    scheduler.add(recorder, every(1), time.monotonic_ns())
    until_recorded(recorder, 1)
    scheduler.close()
    before = len(recorder.intended)
    scheduler.add(recorder, every(1), time.monotonic_ns())
    gevent.sleep(0.02)
    assert len(recorder.intended) == before
