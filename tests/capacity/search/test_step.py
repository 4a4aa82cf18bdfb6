"""Steps against a simulated server: a queue that serves a fixed rate, on simulated time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from capacity.errors import RunError
from capacity.measure.client_window import quantile_ms
from capacity.measure.server_sample import ServerSample
from capacity.measure.workers import LostWorkerError
from capacity.record.step import LOST_WORKER, Verdict
from capacity.search.arrival import portions
from capacity.search.search import Purpose
from capacity.search.step import StepRunner
from capacity.search.step_judge import StepJudge
from capacity.search.step_record import step_record
from stampede.measure.log_linear_histogram import LogLinearHistogram
from stampede.measure.serialization import from_builtins
from stampede.measure.snapshot import Snapshot

if TYPE_CHECKING:
    from capacity.measure.client_window import ClientWindow
    from capacity.measure.server_window import ServerWindow
    from capacity.search.step_measurement import StepMeasurement

TICK_S = 0.01
STARTING_S = 0.1


@dataclass
class World:
    """A simulated generator and server: each user expects one delivery a second, the server makes `rate` a second.

    Attributes:
        coming: cost of a joining user, in deliveries; `toil`: the remaining cost of those that joined.
        cold_s: extra latency after users joined, which decays within seconds.
        slow_s: duration of the next response.
        lost_at: when the generator loses a worker.
        admitted: users that the server admits.
        ports: local ports of the generator; users without one retry each second.
    """

    rate: float
    coming: float = 0.0
    toil: float = 0.0
    cold_s: float = 0.0
    slow_s: float = 0.0
    grew_at: float = -1e9
    now: float = 0.0
    users: int = 0
    admitted: int = 10**9
    ports: int = 10**9
    faults: float = 0.0
    queue: float = 0.0
    expected: float = 0.0
    received: float = 0.0
    latency: LogLinearHistogram = field(default_factory=LogLinearHistogram)
    gone: bool = False
    lived: list[ClientWindow] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    lost_at: float = math.inf

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        for _ in range(max(1, round(seconds / TICK_S))):
            due = self.users * TICK_S
            self.queue += due
            self.expected += due
            share = min(1.0, self.rate * TICK_S / (self.queue + self.toil)) if due else 0.0
            served = self.queue * share
            self.toil -= self.toil * share
            self.queue -= served
            self.received += served
            cold = self.cold_s * math.exp(self.grew_at - self.now)
            waited_ns = int(((self.queue + self.toil) / self.rate + 0.002 + cold) * 1e9)
            for _ in range(round(served)):
                self.latency.record(waited_ns)
            self.faults += max(0, self.users - self.ports) * TICK_S
            self.now += TICK_S

    def set_users(self, users: int) -> None:
        self.toil += max(0, users - self.users) * self.coming
        if users > self.users:
            self.grew_at = self.now
        self.users = users
        self.asked.append(users)

    def restore_workers(self) -> bool:
        was_lost, self.lost_at = self.now > self.lost_at, math.inf
        self.users = 0 if was_lost else self.users
        return was_lost

    def snapshot(self) -> Snapshot:
        if self.now > self.lost_at:
            raise LostWorkerError("load generator worker 1 on b", "ended")
        slow_s, self.slow_s = self.slow_s, 0.0
        if slow_s:
            self.sleep(slow_s)
        name = "w" if self.now > STARTING_S else "starting"
        sparse = self.latency.to_sparse()
        empty: dict[str, Any] = {"total": 0, "buckets": {}}
        ready = min(self.users, self.admitted, self.ports)
        worker = {
            "id": name, "pid": 1, "index": 0, "users": self.users, "cpu_seconds": self.now / 2,
            "loop_lag": empty, "send_lag": empty, "rss_bytes": 1, "age_s": 0.0, "problems": [],
        }  # fmt: skip
        return from_builtins(
            {
                "version": 1,
                "state": "running",
                "monotonic_ns": int(self.now * 1e9),
                "users": self.users,
                "connections": 0 if self.gone else ready,
                "ready": ready,
                "sends": {"intended": int(self.expected), "sent": int(self.expected), "late": 0, "skipped": 0},
                "deliveries": {
                    "expected": int(self.expected), "received": int(self.received),
                    "lost": 0, "duplicated": 0, "reordered": 0,
                },
                "latency": {"intended": sparse, "sent": sparse},
                "requests": {"WS send": {"count": int(self.expected), "failures": 0}},
                "rooms": 1,
                "loop_lag": empty,
                "drops": {},
                "resynced_by_pong": 0,
                "unconfirmed_joins": 0,
                "resync": empty,
                "send_lag": empty,
                "workers": [worker],
                "faults": [{"kind": "local ports", "detail": "", "count": int(self.faults)}] if self.faults else [],
            },
            Snapshot,
        )  # fmt: skip

    def sample(self) -> ServerSample:
        return ServerSample(at_s=self.now, cpu_seconds=self.now)

    def check(self) -> None:
        pass

    def check_listening(self) -> None:
        raise RunError("the server is gone")

    def phase(self, name: str, seconds: float) -> None:
        self.phases.append(name)

    def live(self, client: ClientWindow, server: ServerWindow) -> None:
        self.lived.append(client)

    def runner(self) -> StepRunner:
        return StepRunner(self, self, self, settle_s=3.0, window_s=6.0, clock=self.clock, sleep=self.sleep)


def p99_ms(measured: StepMeasurement) -> float:
    assert measured.client is not None
    value = quantile_ms(measured.client.latency.intended, 0.99)
    assert value is not None
    return value


def test_a_steady_server_is_measured_over_exactly_the_window() -> None:
    world = World(rate=20_000)
    measured = world.runner().measure(5000)
    assert measured.client is not None
    assert measured.client.seconds == pytest.approx(6.0, abs=0.05)
    assert measured.client.deliveries.received / measured.client.seconds == pytest.approx(5000, rel=0.02)
    assert measured.server.cpu == pytest.approx(1.0)
    assert p99_ms(measured) < 10


def test_a_slow_first_response_does_not_shorten_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(rate=20_000)
    settle = StepRunner.hold

    def hold(runner: StepRunner, users: int) -> bool:
        steady = settle(runner, users)
        world.slow_s = 0.9
        return steady

    monkeypatch.setattr(StepRunner, "hold", hold)
    measured = world.runner().measure(5000)
    assert measured.client is not None
    assert measured.client.seconds == pytest.approx(6.0, abs=0.05)


def test_settling_ends_as_soon_as_it_is_steady() -> None:
    measured = World(rate=20_000).runner().measure(5000)
    assert measured.settle_s <= 4.5


def test_an_overloaded_level_is_measured_after_the_settling_time_and_shows_its_latency() -> None:
    measured = World(rate=5000).runner().measure(6000)
    assert measured.settle_s <= 10.0
    assert p99_ms(measured) > 1000


def test_the_backlog_of_a_failing_level_does_not_affect_the_next() -> None:
    world = World(rate=6000)
    runner = world.runner()
    assert p99_ms(runner.measure(7500)) > 1000
    recovered = runner.measure(5000)
    assert p99_ms(recovered) < 10
    assert recovered.settle_s > 3.0


def test_a_backlog_that_grows_so_slowly_that_it_seems_steady_does_not_affect_the_next_level() -> None:
    runner = World(rate=6000).runner()
    for _ in range(2):
        assert p99_ms(runner.measure(6200)) > 250
        runner.note_verdict(6200, Verdict.FAIL)
    assert p99_ms(runner.measure(5900)) < 10


def test_a_lower_level_after_a_fail_without_a_backlog_needs_no_recovery() -> None:
    world = World(rate=6000)
    runner = world.runner()
    runner.measure(5900)
    runner.note_verdict(5900, Verdict.FAIL)  # only its highest latencies missed an SLO, say
    world.asked.clear()
    assert p99_ms(runner.measure(5000)) < 10
    assert world.asked == [5000]


def test_a_backlog_that_drains_while_deliveries_keep_pace_needs_a_recovery() -> None:
    world = World(rate=6000)
    runner = world.runner()
    runner.measure(5800)
    world.queue = 12_000  # two seconds of deliveries; the queue shrinks by 200 a second
    assert p99_ms(runner.measure(5800)) > 1000
    runner.note_verdict(5800, Verdict.FAIL)
    assert p99_ms(runner.measure(5700)) < 10


def test_a_fail_of_users_that_did_not_join_needs_a_recovery() -> None:
    world = World(rate=6000, admitted=400)
    runner = world.runner()
    runner.measure(500)
    runner.note_verdict(500, Verdict.FAIL)
    world.asked.clear()
    runner.measure(300)
    assert world.asked[0] == 1


def test_a_lower_level_after_an_overload_is_approached_from_below() -> None:
    world = World(rate=6000)
    runner = world.runner()
    runner.measure(7500)
    asked_before = len(world.asked)
    runner.measure(5000)
    assert world.asked[asked_before:] == [1, *portions(1, 5000)]


def test_a_lower_level_after_a_steady_one_needs_no_recovery() -> None:
    world = World(rate=20_000)
    runner = world.runner()
    runner.measure(5000)
    runner.measure(4000)
    assert world.asked == [*portions(0, 5000), 4000]


def test_a_server_is_measured_after_its_warm_up() -> None:
    measured = World(rate=20_000, cold_s=2.0).runner().measure(5000)
    assert p99_ms(measured) < 250


def test_the_cost_of_joining_does_not_appear_as_latency() -> None:
    world = World(rate=10_000, coming=2.0)
    world.set_users(9700)  # at once: the server has almost no reserve for the backlog
    world.sleep(20.0)
    assert world.queue / world.rate > 1
    world = World(rate=10_000, coming=2.0)
    measured = world.runner().measure(9700)
    assert p99_ms(measured) < 150
    assert measured.settle_s < 20


def test_a_level_that_passed_needs_no_recovery_even_if_it_never_became_steady() -> None:
    world = World(rate=6000)
    runner = world.runner()
    runner.measure(6200)
    world.queue = 0
    runner.note_verdict(6200, Verdict.PASS)
    world.asked.clear()
    runner.measure(6200)
    assert world.asked == [6200]


def test_recovery_is_bounded() -> None:
    world = World(rate=6000)
    runner = world.runner()
    world.queue = 10**6
    assert runner.measure(5000).settle_s <= 20


def test_users_that_never_join_do_not_delay_the_run() -> None:
    world = World(rate=20_000, admitted=400)
    measured = world.runner().measure(500)
    assert measured.client is not None
    assert measured.client.ready == 400
    assert measured.settle_s < 20


def test_a_server_that_has_ended_ends_the_step() -> None:
    world = World(rate=20_000, gone=True)
    with pytest.raises(RunError, match="gone"):
        world.runner().measure(100)


def test_the_observer_gets_phases_and_live_figures() -> None:
    world = World(rate=20_000)
    world.runner().measure(100)
    assert world.phases == ["ramping up", "settling", "measuring"]
    assert len(world.lived) >= 7


def faults_of(measured: StepMeasurement) -> int:
    assert measured.client is not None
    return sum(fault.count for fault in measured.client.faults)


def test_a_generator_fault_ends_the_ramp_because_the_level_is_invalid_already() -> None:
    world = World(rate=10_000, ports=300)
    runner = world.runner()
    runner.measure(200)
    began = world.now
    over = runner.measure(400)
    assert faults_of(over) > 0
    assert over.client is not None
    assert over.client.users == world.asked[-1] == 400
    assert world.now - began < 10  # the timeout of a ramp is 11 s


def test_generator_faults_count_in_their_own_step_only() -> None:
    world = World(rate=20_000, ports=300)
    runner = world.runner()
    assert faults_of(runner.measure(200)) == 0
    before = world.faults
    over = runner.measure(400)
    assert faults_of(over) == pytest.approx(world.faults - before, abs=2)  # including the ramp
    assert faults_of(runner.measure(400)) > 0
    assert faults_of(runner.measure(250)) == 0


def test_a_step_that_loses_a_worker_is_invalid_by_name_and_its_repetition_starts_from_no_users() -> None:
    world = World(rate=20_000)
    runner = world.runner()
    assert runner.measure(400).client is not None
    assert runner.restore_workers() == 0.0
    world.lost_at = world.now + 2.0
    lost = runner.measure(800)
    assert (lost.client, lost.lost_worker, lost.problem) == (
        None,
        "load generator worker 1 on b",
        "load generator worker 1 on b ended",
    )
    judgement = StepJudge((), 6.0).judge(lost, 800)
    assert (judgement.verdict, judgement.reasons[0].signal) == ("invalid", LOST_WORKER)
    record = step_record(
        users=800, purpose=Purpose.RAMP, judgement=judgement, started_s=0.0, settle_s=lost.settle_s, client=None,
        server=lost.server,
    )  # fmt: skip
    assert record.invalid_workers == ["load generator worker 1 on b"]
    assert record.has_lost_worker
    runner.restore_workers()
    world.asked.clear()
    assert runner.measure(800).client is not None
    assert world.asked == list(portions(0, 800))
