"""Heads that trickle in, frames half sent, sockets that never ask for anything, and more of them than fit in."""

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

IDLERS = int(os.environ.get("STAMPEDE_FAULTS_IDLERS", "2000"))
"""Connections that never upgrade; 10 000 show what a release should."""

CAP = 300
HANDSHAKE_SECONDS = 6.0
CHATTERS = 100
ROOM = 10
MESSAGES_PER_SECOND = 200


class Chat:
    """A hundred clients in rooms of ten who go on chatting, whatever the others do; every word is accounted for."""

    def __init__(self, pool: RawClientPool) -> None:
        self._pool = pool
        self.clients = pool.open(CHATTERS)
        pool.join_rooms(self.clients, [f"room-{number}" for number in range(CHATTERS // ROOM)])
        self._said = 0
        self._heard = 0
        for client in self.clients:
            client.on_text = self._on_text

    def run(self, seconds: float) -> None:
        start = self._said

        def speak(now: float) -> None:
            while self._said < start + int(now * MESSAGES_PER_SECOND):
                self._pool.send(self.clients[self._said % CHATTERS], message("chatMessage", text="still here"))
                self._said += 1

        self._pool.run(seconds, speak)

    def until_ended(self, clients: list[Client], what: str) -> None:
        """Chat on until others are gone."""

        def gone() -> bool:
            self.run(0.1)
            return all(client.is_gone for client in clients)

        self._pool.wait_until(gone, what)

    def check(self) -> None:
        """Wait until everything said was heard by everyone who should."""
        owed = self._said * (ROOM - 1)
        self._pool.wait_until(lambda: self._heard >= owed, "every word to be heard")
        assert self._heard == owed
        assert all(client.is_open for client in self.clients)

    def _on_text(self, _client: Client, payload: bytes) -> None:
        assert b'"error"' not in payload, payload
        self._heard += b'"still here"' in payload


@pytest.fixture
def siege() -> Iterator[tuple[ServerProcess, RawClientPool, Chat]]:
    """A server with a hundred who chat; in the end they have missed nothing and all sockets are given back."""
    flags = ("--handshake-rate", "0", "--max-connections", str(CHATTERS + CAP))
    with launch(*flags, constants={"server.http.connection.HANDSHAKE_SECONDS": HANDSHAKE_SECONDS}) as server:
        with RawClientPool(server.url) as pool:
            chat = Chat(pool)
            chat.run(0.5)
            descriptors = server.descriptors
            yield server, pool, chat
            chat.check()
            pool.abort([client for client in pool.clients.values() if client not in chat.clients])
            server.wait_until(lambda: server.descriptors <= descriptors, "descriptors to be given back")
            assert set(server.closed()) <= {"vanished", "client"}
        server.check_log()


def test_slow_request_heads_are_answered_with_408_at_the_timeout(
    siege: tuple[ServerProcess, RawClientPool, Chat],
) -> None:
    _, pool, chat = siege
    request = head()
    slow = [pool.add(request[:1]) for _ in range(200)]
    sent = 1
    while not all(client.is_gone for client in slow):
        chat.run(HANDSHAKE_SECONDS / 10)
        for client in slow:
            pool.send(client, request[sent : sent + 1])
        sent += 1
        assert sent < len(request), "slow heads were waited for to their end"
    statuses = [client.status for client in slow]
    assert statuses.count(408) + statuses.count(0) == len(slow)
    assert statuses.count(408) > len(slow) // 2  # an answer may be lost to what was sent after it


def test_incomplete_and_very_slow_frames_affect_no_other_client(
    siege: tuple[ServerProcess, RawClientPool, Chat],
) -> None:
    server, pool, chat = siege
    slow = pool.open(200)
    word = message("chatMessage", text="x" * 16000)
    before = server.rss
    for number, client in enumerate(slow):
        pool.send(client, word[: 1 + number * 80])
    for position in range(4):
        chat.run(0.5)
        for number, client in enumerate(slow[:100]):
            pool.send(client, word[1 + number * 80 + position :][:1])
    assert all(client.is_open for client in slow)
    assert server.rss - before < 64 * 2**20


def test_connections_that_never_upgrade_keep_no_other_client_out(
    siege: tuple[ServerProcess, RawClientPool, Chat],
) -> None:
    server, pool, chat = siege
    idlers = []
    for start in range(0, IDLERS, 250):
        idlers += [pool.add(b"") for _ in range(min(250, IDLERS - start))]
        chat.run(0.1)
    chat.until_ended(idlers, "idlers to be let go")
    # More than the server has sockets to spare for are told so at once, the others when their time is up.
    assert {client.status for client in idlers} == {408, 503}
    assert all(b"Retry-After: 5" in client.answer for client in idlers if client.status == 503)
    assert server.get("/health") == "OK"
    pool.abort(pool.open(1))


def test_idle_connections_within_the_descriptor_limit_are_answered_with_408() -> None:
    with launch(
        "--handshake-rate", "0", constants={"server.http.connection.HANDSHAKE_SECONDS": HANDSHAKE_SECONDS}
    ) as server:
        with RawClientPool(server.url) as pool:
            chat = Chat(pool)
            descriptors = server.descriptors
            idlers: list[Client] = []
            for start in range(0, IDLERS, 250):
                idlers += [pool.add(b"") for _ in range(min(250, IDLERS - start))]
                chat.run(0.02)
            pool.abort(pool.open(1))
            chat.until_ended(idlers, "idlers to be let go")
            assert {client.status for client in idlers} == {408}
            chat.check()
            server.wait_until(lambda: server.descriptors <= descriptors, "descriptors to be given back")
        server.check_log()


def test_handshakes_above_the_connection_limit_are_answered_with_503(
    siege: tuple[ServerProcess, RawClientPool, Chat],
) -> None:
    server, pool, chat = siege
    inside = pool.open(CAP)
    flood: list[Client] = []
    for _ in range(10):
        wave = [pool.add() for _ in range(100)]
        chat.run(0.1)
        pool.wait_until(lambda: all(client.is_gone for client in wave), "the flood to be answered")  # noqa: B023 - called at once
        flood += wave
    assert {client.status for client in flood} == {503}
    assert all(b"\r\nRetry-After: 5\r\n" in client.answer for client in flood)
    assert all(client.is_open for client in inside)
    assert server.samples()['chat_handshakes_rejected_total{reason="full"}'] == len(flood)
    pool.abort(inside[:50])
    server.wait_until(lambda: server.samples()["chat_connections"] == CHATTERS + CAP - 50, "places to be free")
    pool.abort(pool.open(50))


def test_a_low_limit_on_open_files_limits_connections() -> None:
    limit = 600
    with launch("--handshake-rate", "0", prefix=("prlimit", f"--nofile={limit}")) as server:
        with RawClientPool(server.url) as pool:
            chat = Chat(pool)
            chat.run(0.5)
            most = int(server.samples()["chat_connection_limit"])
            assert CHATTERS < most < limit
            inside = pool.open(most - CHATTERS)
            descriptors = server.descriptors
            some = [pool.add() for _ in range(100)]
            pool.wait_until(lambda: all(client.is_gone for client in some), "those too many to be answered")
            assert {client.status for client in some} == {503}
            # More at once than there are descriptors left: the kernel's accept fails, and some are cut off unanswered.
            flood = [pool.add() for _ in range(1000)]
            chat.until_ended(flood, "the flood to be answered")
            assert {client.status for client in flood} <= {0, 503}
            assert server.get("/health") == "OK"
            chat.check()
            server.wait_until(lambda: server.descriptors <= descriptors, "descriptors to be given back")
            assert all(client.is_open for client in inside)
        server.check_log()
