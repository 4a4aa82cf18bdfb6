"""A server that is told to end lets everyone go one by one, loses no word, and says when to come back."""

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
DRAIN_SECONDS = 15
PATIENCE = {"server.app.CLOSE_SECONDS": 60, "server.websocket.connection.CLOSE_SECONDS": 60}
"""For a driver that is slow to answer goodbyes: whoever is cut off instead may lose a word."""

MESSAGES_PER_SECOND = 800
CHUNK = 65536
HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"


class Witness:
    """Who said how much, who heard what, and when everyone was told to go."""

    def __init__(self, pool: RawClientPool, clients: list[Client]) -> None:
        self._pool = pool
        self._clients = clients
        self._turn = 0
        self.sent: Counter[str] = Counter()
        self.heard: dict[str, Counter[str]] = {client.name: Counter() for client in clients}
        self.told_at: dict[str, float] = {}
        self.longest_gap = 0.0
        self._swept_at = self._heard_at = time.perf_counter()
        for client in clients:
            client.on_text = self._on_text

    def chat(self, now: float) -> None:
        """Let those who have not been told to go speak by turns; the driver's own stalls are noted."""
        due = int(now * MESSAGES_PER_SECOND)
        while self._turn < due:
            client = self._clients[self._turn % len(self._clients)]
            self._turn += 1
            if client.is_open and not client.code:
                self._pool.send(client, message("chatMessage", text=str(self.sent[client.name])))
                self.sent[client.name] += 1
        moment = time.perf_counter()
        self.longest_gap = max(self.longest_gap, moment - self._swept_at)
        self._swept_at = moment
        for client in self._clients:
            if client.code and client.name not in self.told_at:
                self.told_at[client.name] = moment

    def _on_text(self, client: Client, payload: bytes) -> None:
        said = msgspec.json.decode(payload)
        # The server's stalls are noted too, until hardly anybody who is still there has a room mate to hear.
        moment = time.perf_counter()
        if len(self.told_at) < 0.9 * len(self._clients):
            self.longest_gap = max(self.longest_gap, moment - self._heard_at)
        self._heard_at = moment
        heard = self.heard[client.name]
        if said["type"] == "chatMessage":
            assert int(said["text"]) == heard[said["user"]], "a message was lost, doubled or overtaken"
            heard[said["user"]] += 1
        elif said["type"] == "userLeft":
            # Whoever stays has heard the leaver out: all it sent until it was told to go.
            assert heard[said["user"]] == self.sent[said["user"]], "a leaver's message was lost"


def test_a_drain_loses_no_message_and_spreads_the_reconnects() -> None:
    flags = ("--drain-seconds", str(DRAIN_SECONDS), "--handshake-rate", "0")
    with launch(*flags, constants=PATIENCE) as server, RawClientPool(server.url) as pool:
        clients = pool.open(CLIENTS)
        pool.join_rooms(clients, [f"room-{number}" for number in range(ROOMS)])
        answers: list[str] = []
        [uploader] = pool.open(1)
        uploader.on_text = lambda _client, payload: answers.append(msgspec.json.decode(payload)["type"])
        pool.send(uploader, message("fileStart", name="n", size=2 * CHUNK) + frame(bytes(4 + CHUNK), 0x82))
        pool.wait_until(lambda: "fileReady" in answers, "the upload to begin")
        witness = Witness(pool, clients)
        begin = time.perf_counter()
        pool.run(1.0, witness.chat)

        server.process.send_signal(signal.SIGTERM)
        _until_refused(pool, [*clients, uploader])

        def gone(count: int) -> bool:
            witness.chat(time.perf_counter() - begin)
            return len(witness.told_at) >= count

        pool.wait_until(lambda: gone(CLIENTS // 2), "half of them to go")
        assert not uploader.code
        pool.send(uploader, frame((1).to_bytes(4) + bytes(CHUNK), 0x82) + message("fileEnd"))
        samples = _samples(pool)
        closed = {
            name: value for name, value in samples.items() if value and name.startswith("chat_connections_closed")
        }
        assert list(closed) == ['chat_connections_closed_total{reason="drain"}']
        assert sum(closed.values()) + samples["chat_connections"] == CLIENTS + 1
        pool.wait_until(lambda: gone(CLIENTS), "everyone to go")
        pool.wait_until(lambda: not pool.clients, "everyone to be gone")
        assert "fileSaved" in answers
        server.finish()

    assert {client.code for client in (*clients, uploader)} == {1012}
    retries = [int(client.reason.removeprefix("restart retry_ms=")) for client in (*clients, uploader)]
    assert len(set(retries)) == len(retries)
    seconds = Counter(int(moment - min(witness.told_at.values())) for moment in witness.told_at.values())
    average = CLIENTS / DRAIN_SECONDS
    assert max(seconds.values()) <= 2 * average + average * witness.longest_gap, (seconds, witness.longest_gap)


def test_a_second_signal_ends_the_drain_at_once() -> None:
    with launch("--drain-seconds", "3600") as server, RawClientPool(server.url) as pool:
        clients = pool.open(200)
        server.process.send_signal(signal.SIGTERM)
        _until_refused(pool, clients)
        assert sum(client.is_open for client in clients) > 100
        server.process.send_signal(signal.SIGTERM)
        server.finish()
        pool.wait_until(lambda: all(client.is_gone for client in clients), "everyone to be cut off")


def _until_refused(pool: RawClientPool, clients: list[Client]) -> None:
    """Wait for the first 503 of /health, which comes before anybody is told to go; from then on nobody is let in."""
    status = 0
    while status != 503:
        told = any(client.code for client in clients)
        visitor = pool.add(HEALTH)
        pool.wait_until(lambda: visitor.is_gone, "an answer")  # noqa: B023 - called at once
        status = visitor.status
        assert status == 503 or not told
    hopeful = pool.add()
    pool.wait_until(lambda: hopeful.is_gone, "an answer")
    assert hopeful.status == 503
    assert b"Retry-After: " in hopeful.answer


def _samples(pool: RawClientPool) -> dict[str, float]:
    visitor = pool.add(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
    pool.wait_until(lambda: visitor.is_gone, "the metrics")
    return series(visitor.answer.partition(b"\r\n\r\n")[2])
