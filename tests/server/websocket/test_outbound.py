"""The write buffer of a connection: its backlog, its limits, and when a slow consumer is closed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from server.chat.member import CLOSED, SENT, SLOW
from server.stats import ServerStats
from server.websocket.outbound import OutboundBuffer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from server.websocket.context import ServerContext

SOFT = 100
HARD = 1000
SLOW_SECONDS = 10.0


class FakeTimer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class FakeLoop:
    """An event loop whose timers fire when the test says so."""

    def __init__(self) -> None:
        self.timers: list[FakeTimer] = []
        self.delays: list[float] = []  # of those timers, in seconds
        self.soon: list[Callable[[], None]] = []

    def call_later(self, seconds: float, callback: Callable[[], None]) -> FakeTimer:
        self.delays.append(seconds)
        self.timers.append(FakeTimer(callback))
        return self.timers[-1]

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def run_soon(self) -> None:
        while self.soon:
            self.soon.pop(0)()

    def fire_timers(self) -> None:
        for timer in self.timers:
            if not timer.is_cancelled:
                timer.cancel()
                timer.callback()


class FakeTransport:
    """A transport that pauses writing inside `write`, as uvloop's does, when more than the soft limit is unsent."""

    buffer: OutboundBuffer

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
            self.buffer.pause_writing()

    def drain(self) -> None:
        """Let the peer read all that is unsent."""
        self.unsent = 0
        if self.is_paused:
            self.is_paused = False
            self.buffer.resume_writing()

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closing


class World:
    """One buffer; with `beside`, it shares the counters and the loop of another."""

    def __init__(self, slow_timeout: float = SLOW_SECONDS, hard_limit: int = HARD, beside: World | None = None) -> None:
        self.stats: ServerStats = beside.stats if beside else ServerStats()
        self.loop: FakeLoop = beside.loop if beside else FakeLoop()
        self.transport = FakeTransport()
        self.closed = 0
        settings = SimpleNamespace(slow_timeout=slow_timeout, buffer_hard_limit=hard_limit)
        context: Any = SimpleNamespace(stats=self.stats, settings=settings, loop=self.loop)
        self.buffer = OutboundBuffer(
            cast("ServerContext", context), cast("asyncio.Transport", self.transport), self.close_slow
        )
        self.transport.buffer = self.buffer

    def close_slow(self) -> None:
        self.closed += 1
        self.buffer.close()

    def become_slow(self) -> None:
        before = self.stats.slow_consumers
        assert self.buffer.write(b"x" * (SOFT + 1)) is SENT
        assert self.buffer.write(b"late") is SLOW
        assert self.stats.slow_consumers == before + 1


@pytest.fixture
def world() -> World:
    return World()


def test_a_connection_that_stays_slow_is_closed(world: World) -> None:
    world.become_slow()
    world.loop.fire_timers()
    assert world.closed == 1
    assert world.stats.slow_consumer_kills == 1


def test_a_connection_that_caught_up_survives_the_slow_timeout(world: World) -> None:
    world.become_slow()
    world.transport.drain()
    assert world.stats.slow_consumers == 0
    world.loop.fire_timers()
    assert (world.closed, world.stats.slow_consumer_kills) == (0, 0)
    assert world.buffer.write(b"on time") is SENT
    assert world.transport.written.endswith(b"on time")


def test_a_connection_that_becomes_slow_again_has_the_whole_slow_timeout_again(world: World) -> None:
    world.become_slow()
    world.transport.drain()
    world.become_slow()
    assert [timer.is_cancelled for timer in world.loop.timers] == [True, False]
    world.loop.fire_timers()
    assert world.closed == 1


def test_a_connection_whose_backlog_exceeds_the_soft_limit_again_is_still_slow(world: World) -> None:
    world.become_slow()
    for _ in range(4):
        assert world.buffer.enqueue(b"y" * SOFT) is SENT
    world.transport.drain()  # writes the backlog, which exceeds the soft limit again
    assert world.transport.written.endswith(b"y" * 4 * SOFT)
    assert world.buffer.write(b"late") is SLOW
    assert world.stats.slow_consumers == 1
    assert [timer.is_cancelled for timer in world.loop.timers] == [False], "the timer started when it became slow"
    world.loop.fire_timers()
    assert world.closed == 1


def test_the_backlog_is_written_once_and_in_order(world: World) -> None:
    world.become_slow()
    for frame in (b"<1>", b"<2>"):
        assert world.buffer.enqueue(frame) is SENT
    assert b"<" not in world.transport.written
    world.transport.drain()
    world.transport.drain()
    assert world.buffer.write(b"<3>") is SENT
    assert world.transport.written == b"x" * (SOFT + 1) + b"<1><2><3>"
    assert world.stats.sent_bytes == len(world.transport.written)


def test_corked_frames_are_written_in_one_piece(world: World) -> None:
    world.buffer.cork(b"HTTP")
    assert world.buffer.write(b"<1>") is SLOW
    for frame in (b"<1>", b"<2>"):
        assert world.buffer.enqueue(frame) is SENT
    assert world.transport.written == b""
    world.buffer.uncork()
    assert world.transport.written == b"HTTP<1><2>"
    assert world.buffer.write(b"<3>") is SENT
    assert world.buffer.bytes_out == world.stats.sent_bytes == 9, "the response to the handshake is no frame"


