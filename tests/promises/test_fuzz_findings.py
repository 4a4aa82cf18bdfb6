"""Regression tests: malformed and malicious input that once broke the server."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from benchmarks.load.wire import FrameReader
from server.errors import InvalidMessageError
from server.protocol.messages import decode
from server.websocket.connection import Connection
from tests.promises.in_process import in_process_server
from tests.promises.raw_clients import frame, message

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

HARD_LIMIT = 100_000


def run(scenario: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"ping","timestamp":' + b"[" * 5000,
        b'{"type":' + b'{"a":' * 5000,
        b"[" * 5000,
        b'{"type":"joinRoom","room":[],"x":' + b"[" * 5000,
    ],
)
def test_very_deep_nesting_is_rejected_like_other_invalid_json(payload: bytes) -> None:
    with pytest.raises(InvalidMessageError, match="Invalid message format"):
        decode(payload)


def test_header_fields_may_be_repeated(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with in_process_server(tmp_path) as server:
            client = server.connect()
            client.feed(
                b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nAccept: */*\r\n"
                b"Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n\r\n"
            )
            answer = client.take_written()
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"Content-Encoding: gzip" in answer
            client.lose_connection()

    run(scenario())


def test_a_client_that_pings_and_does_not_read_is_closed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with in_process_server(tmp_path, buffer_hard_limit=HARD_LIMIT) as server:
            flooder = server.open_websocket()
            flooder.is_blocked = True
            for _ in range(100):
                flooder.feed(frame(b"p" * 125, 0x89) * 20)
                await server.run_callbacks()
            assert len(flooder.written) <= HARD_LIMIT + 1000
            assert frame(b"\x03\xf5too slow", 0x88).replace(bytes(4), b"")[2:] in flooder.take_written()
            flooder.lose_connection()
            assert server.chat_server.stats.slow_consumer_kills == 1

    run(scenario())


@pytest.mark.parametrize("part", [b"", b"x"])
def test_many_tiny_fragments_cost_no_more_than_their_bytes(tmp_path: Path, part: bytes) -> None:
    async def scenario() -> None:
        async with in_process_server(tmp_path) as server:
            sender = server.open_websocket()
            before = server.resource_counts()["objects"]
            sender.feed(frame(b"", 0x01))
            for _ in range(60):
                sender.feed(frame(part, 0x00) * 1000)
                await server.run_callbacks()
            connection = sender.protocol
            assert isinstance(connection, Connection)
            assert connection._library is not None
            assembler = connection._library._assembler
            assert assembler is not None
            assert len(assembler.message()) == 60_000 * len(part)
            assert server.resource_counts()["objects"] < before + 500
            sender.lose_connection()

    run(scenario())


@pytest.mark.parametrize(
    ("pong", "is_good"),
    [
        (frame(b"", 0x8A), True),
        (frame(b"stampede", 0x8A), True),
        (frame(b"x" * 125, 0x8A), True),
        (frame(b"x" * 126, 0x8A), False),
        (b"\x8a\x08stampede", False),  # not masked
        (b"\x8a\x00", False),
        (frame(b"", 0xCA), False),  # a reserved bit
        (frame(b"", 0x0A), False),  # a fragment
    ],
)
@pytest.mark.parametrize("before", [b"", frame(b"", 0x89)], ids=["at first", "after a ping"])
def test_a_pong_is_handled_alike_with_and_without_the_library(
    tmp_path: Path, before: bytes, pong: bytes, *, is_good: bool
) -> None:
    async def scenario() -> None:
        async with in_process_server(tmp_path) as server:
            talker = server.open_websocket()
            talker.feed(before + pong)
            await server.run_callbacks()
            talker.lose_connection()
            ends = server.chat_server.stats.connections_closed
            assert ends["vanished" if is_good else "protocol_error"] == 1

    run(scenario())


@pytest.mark.parametrize(
    "rubbish",
    [b"\x83\x80....", frame(b"a", 0xC1), frame(b"\x03", 0x88), b"\x81\x01a", frame(b"\xff"), frame(b"x", 0x80)],
    ids=["opcode", "reserved bits", "short close", "unmasked", "no utf-8", "continues nothing"],
)
def test_a_failed_protocol_is_freed_without_the_cycle_collector(tmp_path: Path, rubbish: bytes) -> None:
    async def scenario() -> None:
        async with in_process_server(tmp_path) as server:
            talker = server.open_websocket()
            connection = talker.protocol
            assert isinstance(connection, Connection)
            protocol = weakref.ref(connection._protocol._protocol)
            talker.feed(rubbish)
            await server.run_callbacks()
            assert talker.closed or talker.half_closed
            talker.lose_connection()
            assert protocol() is None

    gc.disable()
    try:
        run(scenario())
    finally:
        gc.enable()


def test_the_backlog_of_a_slow_client_arrives_complete_and_in_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with in_process_server(tmp_path) as server:
            ann, bob = server.open_websocket(), server.open_websocket()
            for transport in (ann, bob):
                transport.feed(message("joinRoom", room="r"))
            await server.run_callbacks()
            bob.take_written()
            bob.is_blocked = True
            texts = [f"{number:05d}" + "x" * 1000 for number in range(500)]
            for text in texts:
                ann.feed(message("chatMessage", text=text))
                await server.run_callbacks()
            assert server.chat_server.stats.slow_consumers == 1
            bob.read_all()
            bob.read_all()
            assert server.chat_server.stats.slow_consumers == 0
            ann.feed(message("chatMessage", text="last"))
            await server.run_callbacks()
            received = [payload for _, _, payload in FrameReader().feed(bob.take_written())]
            assert [text in payload.decode() for text, payload in zip([*texts, "last"], received, strict=True)] == [
                True
            ] * 501
            ann.lose_connection()
            bob.lose_connection()

    run(scenario())


@pytest.mark.parametrize(("hard_limit", "is_closed"), [(0, False), (1_000_000, False), (80_000, True)])
def test_without_a_soft_limit_only_the_hard_limit_closes_a_client_that_does_not_read(
    tmp_path: Path, hard_limit: int, *, is_closed: bool
) -> None:
    async def scenario() -> None:
        async with in_process_server(tmp_path, buffer_soft_limit=0, buffer_hard_limit=hard_limit) as server:
            ann, bob = server.open_websocket(), server.open_websocket()
            for transport in (ann, bob):
                transport.feed(message("joinRoom", room="r"))
            await server.run_callbacks()
            bob.is_blocked = True
            for _ in range(100):
                ann.feed(message("chatMessage", text="x" * 1000))
                await server.run_callbacks()
            ann.feed(message("typing"))
            await server.run_callbacks()
            stats = server.chat_server.stats
            assert stats.slow_consumer_kills == is_closed
            assert stats.slow_consumers == 0
            assert stats.messages_dropped["userTyping", "slow"] == 0
            ann.lose_connection()
            bob.lose_connection()

    run(scenario())
