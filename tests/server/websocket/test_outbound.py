"""A peer that does not keep up: what waits for it, and when it is given up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from server.chat.member import CLOSED, SENT, SLOW
from server.errors import CloseReason
from server.stats import ServerStats
from server.websocket.outbound import Sending

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from server.http.listener import Gate

SOFT = 100
HARD = 1000
SLOW_SECONDS = 10.0


class Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """An event loop whose time passes when a test says so."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []
        self.delays: list[float] = []  # of those timers, in seconds
        self.soon: list[Callable[[], None]] = []

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        self.delays.append(seconds)
        self.timers.append(Timer(callback))
        return self.timers[-1]

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def run_soon(self) -> None:
        while self.soon:
            self.soon.pop(0)()

    def let_timers_fire(self) -> None:
        for timer in self.timers:
            if not timer.is_cancelled:
                timer.cancel()
                timer.callback()


class Transport:
    """A transport that tells its protocol, as uvloop does within `write`, when more than the soft limit is unsent."""

    protocol: Sending

    def __init__(self) -> None:
        self.written = b""
        self.unsent = 0
        self.is_paused = False
        self.closing = False

    def write(self, data: bytes) -> None:
        self.written += data
        self.unsent += len(data)
        if self.unsent > SOFT and not self.is_paused:
            self.is_paused = True
            self.protocol.pause_writing()

    def drain(self) -> None:
        """Let the peer read all that is unsent."""
        self.unsent = 0
        if self.is_paused:
            self.is_paused = False
            self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closing


class Peer(Sending):
    """The sending half alone; notes why it was closed."""

    reasons: list[CloseReason]
    texts: list[str]

    def close(self, reason: CloseReason, text: str = "") -> None:
        self.reasons.append(reason)
        self.texts.append(text)
        self._open = self._writable = False


class World:
    """One peer, or another beside it that shares its counters and its loop."""

    def __init__(self, slow_timeout: float = SLOW_SECONDS, hard_limit: int = HARD, beside: World | None = None) -> None:
        self.stats: ServerStats = beside.stats if beside else ServerStats()
        self.loop: Loop = beside.loop if beside else Loop()
        self.transport = Transport()
        settings = SimpleNamespace(slow_timeout=slow_timeout, buffer_hard_limit=hard_limit)
        gate: Any = SimpleNamespace(services=SimpleNamespace(stats=self.stats, settings=settings), loop=self.loop)
        self.peer = Peer(cast("Gate", gate), cast("asyncio.Transport", self.transport))
        self.peer.reasons, self.peer.texts = [], []
        self.transport.protocol = self.peer

    def fall_behind(self) -> None:
        before = self.stats.slow_consumers
        assert self.peer.write(b"x" * (SOFT + 1)) == SENT
        assert self.peer.write(b"late") == SLOW
        assert self.stats.slow_consumers == before + 1


@pytest.fixture
def world() -> World:
    return World()


def test_a_peer_that_stays_behind_is_given_up(world: World) -> None:
    world.fall_behind()
    world.loop.let_timers_fire()
    assert world.peer.reasons == [CloseReason.SLOW_CONSUMER]
    assert world.stats.slow_consumer_kills == 1


def test_a_peer_that_caught_up_survives_the_slow_timeout(world: World) -> None:
    world.fall_behind()
    world.transport.drain()
    assert world.stats.slow_consumers == 0
    world.loop.let_timers_fire()
    assert (world.peer.reasons, world.stats.slow_consumer_kills) == ([], 0)
    world.peer._cancel_timer()  # as when the connection ends: there is none any more
    assert world.peer.write(b"on time") == SENT
    assert world.transport.written.endswith(b"on time")


def test_a_peer_that_falls_behind_again_has_all_of_the_slow_timeout_again(world: World) -> None:
    world.fall_behind()
    world.transport.drain()
    world.fall_behind()
    assert [timer.is_cancelled for timer in world.loop.timers] == [True, False]
    world.loop.let_timers_fire()
    assert world.peer.reasons == [CloseReason.SLOW_CONSUMER]


def test_a_peer_whose_backlog_fills_the_transport_again_is_still_slow(world: World) -> None:
    world.fall_behind()
    for _ in range(4):
        assert world.peer.enqueue(b"y" * SOFT) == SENT
    world.transport.drain()  # hands over the backlog, which is too much again
    assert world.transport.written.endswith(b"y" * 4 * SOFT)
    assert world.peer.write(b"late") == SLOW
    assert world.stats.slow_consumers == 1
    assert [timer.is_cancelled for timer in world.loop.timers] == [False], "the time runs from when it fell behind"
    world.loop.let_timers_fire()
    assert world.peer.reasons == [CloseReason.SLOW_CONSUMER]


def test_what_waits_is_handed_over_once_and_in_order(world: World) -> None:
    world.fall_behind()
    for frame in (b"<1>", b"<2>"):
        assert world.peer.enqueue(frame) == SENT
    assert b"<" not in world.transport.written
    world.transport.drain()
    world.transport.drain()
    assert world.peer.write(b"<3>") == SENT
    assert world.transport.written == b"x" * (SOFT + 1) + b"<1><2><3>"
    assert world.stats.sent_bytes == len(world.transport.written)


