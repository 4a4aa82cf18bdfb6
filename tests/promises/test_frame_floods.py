"""Pings, fragments and tiny chunks count as messages: a flood of them is slowed down, then closed."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from benchmarks.load.wire import FrameReader
from server.websocket.connection import SLICE_FRAMES
from tests.promises.in_process import TIMEOUT_SECONDS, in_process_server
from tests.promises.raw_clients import frame, message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path

    from tests.promises.in_process import InProcessServer

RATE = 8  # its inverse is exact in binary: with a stopped clock, rounding errors would add up
BURST = 2 * RATE
CLOSE = 0x8
CHUNK = 65536
SLICES = 20


@asynccontextmanager
async def server_with_stopped_clock(folder: Path, **settings: Any) -> AsyncIterator[InProcessServer]:
    """A server whose connections have a stopped clock: a pause of the machine changes no limit."""
    async with in_process_server(folder, **settings) as server:
        server.listener.context = dataclasses.replace(server.context, clock=lambda: 0.0)
        yield server


@pytest.mark.parametrize("path", ["/ws/chat", "/ws/notifications"])
@pytest.mark.parametrize(
    "small_frame",
    [frame(b"", 0x89), frame(b"stampede", 0x8A), frame(b"", 0x00), frame(b"x", 0x82)],
    ids=["pings", "pongs", "empty fragments", "tiny chunks"],
)
def test_a_flood_of_frames_is_slowed_down_and_then_closed(tmp_path: Path, path: str, small_frame: bytes) -> None:
    async def scenario() -> None:
        async with server_with_stopped_clock(tmp_path, message_rate=RATE) as server:
            flooder = server.open_websocket(path)
            if small_frame == frame(b"", 0x00):
                flooder.feed(frame(b"", 0x01))
            flooder.feed(small_frame * (BURST - 1))
            read = [flooder.reading_enabled]
            flooder.feed(small_frame * 2)
            assert [*read, flooder.reading_enabled] == [True, False]
            assert not closes(flooder.take_written())
            flooder.feed(small_frame * 20_000)
            assert closes(flooder.take_written()) == [b"\x03\xf0too many messages"]
            limited = server.chat_server.stats.rate_limited
            assert BURST < sum(limited.values()) <= 2 * BURST + 2
            flooder.lose_connection()

    run(scenario())


def test_whole_chunks_of_a_file_do_not_count_as_a_flood(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with server_with_stopped_clock(tmp_path, message_rate=RATE) as server:
            sender = server.open_websocket()
            sender.feed(message("fileStart", name="n", size=4 * BURST * CHUNK))
            for index in range(4 * BURST):
                sender.feed(frame(index.to_bytes(4) + bytes(CHUNK), 0x82))
            sender.feed(message("fileEnd"))
            await server.wait_for_uploads()
            assert server.chat_server.stats.uploads["saved"] == 1
            assert not any(server.chat_server.stats.rate_limited.values())
            sender.lose_connection()

    run(scenario())


@pytest.mark.parametrize(
    ("small_frame", "answer"),
    [(frame(b"", 0x81), b"\x81\x00"), (frame(b"", 0x82), b"\x82\x00"), (frame(b"", 0x89), b"\x8a\x00")],
    ids=["texts", "binaries", "pings"],
)
def test_a_read_full_of_tiny_frames_is_handled_in_slices_with_other_connections_between(
    tmp_path: Path, small_frame: bytes, answer: bytes
) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(TIMEOUT_SECONDS), server_with_stopped_clock(tmp_path) as server:
            flooder, other = server.open_websocket("/ws/echo"), server.open_websocket("/ws/echo")
            flooder.feed(small_frame * (SLICES * SLICE_FRAMES) + frame(b"the last", 0x81))
            assert flooder.take_written() == answer * SLICE_FRAMES
            assert not flooder.reading_enabled
            other.feed(frame(b"me too", 0x81))
            while not other.written:  # noqa: ASYNC110 - counts iterations of the event loop
                await asyncio.sleep(0)
            assert len(flooder.written) < len(answer) * (SLICES - 1) * SLICE_FRAMES
            while not flooder.written.endswith(b"the last"):  # noqa: ASYNC110 - see above
                await asyncio.sleep(0)
            assert flooder.take_written() == answer * ((SLICES - 1) * SLICE_FRAMES) + b"\x81\x08the last"
            assert other.take_written() == b"\x81\x06me too"
            flooder.lose_connection()
            other.lose_connection()

    run(scenario())


def test_a_disconnect_between_the_slices_of_a_read_leaves_nothing_behind(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with server_with_stopped_clock(tmp_path) as server:
            await server.run_callbacks()
            before = server.resource_counts()
            flooder = server.open_websocket("/ws/echo")
            flooder.feed(frame(b"", 0x81) * (3 * SLICE_FRAMES))
            flooder.lose_connection()
            await server.run_callbacks()
            assert flooder.take_written() == b"\x81\x00" * SLICE_FRAMES
            assert {**server.resource_counts(), "objects": 0} == {**before, "objects": 0}

    run(scenario())


def closes(data: bytes) -> list[bytes]:
    return [payload for opcode, _, payload in FrameReader().feed(data) if opcode == CLOSE]


def run(scenario: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario)
