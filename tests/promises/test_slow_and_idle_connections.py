"""Slow request heads, incomplete frames, idle sockets, and more connections than the limit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.promises.raw_clients import RawClientPool, head, message
from tests.promises.server_process import launch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.promises.raw_clients import Client
    from tests.promises.server_process import ServerProcess

IDLE_CONNECTIONS = int(os.environ.get("STAMPEDE_FAULTS_IDLERS", "2000"))
"""Number of connections that never upgrade; a release is tested with 10 000."""

FREE_CONNECTIONS = 300
HANDSHAKE_SECONDS = 6.0
CHAT_CLIENTS = 100
ROOM = 10
MESSAGES_PER_SECOND = 200


class Chat:
    """A hundred clients that chat in rooms of ten beside other connections; every delivery is checked."""

    def __init__(self, pool: RawClientPool) -> None:
        self._pool = pool
        self.clients = pool.open(CHAT_CLIENTS)
        pool.join_rooms(self.clients, [f"room-{number}" for number in range(CHAT_CLIENTS // ROOM)])
        self._sent = 0
        self._delivered = 0
        for client in self.clients:
            client.on_text = self._on_text

    def run(self, seconds: float) -> None:
        start = self._sent

        def send_due(now: float) -> None:
            while self._sent < start + int(now * MESSAGES_PER_SECOND):
                self._pool.send(self.clients[self._sent % CHAT_CLIENTS], message("chatMessage", text="still here"))
                self._sent += 1

        self._pool.run(seconds, send_due)

    def until_ended(self, clients: list[Client], what: str) -> None:
        """Chat until other connections are closed."""

        def gone() -> bool:
            self.run(0.1)
            return all(client.is_gone for client in clients)

        self._pool.wait_until(gone, what)

    def check(self) -> None:
        """Wait until every message is delivered to all other members of its room."""
        expected = self._sent * (ROOM - 1)
        self._pool.wait_until(lambda: self._delivered >= expected, "all deliveries")
        assert self._delivered == expected
        assert all(client.is_open for client in self.clients)

    def _on_text(self, _client: Client, payload: bytes) -> None:
        assert b'"error"' not in payload, payload
        self._delivered += b'"still here"' in payload


@pytest.fixture
def busy_server() -> Iterator[tuple[ServerProcess, RawClientPool, Chat]]:
    """A server with a hundred clients that chat; in the end all deliveries are complete and all sockets released."""
    flags = ("--handshake-rate", "0", "--max-connections", str(CHAT_CLIENTS + FREE_CONNECTIONS))
    # A client that answers a ping in the middle of an incomplete frame breaks the frame.
    no_pings = ("--heartbeat-interval", "0", "--heartbeat-timeout", "0")
    with launch(*flags, *no_pings, constants={"server.http.connection.HANDSHAKE_SECONDS": HANDSHAKE_SECONDS}) as server:
        with RawClientPool(server.url) as pool:
            chat = Chat(pool)
            chat.run(0.5)
            descriptors = server.descriptors
            yield server, pool, chat
            chat.check()
            pool.abort([client for client in pool.clients.values() if client not in chat.clients])
            server.wait_until(lambda: server.descriptors <= descriptors, "descriptors to be released")
            assert set(server.closed()) <= {"vanished", "client"}
        server.check_log()


def test_slow_request_heads_are_answered_with_408_at_the_timeout(
    busy_server: tuple[ServerProcess, RawClientPool, Chat],
) -> None:
    _, pool, chat = busy_server
    request = head()
    slow = [pool.add(request[:1]) for _ in range(200)]
    sent = 1
    while not all(client.is_gone for client in slow):
        chat.run(HANDSHAKE_SECONDS / 10)
        for client in slow:
            pool.send(client, request[sent : sent + 1])
        sent += 1
        assert sent < len(request), "the server waited for the end of the slow heads"
    statuses = [client.status for client in slow]
    assert statuses.count(408) + statuses.count(0) == len(slow)
    assert statuses.count(408) > len(slow) // 2  # a response may be lost when the client sends more data after it


def test_incomplete_and_very_slow_frames_affect_no_other_client(
    busy_server: tuple[ServerProcess, RawClientPool, Chat],
) -> None:
    server, pool, chat = busy_server
    slow = pool.open(200)
    chat_frame = message("chatMessage", text="x" * 16000)
    before = server.rss
    for number, client in enumerate(slow):
        pool.send(client, chat_frame[: 1 + number * 80])
    for position in range(4):
        chat.run(0.5)
        for number, client in enumerate(slow[:100]):
            pool.send(client, chat_frame[1 + number * 80 + position :][:1])
    assert all(client.is_open for client in slow)
    assert server.rss - before < 64 * 2**20


def test_connections_that_never_upgrade_keep_no_other_client_out(
    busy_server: tuple[ServerProcess, RawClientPool, Chat],
) -> None:
    server, pool, chat = busy_server
    idle = []
    for start in range(0, IDLE_CONNECTIONS, 250):
        idle += [pool.add(b"") for _ in range(min(250, IDLE_CONNECTIONS - start))]
        chat.run(0.1)
    chat.until_ended(idle, "idle connections to be closed")
    # Connections above the spare sockets get 503 at once, the others 408 at the timeout.
    assert {client.status for client in idle} == {408, 503}
    assert all(b"Retry-After: 5" in client.answer for client in idle if client.status == 503)
    assert server.get("/health") == "OK"
    pool.abort(pool.open(1))


def test_idle_connections_within_the_descriptor_limit_are_answered_with_408() -> None:
    with launch(
        "--handshake-rate", "0", constants={"server.http.connection.HANDSHAKE_SECONDS": HANDSHAKE_SECONDS}
    ) as server:
        with RawClientPool(server.url) as pool:
            chat = Chat(pool)
            descriptors = server.descriptors
            idle: list[Client] = []
            for start in range(0, IDLE_CONNECTIONS, 250):
                idle += [pool.add(b"") for _ in range(min(250, IDLE_CONNECTIONS - start))]
                chat.run(0.02)
            pool.abort(pool.open(1))
            chat.until_ended(idle, "idle connections to be closed")
            assert {client.status for client in idle} == {408}
            chat.check()
            server.wait_until(lambda: server.descriptors <= descriptors, "descriptors to be released")
        server.check_log()


def test_handshakes_above_the_connection_limit_are_answered_with_503(
    busy_server: tuple[ServerProcess, RawClientPool, Chat],
) -> None:
    server, pool, chat = busy_server
    admitted = pool.open(FREE_CONNECTIONS)
    flood: list[Client] = []
    for _ in range(10):
        wave = [pool.add() for _ in range(100)]
        chat.run(0.1)
        pool.wait_until(lambda: all(client.is_gone for client in wave), "the flood to be answered")  # noqa: B023 - called at once
        flood += wave
    assert {client.status for client in flood} == {503}
    assert all(b"\r\nRetry-After: 5\r\n" in client.answer for client in flood)
    assert all(client.is_open for client in admitted)
    assert server.samples()['chat_handshakes_rejected_total{reason="full"}'] == len(flood)
    pool.abort(admitted[:50])
    server.wait_until(
        lambda: server.samples()["chat_connections"] == CHAT_CLIENTS + FREE_CONNECTIONS - 50, "connections to end"
    )
    pool.abort(pool.open(50))


def test_a_low_limit_on_open_files_limits_connections() -> None:
    limit = 600
    with launch("--handshake-rate", "0", prefix=("prlimit", f"--nofile={limit}")) as server:
        with RawClientPool(server.url) as pool:
            chat = Chat(pool)
            chat.run(0.5)
            most = int(server.samples()["chat_connection_limit"])
            assert CHAT_CLIENTS < most < limit
            admitted = pool.open(most - CHAT_CLIENTS)
            descriptors = server.descriptors
            some = [pool.add() for _ in range(100)]
            pool.wait_until(lambda: all(client.is_gone for client in some), "excess connections to be answered")
            assert {client.status for client in some} == {503}
            # More at once than there are descriptors: accept fails, and some connections get no response.
            flood = [pool.add() for _ in range(1000)]
            chat.until_ended(flood, "the flood to be answered")
            assert {client.status for client in flood} <= {0, 503}
            assert server.get("/health") == "OK"
            chat.check()
            server.wait_until(lambda: server.descriptors <= descriptors, "descriptors to be released")
            assert all(client.is_open for client in admitted)
        server.check_log()