def test_a_connection_above_the_hard_limit_is_closed_after_the_current_callback(world: World) -> None:
    world.become_slow()
    assert world.buffer.enqueue(b"y" * (HARD - SOFT - 1)) is SENT
    assert world.buffer.enqueue(b"z") is SLOW
    assert world.closed == 0, "the caller may be iterating over a room's members"
    world.loop.run_soon()
    assert world.closed == 1
    assert world.buffer.enqueue(b"z") == world.buffer.write(b"z") == CLOSED


def test_nothing_is_written_to_a_closing_transport(world: World) -> None:
    world.transport.closing = True
    assert world.buffer.write(b"x") == world.buffer.enqueue(b"x") == CLOSED
    assert (world.transport.written, world.stats.sent_bytes) == (b"", 0)


def test_each_slow_connection_is_counted_once(world: World) -> None:
    other = World(beside=world)
    world.become_slow()
    other.become_slow()
    assert world.loop.delays == [SLOW_SECONDS, SLOW_SECONDS]
    other.buffer.pause_writing()  # it is slow already
    assert (world.stats.slow_consumers, len(world.loop.timers)) == (2, 2)
    world.transport.drain()
    assert world.stats.slow_consumers == 1
    world.become_slow()
    world.loop.fire_timers()
    assert world.stats.slow_consumer_kills == 2
    assert (world.closed, other.closed) == (1, 1)
    assert world.stats.slow_consumers == 0


def test_without_a_slow_timeout_a_connection_may_stay_slow() -> None:
    world = World(slow_timeout=0)
    world.become_slow()
    assert world.loop.timers == []
    world.transport.drain()
    assert world.stats.slow_consumers == 0
    assert world.buffer.write(b"on time") is SENT


def test_without_a_hard_limit_the_backlog_may_have_any_size() -> None:
    world = World(hard_limit=0)
    world.become_slow()
    assert world.buffer.enqueue(b"y" * 10 * HARD) is SENT
    assert world.loop.soon == []


def test_the_hard_limit_counts_all_unsent_bytes(world: World) -> None:
    world.become_slow()
    for _ in range(2):
        assert world.buffer.enqueue(b"y" * 400) is SENT
    assert world.buffer.enqueue(b"y" * (HARD - SOFT - 1 - 800)) is SENT
    assert world.buffer.enqueue(b"z") is SLOW


def test_nothing_is_written_once_the_hard_limit_is_exceeded(world: World) -> None:
    assert world.buffer.enqueue(b"y" * (HARD + 1)) is SLOW
    assert world.buffer.write(b"z") is SLOW
    assert world.transport.written == b""


def test_a_connection_is_closed_once(world: World) -> None:
    world.become_slow()
    for _ in range(2):
        assert world.buffer.enqueue(b"y" * HARD) is SLOW
    world.loop.run_soon()
    world.loop.fire_timers()
    assert (world.closed, world.stats.slow_consumer_kills) == (1, 1)


def test_a_closed_connection_does_not_count_as_slow(world: World) -> None:
    world.buffer.close()
    world.buffer.pause_writing()
    assert (world.stats.slow_consumers, world.loop.timers) == (0, [])
    world.buffer.resume_writing()
    assert world.buffer.write(b"x") == CLOSED


def test_a_slow_connection_that_is_closed_counts_as_slow_no_longer(world: World) -> None:
    world.become_slow()
    world.buffer.close()
    assert world.stats.slow_consumers == 0
    world.loop.fire_timers()
    assert (world.closed, world.stats.slow_consumer_kills) == (0, 0)


def test_the_backlog_of_a_closed_connection_is_written_unless_the_transport_is_closing(world: World) -> None:
    world.become_slow()
    world.buffer.enqueue(b"<1>")
    world.transport.closing = True
    world.buffer.resume_writing()
    assert not world.transport.written.endswith(b"<1>")
    world.transport.closing = False
    world.buffer.close()
    world.buffer.resume_writing()
    assert world.transport.written.endswith(b"<1>")
    assert world.buffer.write(b"x") == CLOSED


def test_a_connection_that_becomes_slow_again_has_a_backlog_again(world: World) -> None:
    for frame in (b"<1>", b"<2>"):
        world.transport.written = b""
        world.become_slow()
        assert world.buffer.enqueue(frame) is SENT
        world.transport.drain()
        assert world.transport.written == b"x" * (SOFT + 1) + frame


def test_all_bytes_are_counted_whichever_way_they_are_sent(world: World) -> None:
    other = World(beside=world)
    world.buffer.write(b"1")
    world.buffer.write(b"22")
    world.become_slow()
    world.buffer.enqueue(b"333")
    world.buffer.enqueue(b"4444")
    assert other.buffer.write(b"55555") is SENT
    other.buffer.write_control(b"666666")
    assert world.buffer.bytes_out == 10 + SOFT + 1
    assert other.buffer.bytes_out == 11
    assert world.stats.sent_bytes == 21 + SOFT + 1
