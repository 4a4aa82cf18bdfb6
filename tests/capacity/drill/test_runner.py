"""A drill against held users that are not real."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from capacity.drill.runner import DrillRunner, TimeLimits, Watch, start_watch
from capacity.errors import RunError
from capacity.measure.server_sample import ServerSample
from capacity.search.step_measurement import Reading
from tests.capacity.drill.make_drill import untouched, watch

if TYPE_CHECKING:
    from stampede.measure.storm_results import StormResult

USERS = 100


@dataclass
class Held:
    """Users, a load generator and a command on one clock, in seconds.

    Attributes:
        storm: the watch at a time; None if it is not reported.
    """

    storm: Any = lambda _: untouched()
    lasts: float = 3.0
    now: float = 0.0
    ended_at: float | None = None
    phases: list[str] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def read(self) -> Reading:
        storm: StormResult | None = self.storm(self.now)
        snapshot = SimpleNamespace(
            ready=USERS - (0 if storm is None else storm.dropped - storm.resynced),
            workers=[None],
            storms=[] if storm is None else [storm],
            deliveries=SimpleNamespace(in_flight=0),
            instant_s=0.0,  # no window: the latency is not known
        )
        return Reading(self.now, snapshot, ServerSample(at_s=self.now))  # type: ignore[arg-type]

    def start_watch(self) -> int:
        return 1

    def end_watch(self) -> None:
        self.ended_at = self.now

    def phase(self, name: str, seconds: float) -> None:
        self.phases.append(name)

    # the command

    began = 0.0
    seconds: float | None = None

    def poll(self) -> bool:
        if self.seconds is None and self.now >= self.lasts:
            self.seconds = self.now
        return self.seconds is not None

    def end(self) -> None:
        self.seconds = self.now


def run(held: Held, limits: TimeLimits) -> DrillRunner:
    began = Watch(1, 0.0, held.read())
    runner = DrillRunner(
        held, held, held, began, held, limit_ms=None, clock=held.clock, sleep=held.sleep  # type: ignore[arg-type]
    )  # fmt: skip
    runner.run(limits)
    return runner


def test_a_drill_ends_some_calm_seconds_after_the_command() -> None:
    held = Held()
    runner = run(held, TimeLimits(600, 120))
    assert (runner.timed_out, runner.is_complete, runner.timeline.recovered_s) == (False, True, 0)
    assert held.ended_at is not None
    assert 7 < held.ended_at < 10
    assert held.phases == ["running the command", "waiting until all is as before", "waiting for late deliveries"]


def test_a_command_is_ended_at_its_time_limit_and_the_recovery_is_measured_all_the_same() -> None:
    held = Held(lasts=1000)
    runner = run(held, TimeLimits(5, 120))
    assert runner.timed_out
    assert held.seconds == pytest.approx(5, abs=0.5)
    assert held.ended_at is not None
    assert held.ended_at > 9


def test_a_drill_waits_for_users_that_are_not_back_until_its_time_limit() -> None:
    held = Held(storm=lambda _: watch(resynced=30, over=False))
    runner = run(held, TimeLimits(600, 20))
    assert runner.timeline.recovered_s is None
    assert held.ended_at == pytest.approx(23, abs=1)


def test_a_drill_goes_on_until_a_late_user_is_back() -> None:
    held = Held(storm=lambda now: watch() if now > 30 else watch(resynced=39, over=False))
    runner = run(held, TimeLimits(600, 120))
    assert runner.timeline.recovered_s == pytest.approx(30, abs=2)


def test_a_watch_that_is_not_reported_ends_the_drill() -> None:
    held = Held(storm=lambda _: None)
    with pytest.raises(RunError, match="did not report the requested watch"):
        start_watch(held, held, clock=held.clock, sleep=held.sleep)
