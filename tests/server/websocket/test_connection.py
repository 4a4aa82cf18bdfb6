"""Heartbeats as a connection measures them: each ping once, and no time that was our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from server.websocket.connection import PING_PAYLOAD
from tests.promises.in_process import world
from tests.promises.raw_clients import frame, message

if TYPE_CHECKING:
    from pathlib import Path

    from server.websocket.connection import Connection
    from tests.promises.in_process import Pipe, World

PONG = frame(PING_PAYLOAD, 0x8A)
PING = frame(b"are you there", 0x89)


def with_connection(folder: Path, story: Any, *, by_library: bool = False) -> None:
    """Tell a story about one connection; from its first ping on, the library judges its control frames."""

    async def run() -> None:
        async with world(folder) as inside:
            pipe = inside.upgraded()
            if by_library:
                pipe.feed(PING)
            await story(inside, pipe, pipe.protocol)
            pipe.lose()

    with_loop(run())


def with_loop(story: Any) -> None:
    uvloop.run(story)


def observed(inside: World) -> int:
    return sum(inside.server.stats.ping_rtt.counts)


@pytest.mark.parametrize("by_library", [False, True])
def test_a_ping_is_observed_once_however_many_pongs_come(tmp_path: Path, *, by_library: bool) -> None:
    async def story(inside: World, pipe: Pipe, connection: Connection) -> None:
        pipe.feed(PONG)
        assert observed(inside) == 0, "nobody had sent a ping"
        connection.ping(inside.context.clock())
        pipe.feed(frame(b"something else", 0x8A))
        assert observed(inside) == 0
        pipe.feed(PONG)
        pipe.feed(PONG + PONG)
        assert observed(inside) == 1
        connection.ping(inside.context.clock())
        pipe.feed(PONG)
        assert observed(inside) == 2

    with_connection(tmp_path, story, by_library=by_library)


def test_the_round_trip_time_is_that_between_ping_and_pong(tmp_path: Path) -> None:
    async def story(inside: World, pipe: Pipe, connection: Connection) -> None:
        connection.ping(inside.context.clock() - 2.0)
        pipe.feed(PONG)
        assert inside.server.stats.ping_rtt.total >= 2.0

    with_connection(tmp_path, story)


def test_a_round_trip_that_we_held_up_ourselves_is_not_observed(tmp_path: Path) -> None:
    async def story(inside: World, pipe: Pipe, connection: Connection) -> None:
        connection.ping(inside.context.clock())
        connection.pause_reading()
        connection.pause_reading()
        reads = []
        for _ in range(2):
            connection.resume_reading()
            reads.append(pipe.reads)
        assert reads == [False, True], "held twice"
        pipe.feed(PONG)
        assert observed(inside) == 0
        connection.ping(inside.context.clock())
        pipe.feed(PONG)
        assert observed(inside) == 1

    with_connection(tmp_path, story)


def test_our_own_hold_is_not_the_peers_silence(tmp_path: Path) -> None:
    async def story(inside: World, pipe: Pipe, connection: Connection) -> None:
        connection.pause_reading()
        inside.context.wheel.advance(inside.context.clock() + 3600.0)
        inside.context.wheel.advance(inside.context.clock() + 3601.0)
        assert not pipe.closed
        connection.resume_reading()
        assert connection.last_received_at <= inside.context.clock()
        pipe.feed(message("ping"))
        assert b'"pong"' in pipe.take()

    with_connection(tmp_path, story)


def test_a_ping_is_timed_only_if_it_was_written(tmp_path: Path) -> None:
    async def story(_inside: World, pipe: Pipe, connection: Connection) -> None:
        pipe.take()
        connection.ping(5.0)
        assert pipe.take() == b"\x89\x08stampede"
        assert connection._ping_sent_at == 5.0
        connection.pause_writing()
        connection.ping(6.0)
        assert connection._ping_sent_at == 5.0

    with_connection(tmp_path, story)
