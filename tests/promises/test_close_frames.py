"""A closed connection has a limited time to read its close frame, also if it keeps sending."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import uvloop

from benchmarks.load.wire import FrameReader
from server.websocket.inbound import MAX_DISCARDED_BYTES
from tests.promises.in_process import in_process_server
from tests.promises.raw_clients import frame, message

if TYPE_CHECKING:
    from pathlib import Path

HARD_LIMIT = 100_000
CLOSE = 0x8


@pytest.mark.parametrize("flood", [0, 4 * MAX_DISCARDED_BYTES], ids=["silent", "flooding"])
def test_a_closed_slow_consumer_gets_whole_messages_and_a_close_frame(tmp_path: Path, flood: int) -> None:
    async def scenario() -> None:
        async with in_process_server(tmp_path, buffer_hard_limit=HARD_LIMIT) as server:
            ann, bob = server.open_websocket(), server.open_websocket()
            for transport in (ann, bob):
                transport.feed(message("joinRoom", room="r"))
            await server.run_callbacks()
            bob.take_written()
            bob.is_blocked = True
            for _ in range(150):
                ann.feed(message("chatMessage", text="x" * 1000))
                await server.run_callbacks()
            assert server.chat_server.stats.slow_consumer_kills == 1
            for _ in range(0, flood, 65536):
                bob.feed(frame(bytes(65536), 0x82))
            bob.read_all()
            frames = FrameReader().feed(bytes(bob.written))
            assert sum(size for _, size, _ in frames) == len(bob.written)
            assert (frames[-1][0], frames[-1][2]) == (CLOSE, b"\x03\xf5too slow")
            assert CLOSE not in {opcode for opcode, _, _ in frames[:-1]}
            assert bob.reading_enabled is (not flood)  # the kernel buffers the rest, which slows the sender down
            assert not bob.closed
            for transport in (ann, bob):
                transport.lose_connection()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())


def test_a_connection_whose_close_frame_is_not_answered_is_aborted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.websocket.connection.CLOSE_SECONDS", 0.05)

    async def scenario() -> None:
        async with in_process_server(tmp_path) as server:
            silent = server.open_websocket("/ws/echo")
            silent.feed(b"\x83\x80mask")
            was_aborted_at_once = silent.closed
            async with asyncio.timeout(60):
                while not silent.closed:  # noqa: ASYNC110 - a transport has no event for this
                    await asyncio.sleep(0.01)
            assert not was_aborted_at_once
            silent.lose_connection()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
