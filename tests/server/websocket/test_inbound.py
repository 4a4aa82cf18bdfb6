"""The inbound half of a connection pauses reading, and handles later what it received too early."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from server.websocket.inbound import MAX_DISCARDED_BYTES, InboundStream

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

NOW = 100.0


class FakeTransport:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.closing = False

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def is_closing(self) -> bool:
        return self.closing


class StreamHarness:
    """One stream, whose timers and deferred callbacks are collected."""

    def __init__(self) -> None:
        self.now = NOW
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.deferred: list[Callable[[], None]] = []
        self.transport = FakeTransport()
        context: Any = SimpleNamespace(
            clock=lambda: self.now,
            loop=SimpleNamespace(call_later=lambda seconds, callback: self.timers.append((seconds, callback))),
            scheduler=SimpleNamespace(defer=self.deferred.append),
        )
        self.stream = InboundStream(context, cast("asyncio.Transport", self.transport))
        self.handled: list[tuple[bytes, float]] = []

    def handle(self, data: bytes, now: float) -> None:
        assert self.transport.calls[-1:] == ["pause"], "no further data is read before this is handled"
        self.handled.append((data, now))


@pytest.fixture
def harness() -> StreamHarness:
    return StreamHarness()


def test_reading_is_resumed_once_each_pause_has_ended(harness: StreamHarness) -> None:
    stream, transport = harness.stream, harness.transport
    for _ in range(2):
        stream.pause_reading()
    stream.resume_reading()
    assert transport.calls == ["pause"]
    stream.resume_reading()
    assert transport.calls == ["pause", "resume"]
    stream.pause_reading()
    assert transport.calls == ["pause", "resume", "pause"]


def test_silence_does_not_count_while_reading_is_paused(harness: StreamHarness) -> None:
    stream = harness.stream
    stream.last_received_at = NOW - 5
    assert stream.resumed_at == 0.0
    stream.pause_reading()
    stream.last_received_at = NOW - 4  # received before the pause
    stream.pause_reading()
    stream.resume_reading()
    assert (stream.last_received_at, stream.resumed_at) == (math.inf, 0.0)
    harness.now += 50
    stream.resume_reading()
    assert stream.last_received_at == stream.resumed_at == NOW + 50


def test_reading_is_paused_for_some_seconds(harness: StreamHarness) -> None:
    harness.stream.pause_reading_for(1.5)
    ((seconds, callback),) = harness.timers
    assert (seconds, harness.transport.calls) == (1.5, ["pause"])
    callback()
    assert harness.transport.calls == ["pause", "resume"]


def test_a_closing_transport_is_neither_paused_nor_resumed(harness: StreamHarness) -> None:
    harness.stream.pause_reading()
    harness.transport.closing = True
    harness.stream.resume_reading()
    harness.stream.pause_reading()
    assert harness.transport.calls == ["pause"]


def test_deferred_data_is_handled_later_with_the_time_of_its_arrival(harness: StreamHarness) -> None:
    harness.stream.defer(harness.handle, b"data", NOW)
    assert harness.transport.calls == ["pause"]
    assert harness.handled == []
    harness.now += 1
    for callback in harness.deferred:
        callback()
    assert harness.handled == [(b"data", NOW)]
    assert harness.transport.calls == ["pause", "resume"]


def test_deferred_data_of_a_closed_connection_is_dropped(harness: StreamHarness) -> None:
    harness.stream.defer(harness.handle, b"data", NOW)
    harness.transport.closing = True
    for callback in harness.deferred:
        callback()
    assert harness.handled == []


def test_reading_is_paused_once_at_the_limit_of_discarded_bytes(harness: StreamHarness) -> None:
    harness.stream.discard(MAX_DISCARDED_BYTES - 1)
    assert harness.transport.calls == []
    for _ in range(2):
        harness.stream.discard(1)
    harness.stream.resume_reading()
    assert harness.transport.calls == ["pause", "resume"]
