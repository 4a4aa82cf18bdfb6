"""Heartbeats of a connection: how round-trip times are measured, and when a connection expires."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from server.websocket.connection import Connection
from server.websocket.heartbeat import PING_PAYLOAD
from server.websocket.outbound import OutboundBuffer
from tests.promises.in_process import in_process_server
from tests.promises.raw_clients import frame, message

if TYPE_CHECKING:
    from pathlib import Path

    from tests.promises.in_process import FakeTransport, InProcessServer

PONG = frame(PING_PAYLOAD, 0x8A)
PING = frame(b"are you there", 0x89)


def with_connection(folder: Path, scenario: Any, *, by_library: bool = False) -> None:
    """Run a scenario with one connection; `by_library`: the library handles its control frames."""

    async def run() -> None:
        async with in_process_server(folder) as server:
            transport = server.open_websocket()
            if by_library:
                transport.feed(PING)
            await scenario(server, transport, transport.protocol)
            transport.lose_connection()

    with_loop(run())


def with_loop(scenario: Any) -> None:
    uvloop.run(scenario)


def observed(server: InProcessServer) -> int:
    return sum(server.chat_server.stats.ping_rtt.counts)


@pytest.mark.parametrize("by_library", [False, True])
def test_a_pong_is_observed_whether_or_not_the_library_handles_it(tmp_path: Path, *, by_library: bool) -> None:
    async def scenario(server: InProcessServer, transport: FakeTransport, connection: Connection) -> None:
        server.context.wheel.send_ping(connection, server.context.clock() - 2.0)
        transport.feed(frame(b"something else", 0x8A))
        assert observed(server) == 0
        transport.feed(PONG + PONG)
        assert observed(server) == 1
        assert server.chat_server.stats.ping_rtt.total >= 2.0

    with_connection(tmp_path, scenario, by_library=by_library)


def test_received_data_restarts_the_heartbeat_timeout(tmp_path: Path) -> None:
    async def scenario(server: InProcessServer, transport: FakeTransport, connection: Connection) -> None:
        before = server.context.clock()
        connection.inbound.last_received_at = before - 3600.0
        transport.feed(PING[:1])
        assert before <= connection.inbound.last_received_at <= server.context.clock()

    with_connection(tmp_path, scenario)


def test_a_connection_whose_reading_is_paused_does_not_expire(tmp_path: Path) -> None:
    async def scenario(server: InProcessServer, transport: FakeTransport, connection: Connection) -> None:
        connection.inbound.pause_reading()
        server.context.wheel.advance(server.context.clock() + 3600.0)
        server.context.wheel.advance(server.context.clock() + 3601.0)
        assert not transport.closed
        connection.inbound.resume_reading()
        assert connection.inbound.last_received_at <= server.context.clock()
        transport.feed(message("ping"))
        assert b'"pong"' in transport.take_written()

    with_connection(tmp_path, scenario)


@pytest.mark.parametrize("path", ["/ws/chat", "/ws/echo", "/ws/notifications"])
@pytest.mark.parametrize(
    "data",
    [b"", message("ping"), PING, frame(b"\x03\xe8", 0x88)],
    ids=["no data", "ping message", "ping frame", "close frame"],
)
def test_a_closed_connection_is_freed_without_the_cycle_collector(tmp_path: Path, path: str, data: bytes) -> None:
    def connections() -> int:
        return sum(isinstance(each, Connection | OutboundBuffer) for each in gc.get_objects())

    async def scenario() -> None:
        async with in_process_server(tmp_path) as server:
            before = connections()
            transport = server.open_websocket(path)
            transport.feed(data)
            assert connections() == before + 2
            transport.lose_connection()
            del transport.protocol, transport
            await server.run_callbacks()
            assert connections() == before

    gc.collect()
    gc.disable()
    try:
        uvloop.run(scenario())
    finally:
        gc.enable()
