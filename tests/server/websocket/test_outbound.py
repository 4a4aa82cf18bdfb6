"""The write buffer of a connection: its backlog, its limits, and when a slow consumer is closed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from server.chat.member import CLOSED, SENT, SLOW
from server.errors import CloseReason
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
    """An event loop whose timers fire only in `fire_timers`."""

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
        self.high = 0

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

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


class BufferHarness:
    """One buffer; with `beside`, it shares the counters and the loop of another."""

    def __init__(
        self,
        slow_timeout: float = SLOW_SECONDS,
        hard_limit: int = HARD,
        soft_limit: int = SOFT,
        beside: BufferHarness | None = None,
    ) -> None:
        self.stats: ServerStats = beside.stats if beside else ServerStats()
        self.loop: FakeLoop = beside.loop if beside else FakeLoop()
        self.transport = FakeTransport()
        self.closed = 0
        settings = SimpleNamespace(
            slow_timeout=slow_timeout, buffer_hard_limit=hard_limit, buffer_soft_limit=soft_limit
        )
        context: Any = SimpleNamespace(stats=self.stats, settings=settings, loop=self.loop)
        self.buffer = OutboundBuffer(
            cast("ServerContext", context), cast("asyncio.Transport", self.transport), self.close
        )
        self.transport.buffer = self.buffer

    def close(self, reason: CloseReason, text: str) -> None:
        assert (reason, text) == (CloseReason.SLOW_CONSUMER, "too slow")
        self.closed += 1
        self.buffer.close()

    def become_slow(self) -> None:
        before = self.stats.slow_consumers
        assert self.buffer.write(b"x" * (SOFT + 1)) is SENT
        assert self.buffer.write(b"late") is SLOW
        assert self.stats.slow_consumers == before + 1


@pytest.fixture
def harness() -> BufferHarness:
    return BufferHarness()


def test_a_connection_that_stays_slow_is_closed(harness: BufferHarness) -> None:
    harness.become_slow()
    harness.loop.fire_timers()
    assert harness.closed == 1
    assert harness.stats.slow_consumer_kills == 1


def test_a_connection_that_caught_up_survives_the_slow_timeout(harness: BufferHarness) -> None:
    harness.become_slow()
    harness.transport.drain()
    assert harness.stats.slow_consumers == 0
    harness.loop.fire_timers()
    assert (harness.closed, harness.stats.slow_consumer_kills) == (0, 0)
    assert harness.buffer.write(b"on time") is SENT
    assert harness.transport.written.endswith(b"on time")


def test_a_connection_that_becomes_slow_again_has_the_whole_slow_timeout_again(harness: BufferHarness) -> None:
    harness.become_slow()
    harness.transport.drain()
    harness.become_slow()
    assert [timer.is_cancelled for timer in harness.loop.timers] == [True, False]
    harness.loop.fire_timers()
    assert harness.closed == 1


def test_a_connection_whose_backlog_exceeds_the_soft_limit_again_is_still_slow(harness: BufferHarness) -> None:
    harness.become_slow()
    for _ in range(4):
        assert harness.buffer.enqueue(b"y" * SOFT) is SENT
    harness.transport.drain()  # writes the backlog, which exceeds the soft limit again
    assert harness.transport.written.endswith(b"y" * 4 * SOFT)
    assert harness.buffer.write(b"late") is SLOW
    assert harness.stats.slow_consumers == 1
    assert [timer.is_cancelled for timer in harness.loop.timers] == [False], "the timer started when it became slow"
    harness.loop.fire_timers()
    assert harness.closed == 1


def test_the_backlog_is_written_once_and_in_order(harness: BufferHarness) -> None:
    harness.become_slow()
    for frame in (b"<1>", b"<2>"):
        assert harness.buffer.enqueue(frame) is SENT
    assert b"<" not in harness.transport.written
    harness.transport.drain()
    harness.transport.drain()
    assert harness.buffer.write(b"<3>") is SENT
    assert harness.transport.written == b"x" * (SOFT + 1) + b"<1><2><3>"
    assert harness.stats.sent_bytes == len(harness.transport.written)


def test_the_response_and_the_first_frames_are_written_in_one_piece(harness: BufferHarness) -> None:
    harness.buffer.open(b"HTTP", b"<1><2>")
    assert harness.transport.written == b"HTTP<1><2>"
    assert harness.buffer.bytes_out == harness.stats.sent_bytes == 6, "the response to the handshake is no frame"


@pytest.mark.parametrize(
    ("soft_limit", "hard_limit", "high"), [(SOFT, HARD, SOFT), (0, HARD, HARD), (SOFT, 0, SOFT), (0, 0, (1 << 31) - 1)]
)
def test_the_transport_gets_the_soft_limit_or_else_the_hard_one(soft_limit: int, hard_limit: int, high: int) -> None:
    harness = BufferHarness(soft_limit=soft_limit, hard_limit=hard_limit)
    harness.buffer.open(b"", b"")
    assert harness.transport.high == high


def test_a_connection_above_the_hard_limit_is_closed_after_the_current_callback(harness: BufferHarness) -> None:
    harness.become_slow()
    assert harness.buffer.enqueue(b"y" * (HARD - SOFT - 1)) is SENT
    assert harness.buffer.enqueue(b"z") is SLOW
    assert harness.closed == 0, "the caller may be iterating over a room's members"
    harness.loop.run_soon()
    assert harness.closed == 1
    assert harness.buffer.enqueue(b"z") == harness.buffer.write(b"z") == CLOSED


def test_nothing_is_written_to_a_closing_transport(harness: BufferHarness) -> None:
    harness.transport.closing = True
    assert harness.buffer.write(b"x") == harness.buffer.enqueue(b"x") == CLOSED
    assert (harness.transport.written, harness.stats.sent_bytes) == (b"", 0)


def test_each_slow_connection_is_counted_once(harness: BufferHarness) -> None:
    other = BufferHarness(beside=harness)
    harness.become_slow()
    other.become_slow()
    assert harness.loop.delays == [SLOW_SECONDS, SLOW_SECONDS]
    other.buffer.pause_writing()  # it is slow already
    assert (harness.stats.slow_consumers, len(harness.loop.timers)) == (2, 2)
    harness.transport.drain()
    assert harness.stats.slow_consumers == 1
    harness.become_slow()
    harness.loop.fire_timers()
    assert harness.stats.slow_consumer_kills == 2
    assert (harness.closed, other.closed) == (1, 1)
    assert harness.stats.slow_consumers == 0


def test_without_a_slow_timeout_a_connection_may_stay_slow() -> None:
    harness = BufferHarness(slow_timeout=0)
    harness.become_slow()
    assert harness.loop.timers == []
    harness.transport.drain()
    assert harness.stats.slow_consumers == 0
    assert harness.buffer.write(b"on time") is SENT


def test_without_a_hard_limit_the_backlog_may_have_any_size() -> None:
    harness = BufferHarness(hard_limit=0)
    harness.become_slow()
    assert harness.buffer.enqueue(b"y" * 10 * HARD) is SENT
    assert harness.loop.soon == []


def test_the_hard_limit_counts_all_unsent_bytes(harness: BufferHarness) -> None:
    harness.become_slow()
    for _ in range(2):
        assert harness.buffer.enqueue(b"y" * 400) is SENT
    assert harness.buffer.enqueue(b"y" * (HARD - SOFT - 1 - 800)) is SENT
    assert harness.buffer.enqueue(b"z") is SLOW


def test_nothing_is_written_once_the_hard_limit_is_exceeded(harness: BufferHarness) -> None:
    assert harness.buffer.enqueue(b"y" * (HARD + 1)) is SLOW
    assert harness.buffer.write(b"z") is SLOW
    assert harness.transport.written == b""


def test_a_connection_is_closed_once(harness: BufferHarness) -> None:
    harness.become_slow()
    for _ in range(2):
        assert harness.buffer.enqueue(b"y" * HARD) is SLOW
    harness.loop.run_soon()
    harness.loop.fire_timers()
    assert (harness.closed, harness.stats.slow_consumer_kills) == (1, 1)


def test_a_closed_connection_does_not_count_as_slow(harness: BufferHarness) -> None:
    harness.buffer.close()
    harness.buffer.pause_writing()
    assert (harness.stats.slow_consumers, harness.loop.timers) == (0, [])
    harness.buffer.resume_writing()
    assert harness.buffer.write(b"x") == CLOSED


def test_a_slow_connection_that_is_closed_counts_as_slow_no_longer(harness: BufferHarness) -> None:
    harness.become_slow()
    harness.buffer.close()
    assert harness.stats.slow_consumers == 0
    harness.loop.fire_timers()
    assert (harness.closed, harness.stats.slow_consumer_kills) == (0, 0)


def test_the_backlog_of_a_closed_connection_is_written_unless_the_transport_is_closing(harness: BufferHarness) -> None:
    harness.become_slow()
    harness.buffer.enqueue(b"<1>")
    harness.transport.closing = True
    harness.buffer.resume_writing()
    assert not harness.transport.written.endswith(b"<1>")
    harness.transport.closing = False
    harness.buffer.close()
    harness.buffer.resume_writing()
    assert harness.transport.written.endswith(b"<1>")
    assert harness.buffer.write(b"x") == CLOSED


def test_a_connection_that_becomes_slow_again_has_a_backlog_again(harness: BufferHarness) -> None:
    for frame in (b"<1>", b"<2>"):
        harness.transport.written = b""
        harness.become_slow()
        assert harness.buffer.enqueue(frame) is SENT
        harness.transport.drain()
        assert harness.transport.written == b"x" * (SOFT + 1) + frame


def test_all_bytes_are_counted_whichever_way_they_are_sent(harness: BufferHarness) -> None:
    other = BufferHarness(beside=harness)
    harness.buffer.write(b"1")
    harness.buffer.write(b"22")
    harness.become_slow()
    harness.buffer.enqueue(b"333")
    harness.buffer.enqueue(b"4444")
    assert other.buffer.write(b"55555") is SENT
    other.buffer.write_close(b"666666")
    assert harness.buffer.bytes_out == 10 + SOFT + 1
    assert other.buffer.bytes_out == 11
    assert harness.stats.sent_bytes == 21 + SOFT + 1


def test_a_pong_above_the_hard_limit_closes_the_connection(harness: BufferHarness) -> None:
    harness.become_slow()
    assert harness.buffer.enqueue(b"y" * (HARD - SOFT - 3)) is SENT
    harness.buffer.write_pong(b"12")
    assert harness.transport.written.endswith(b"12")
    harness.buffer.write_pong(b"345")
    assert not harness.transport.written.endswith(b"345")
    harness.loop.run_soon()
    assert harness.closed == 1


def test_no_pong_is_written_after_the_close_frame(harness: BufferHarness) -> None:
    harness.buffer.close()
    harness.buffer.write_close(b"close")
    harness.buffer.write_pong(b"pong")
    assert harness.transport.written == b"close"