def test_a_peer_above_the_hard_limit_is_given_up_but_not_at_once(world: World) -> None:
    world.fall_behind()
    assert world.peer.enqueue(b"y" * (HARD - SOFT - 1)) == SENT
    assert world.peer.enqueue(b"z") == SLOW
    assert world.peer.reasons == [], "whoever writes may be walking through a room"
    world.loop.run_soon()
    assert world.peer.reasons == [CloseReason.SLOW_CONSUMER]
    assert world.peer.enqueue(b"z") == world.peer.write(b"z") == CLOSED


def test_a_transport_that_is_closing_takes_nothing(world: World) -> None:
    world.transport.closing = True
    assert world.peer.write(b"x") == world.peer.enqueue(b"x") == CLOSED
    assert (world.transport.written, world.stats.sent_bytes) == (b"", 0)


def test_peers_that_are_behind_are_counted_one_by_one(world: World) -> None:
    other = World(beside=world)
    world.fall_behind()
    other.fall_behind()
    assert world.loop.delays == [SLOW_SECONDS, SLOW_SECONDS]
    other.peer.pause_writing()  # it is behind already
    assert (world.stats.slow_consumers, len(world.loop.timers)) == (2, 2)
    world.transport.drain()
    assert world.stats.slow_consumers == 1
    world.fall_behind()
    world.loop.let_timers_fire()
    assert world.stats.slow_consumer_kills == 2
    assert world.peer.texts == other.peer.texts == ["too slow"]


def test_without_a_slow_timeout_a_peer_may_stay_behind() -> None:
    patient = World(slow_timeout=0)
    patient.fall_behind()
    assert patient.loop.timers == []
    patient.transport.drain()
    assert patient.stats.slow_consumers == 0
    assert patient.peer.write(b"on time") == SENT


def test_without_a_hard_limit_anything_may_wait() -> None:
    world = World(hard_limit=0)
    world.fall_behind()
    assert world.peer.enqueue(b"y" * 10 * HARD) == SENT
    assert world.loop.soon == []


def test_the_hard_limit_counts_all_that_is_unsent(world: World) -> None:
    world.fall_behind()
    for _ in range(2):
        assert world.peer.enqueue(b"y" * 400) == SENT
    assert world.peer.enqueue(b"y" * (HARD - SOFT - 1 - 800)) == SENT
    assert world.peer.enqueue(b"z") == SLOW


def test_a_peer_that_is_to_be_given_up_is_written_nothing_more(world: World) -> None:
    assert world.peer.enqueue(b"y" * (HARD + 1)) == SLOW
    assert world.peer.write(b"z") == SLOW
    assert world.transport.written == b""


def test_a_peer_is_given_up_once(world: World) -> None:
    world.fall_behind()
    for _ in range(2):
        assert world.peer.enqueue(b"y" * HARD) == SLOW
    world.loop.run_soon()
    world.loop.let_timers_fire()
    assert (world.peer.reasons, world.stats.slow_consumer_kills) == ([CloseReason.SLOW_CONSUMER], 1)


def test_a_peer_that_was_closed_is_not_counted_as_slow(world: World) -> None:
    world.peer.close(CloseReason.DRAIN)
    world.peer.pause_writing()
    assert (world.stats.slow_consumers, world.loop.timers) == (0, [])
    world.peer.resume_writing()
    assert world.peer.write(b"x") == CLOSED


def test_what_waits_for_a_closed_peer_is_still_handed_over_but_not_to_a_closing_transport(world: World) -> None:
    world.fall_behind()
    world.peer.enqueue(b"<1>")
    world.transport.closing = True
    world.peer.resume_writing()
    assert not world.transport.written.endswith(b"<1>")
    world.transport.closing = False
    world.peer.close(CloseReason.DRAIN)
    world.peer.resume_writing()
    assert world.transport.written.endswith(b"<1>")
    assert world.peer.write(b"x") == CLOSED


def test_a_peer_that_falls_behind_again_waits_again(world: World) -> None:
    for frame in (b"<1>", b"<2>"):
        world.transport.written = b""
        world.fall_behind()
        assert world.peer.enqueue(frame) == SENT
        world.transport.drain()
        assert world.transport.written == b"x" * (SOFT + 1) + frame


def test_all_bytes_are_counted_however_they_go_out(world: World) -> None:
    other = World(beside=world)
    world.peer.write(b"1")
    world.peer.write(b"22")
    world.fall_behind()
    world.peer.enqueue(b"333")
    world.peer.enqueue(b"4444")
    assert other.peer.write(b"55555") == SENT
    assert world.peer._bytes_out == 10 + SOFT + 1
    assert other.peer._bytes_out == 5
    assert world.stats.sent_bytes == 15 + SOFT + 1


def test_a_ping_is_timed_only_when_it_was_sent(world: World) -> None:
    assert world.peer._ping_sent_at == 0.0, "no pong is waited for"
    world.peer.ping(5.0)
    assert world.transport.written == b"\x89\x08stampede"
    assert world.peer._ping_sent_at == 5.0
    world.fall_behind()
    world.peer.ping(6.0)
    assert world.peer._ping_sent_at == 5.0
