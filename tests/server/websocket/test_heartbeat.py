"""The timing wheel pings each client at its interval and expires only silent clients, at their timeout."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.chat.member import SENT, SLOW
from server.stats import ServerStats
from server.websocket.heartbeat import PING_PAYLOAD, STALL_SECONDS, HeartbeatWheel

if TYPE_CHECKING:
    from server.chat.member import WriteResult


class MonitoredClient:
    """Collects the frames that the wheel writes, and the times of pings."""

    def __init__(self) -> None:
        self.inbound: Any = SimpleNamespace(last_received_at=0.0, resumed_at=0.0)
        self.ping_due = 0.0
        self.wheel_slot = 0
        self.is_slow = False
        self.written: list[bytes] = []
        self.pings: list[float] = []
        self.ping_sent_at = 0.0
        self.expired = False

    @property
    def ping_sent_at(self) -> float:
        return self._ping_sent_at

    @ping_sent_at.setter
    def ping_sent_at(self, now: float) -> None:
        self._ping_sent_at = now
        if now:
            self.pings.append(now)

    def write(self, data: bytes) -> WriteResult:
        self.written.append(data)
        return SLOW if self.is_slow else SENT

    def expire(self) -> None:
        self.expired = True


def run(wheel: HeartbeatWheel, start: float, seconds: float, active: dict[MonitoredClient, float]) -> float:
    """Advance the wheel step by step; each active client sends data at its own interval in seconds."""
    steps = round(seconds / wheel.resolution)
    for step in range(1, steps + 1):
        now = start + step * wheel.resolution
        for client, pause in active.items():
            if now - client.inbound.last_received_at >= pause and not client.expired:
                client.inbound.last_received_at = now
        wheel.advance(now)
    return start + steps * wheel.resolution


def test_an_active_client_is_pinged_each_interval_and_never_expired() -> None:
    stats = ServerStats()
    wheel = HeartbeatWheel(30.0, 35.0, 100.0, stats)
    client = MonitoredClient()
    wheel.add(client, 100.0, phase=0.5)
    run(wheel, 100.0, 300, {client: 5.0})
    gaps = [b - a for a, b in zip(client.pings, client.pings[1:], strict=False)]
    assert client.pings[0] == pytest.approx(115, abs=2 * wheel.resolution)
    assert all(gap == pytest.approx(30, abs=2 * wheel.resolution) for gap in gaps)
    assert stats.heartbeat_pings == len(client.pings) == 10
    assert not client.expired


@given(st.floats(0, 1), st.floats(0.5, 40), st.floats(0.5, 60))
def test_a_silent_client_is_expired_at_its_timeout(phase: float, interval: float, timeout: float) -> None:
    stats = ServerStats()
    wheel = HeartbeatWheel(interval, timeout, 0.0, stats)
    client = MonitoredClient()
    wheel.add(client, 0.0, phase)
    now = 0.0
    while not client.expired:
        now += wheel.resolution
        wheel.advance(now)
        assert now < timeout + 3 * wheel.resolution
    assert now >= timeout
    assert stats.heartbeat_kills == 1


def test_the_first_advance_after_a_stall_expires_no_client() -> None:
    wheel = HeartbeatWheel(30.0, 35.0, 0.0, ServerStats())
    awake, silent = MonitoredClient(), MonitoredClient()
    wheel.add(awake, 0.0, 0.1)
    wheel.add(silent, 0.0, 0.9)
    wheel.advance(120.0)  # the machine was suspended for two minutes
    assert [awake.expired, silent.expired] == [False, False]
    awake.inbound.last_received_at = 120.0  # its data was waiting unread
    run(wheel, 120.0, 1.0, {})
    assert [awake.expired, silent.expired] == [False, True]


def test_after_a_stall_each_client_is_pinged_once_and_then_each_interval_again() -> None:
    stats = ServerStats()
    wheel = HeartbeatWheel(1.0, 0.0, 0.0, stats)
    clients = [MonitoredClient() for _ in range(10)]
    for number, client in enumerate(clients):
        wheel.add(client, 0.0, number / 10)
    wheel.advance(100.0)  # the machine was suspended for a hundred intervals
    assert [client.pings for client in clients] == [[100.0]] * 10
    now = run(wheel, 100.0, 0.9, {})
    assert stats.heartbeat_pings == 10, "missed pings are not repeated"
    run(wheel, now, 0.2, {})
    assert stats.heartbeat_pings == 20


def test_zero_turns_pings_and_expiry_off() -> None:
    stats = ServerStats()
    wheel = HeartbeatWheel(0.0, 0.0, 0.0, stats)
    client = MonitoredClient()
    wheel.add(client, 0.0, 0.5)
    run(wheel, 0.0, 500, {})
    assert client.pings == []
    assert not client.expired


def test_without_a_timeout_pings_continue() -> None:
    wheel = HeartbeatWheel(1.0, 0.0, 0.0, ServerStats())
    client = MonitoredClient()
    wheel.add(client, 0.0, 0.0)
    run(wheel, 0.0, 100, {})
    assert len(client.pings) >= 95


def test_a_discarded_client_gets_no_pings_and_does_not_expire() -> None:
    stats = ServerStats()
    wheel = HeartbeatWheel(1.0, 2.0, 0.0, stats)
    client = MonitoredClient()
    wheel.add(client, 0.0, 0.3)
    wheel.discard(client)
    run(wheel, 0.0, 10, {})
    assert (client.pings, stats.heartbeat_kills) == ([], 0)


def test_a_failing_ping_removes_no_other_client_from_the_wheel() -> None:
    class Broken(MonitoredClient):
        def write(self, data: bytes) -> WriteResult:
            super().write(data)
            raise RuntimeError

    wheel = HeartbeatWheel(1.0, 0.0, 0.0, ServerStats())
    clients: list[MonitoredClient] = [MonitoredClient(), Broken(), MonitoredClient()]
    for client in clients:
        wheel.add(client, 0.0, 0.5)
    for step in range(1, 1 + round(10 / wheel.resolution)):
        with contextlib.suppress(RuntimeError):
            wheel.advance(step * wheel.resolution)
    assert [len(client.written) >= 9 for client in clients] == [True] * 3


def test_a_ping_is_observed_once_however_many_pongs_arrive() -> None:
    stats = ServerStats()
    wheel = HeartbeatWheel(30.0, 35.0, 0.0, stats)
    client = MonitoredClient()
    wheel.receive_pong(client, PING_PAYLOAD, 5.0)
    assert sum(stats.ping_rtt.counts) == 0, "no ping was sent"
    wheel.send_ping(client, 10.0)
    wheel.receive_pong(client, b"something else", 11.0)
    assert sum(stats.ping_rtt.counts) == 0
    for now in (12.0, 13.0, 14.0):
        wheel.receive_pong(client, PING_PAYLOAD, now)
    assert (sum(stats.ping_rtt.counts), stats.ping_rtt.total) == (1, 2.0), "measured from ping to pong"
    wheel.send_ping(client, 20.0)
    wheel.receive_pong(client, PING_PAYLOAD, 20.5)
    assert (sum(stats.ping_rtt.counts), stats.ping_rtt.total) == (2, 2.5)


def test_a_ping_is_timed_only_if_it_was_written() -> None:
    wheel = HeartbeatWheel(30.0, 35.0, 0.0, ServerStats())
    client = MonitoredClient()
    wheel.send_ping(client, 5.0)
    assert client.written == [b"\x89\x08stampede"]
    client.is_slow = True
    wheel.send_ping(client, 6.0)
    assert client.ping_sent_at == 5.0


def test_a_round_trip_during_which_reading_was_paused_is_not_observed() -> None:
    stats = ServerStats()
    wheel = HeartbeatWheel(30.0, 35.0, 0.0, stats)
    client = MonitoredClient()
    wheel.send_ping(client, 5.0)
    client.inbound.resumed_at = 6.0  # the pong may have waited unread
    wheel.receive_pong(client, PING_PAYLOAD, 7.0)
    assert sum(stats.ping_rtt.counts) == 0
    wheel.send_ping(client, 8.0)
    wheel.receive_pong(client, PING_PAYLOAD, 9.0)
    assert stats.ping_rtt.total == 1.0


class CountingStream:
    """Counts reads of `last_received_at`: two for each check by the wheel, and one for `add`."""

    resumed_at = 0.0

    def __init__(self) -> None:
        self.reads = 0
        self._last_received_at = 0.0

    @property
    def last_received_at(self) -> float:
        self.reads += 1
        return self._last_received_at

    @last_received_at.setter
    def last_received_at(self, now: float) -> None:
        self._last_received_at = now


class CountingClient(MonitoredClient):
    """Counts how often the wheel reads when data was last received."""

    def __init__(self) -> None:
        super().__init__()
        self.inbound = CountingStream()

    @property
    def reads(self) -> int:
        count: int = self.inbound.reads
        return count


@pytest.mark.parametrize(
    ("interval", "timeout", "resolution"),
    [(30, 35, 0.25), (2.5, 35, 0.125), (30, 2.5, 0.125), (0, 2.5, 0.125), (2.5, 0, 0.125), (0, 0, 0.25)],
)
def test_the_resolution_is_a_twentieth_of_the_shortest_time_up_to_a_quarter_second(
    interval: float, timeout: float, resolution: float
) -> None:
    assert HeartbeatWheel(interval, timeout, 0.0, ServerStats()).resolution == resolution


def test_the_first_ping_is_sent_at_the_phase_and_the_others_each_interval() -> None:
    stats = ServerStats()
    wheel = HeartbeatWheel(5.0, 0.0, 100.0, stats)
    phases = [0.0, 0.5, 1.0]
    clients = [MonitoredClient() for _ in phases]
    for client, phase in zip(clients, phases, strict=True):
        wheel.add(client, 100.0, phase)
    run(wheel, 100.0, 10.5, {})
    assert [client.pings for client in clients] == [[100.25, 105.25, 110.25], [102.5, 107.5], [105.0, 110.0]]
    assert stats.heartbeat_pings == 7


@pytest.mark.parametrize("interval", [0.0, 5.0, 500.0])
def test_silent_clients_expire_exactly_at_their_timeout(interval: float) -> None:
    stats = ServerStats()
    wheel = HeartbeatWheel(interval, 7.5, 100.0, stats)
    silent, late = MonitoredClient(), MonitoredClient()
    wheel.add(silent, 100.0, phase=0.0)
    wheel.add(late, 100.0, phase=0.0)
    late.inbound.last_received_at = 101.25
    run(wheel, 100.0, 7.25, {})
    assert (silent.expired, late.expired) == (False, False)
    wheel.advance(107.5)
    assert (silent.expired, late.expired, stats.heartbeat_kills) == (True, False, 1)
    run(wheel, 107.5, 1.25, {})
    assert (late.expired, stats.heartbeat_kills) == (True, 2)


@pytest.mark.parametrize(("gap", "is_stall"), [(STALL_SECONDS, False), (STALL_SECONDS + 0.25, True)])
def test_only_a_pause_above_the_stall_time_delays_expiry(gap: float, *, is_stall: bool) -> None:
    wheel = HeartbeatWheel(0.0, 35.0, 0.0, ServerStats())
    silent = MonitoredClient()
    wheel.add(silent, 0.0, 0.0)
    run(wheel, 0.0, 35.0 - gap, {})
    wheel.advance(35.0)
    assert silent.expired is not is_stall
    wheel.advance(35.25)
    assert silent.expired


def test_a_client_is_checked_only_when_a_ping_may_be_due() -> None:
    wheel = HeartbeatWheel(5.0, 0.0, 100.0, ServerStats())
    client = CountingClient()
    wheel.add(client, 100.0, phase=1.0)
    run(wheel, 100.0, 50.0, {})
    assert (len(client.pings), client.reads) == (10, 2 * 10 + 1)


def test_a_client_with_nothing_due_is_checked_once_a_turn_of_the_wheel() -> None:
    wheel = HeartbeatWheel(0.0, 0.0, 100.0, ServerStats())
    client = CountingClient()
    wheel.add(client, 100.0, phase=0.0)
    run(wheel, 100.0, 50.0, {})
    assert client.reads == 2 * 100 + 1, "the wheel has three slots; the client is in the last one"


def test_an_active_client_is_checked_once_a_timeout() -> None:
    wheel = HeartbeatWheel(0.0, 10.0, 100.0, ServerStats())
    client = CountingClient()
    wheel.add(client, 100.0, phase=0.0)
    before = client.reads
    for step in range(1, 1 + round(100.0 / wheel.resolution)):
        client.inbound.last_received_at = now = 100.0 + step * wheel.resolution
        wheel.advance(now)
    assert (client.expired, client.reads - before) == (False, 2 * 10)
