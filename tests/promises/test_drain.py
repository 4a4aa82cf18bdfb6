"""A shutdown closes connections one by one, loses no message, and sends each client its reconnect delay."""

from __future__ import annotations

import signal
import time
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from tests.metrics.pages import series
from tests.promises.raw_clients import RawClientPool, frame, message
from tests.promises.server_process import launch

if TYPE_CHECKING:
    from tests.promises.raw_clients import Client

CLIENTS = 2000
ROOMS = 200
DRAIN_SECONDS = 8
LONG_TIMEOUTS = {"server.app.CLOSE_SECONDS": 60, "server.websocket.connection.CLOSE_SECONDS": 60}
"""Longer timeouts, because this test may be slow to answer close frames; an aborted client may lose a message."""

MESSAGES_PER_SECOND = 800
CHUNK = 65536
HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"


class DeliveryCheck:
    """Counts sent and received messages, and records when each client received its close frame."""

    def __init__(self, pool: RawClientPool, clients: list[Client]) -> None:
        self._pool = pool
        self._clients = clients
        self._turn = 0
        self.sent: Counter[str] = Counter()
        self.received: dict[str, Counter[str]] = {client.name: Counter() for client in clients}
        self.closed_at: dict[str, float] = {}
        self.longest_gap = 0.0
        self._polled_at = self._received_at = time.perf_counter()
        for client in clients:
            client.on_text = self._on_text

    def chat(self, now: float) -> None:
        """Let the clients without a close frame send in turn; record the longest stall of this process."""
        due = int(now * MESSAGES_PER_SECOND)
        while self._turn < due:
            client = self._clients[self._turn % len(self._clients)]
            self._turn += 1
            if client.is_open and not client.code:
                self._pool.send(client, message("chatMessage", text=str(self.sent[client.name])))
                self.sent[client.name] += 1
        moment = time.perf_counter()
        self.longest_gap = max(self.longest_gap, moment - self._polled_at)
        self._polled_at = moment
        for client in self._clients:
            if client.code and client.name not in self.closed_at:
                self.closed_at[client.name] = moment

    def _on_text(self, client: Client, payload: bytes) -> None:
        decoded = msgspec.json.decode(payload)
        # Record stalls of the server too, until most of the remaining clients are alone in their rooms.
        moment = time.perf_counter()
        if len(self.closed_at) < 0.9 * len(self._clients):
            self.longest_gap = max(self.longest_gap, moment - self._received_at)
        self._received_at = moment
        received = self.received[client.name]
        if decoded["type"] == "chatMessage":
            assert int(decoded["text"]) == received[decoded["user"]], "a message was lost, duplicated or reordered"
            received[decoded["user"]] += 1
        elif decoded["type"] == "userLeft":
            # Before userLeft, the others received all messages that the client sent before its close frame.
            assert received[decoded["user"]] == self.sent[decoded["user"]], "a message of a closed client was lost"


def test_a_drain_loses_no_message_and_spreads_the_reconnects() -> None:
    flags = ("--drain-seconds", str(DRAIN_SECONDS), "--handshake-rate", "0")
    with launch(*flags, constants=LONG_TIMEOUTS) as server, RawClientPool(server.url) as pool:
        clients = pool.open(CLIENTS)
        pool.join_rooms(clients, [f"room-{number}" for number in range(ROOMS)])
        answers: list[str] = []
        [uploader] = pool.open(1)
        uploader.on_text = lambda _client, payload: answers.append(msgspec.json.decode(payload)["type"])
        pool.send(uploader, message("fileStart", name="n", size=2 * CHUNK) + frame(bytes(4 + CHUNK), 0x82))
        pool.wait_until(lambda: "fileReady" in answers, "the upload to start")
        check = DeliveryCheck(pool, clients)
        begin = time.perf_counter()
        pool.run(1.0, check.chat)

        drain_started = time.perf_counter()
        server.process.send_signal(signal.SIGTERM)
        _until_refused(pool, [*clients, uploader])
        upload_seconds = 0.0  # from the start of the drain to the uploader's close frame

        def gone(count: int) -> bool:
            nonlocal upload_seconds
            check.chat(time.perf_counter() - begin)
            if uploader.code and not upload_seconds:
                upload_seconds = time.perf_counter() - drain_started
            return len(check.closed_at) >= count

        pool.wait_until(lambda: gone(CLIENTS // 2), "half of the close frames")
        assert not uploader.code
        pool.send(uploader, frame((1).to_bytes(4) + bytes(CHUNK), 0x82) + message("fileEnd"))
        samples = _samples(pool)
        closed = {
            name: value for name, value in samples.items() if value and name.startswith("chat_connections_closed")
        }
        assert list(closed) == ['chat_connections_closed_total{reason="drain"}']
        assert sum(closed.values()) + samples["chat_connections"] == CLIENTS + 1
        pool.wait_until(lambda: gone(CLIENTS), "all close frames")
        pool.wait_until(lambda: gone(CLIENTS) and not pool.clients, "all connections to end")
        # On a slow machine the upload may last until the deadline, at which its connection is closed.
        assert "fileSaved" in answers or upload_seconds >= DRAIN_SECONDS
        server.finish()

    assert {client.code for client in (*clients, uploader)} == {1012}
    retries = [int(client.reason.removeprefix("restart retry_ms=")) for client in (*clients, uploader)]
    assert len(set(retries)) == len(retries)
    seconds = Counter(int(moment - min(check.closed_at.values())) for moment in check.closed_at.values())
    average = CLIENTS / DRAIN_SECONDS
    assert max(seconds.values()) <= 2 * average + average * check.longest_gap, (seconds, check.longest_gap)


def test_a_second_signal_ends_the_drain_at_once() -> None:
    with launch("--drain-seconds", "3600") as server, RawClientPool(server.url) as pool:
        clients = pool.open(200)
        server.process.send_signal(signal.SIGTERM)
        _until_refused(pool, clients)
        assert sum(client.is_open for client in clients) > 100
        server.process.send_signal(signal.SIGTERM)
        server.finish()
        pool.wait_until(lambda: all(client.is_gone for client in clients), "all connections to be aborted")


def _until_refused(pool: RawClientPool, clients: list[Client]) -> None:
    """Wait for the first 503 of /health, which precedes the first close frame; then upgrades are refused."""
    status = 0
    while status != 503:
        closed = any(client.code for client in clients)
        request = pool.add(HEALTH)
        pool.wait_until(lambda: request.is_gone, "an answer")  # noqa: B023 - called at once
        status = request.status
        assert status == 503 or not closed
    late_client = pool.add()
    pool.wait_until(lambda: late_client.is_gone, "an answer")
    assert late_client.status == 503
    assert b"Retry-After: " in late_client.answer


def _samples(pool: RawClientPool) -> dict[str, float]:
    request = pool.add(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
    pool.wait_until(lambda: request.is_gone, "the metrics")
    return series(request.answer.partition(b"\r\n\r\n")[2])
