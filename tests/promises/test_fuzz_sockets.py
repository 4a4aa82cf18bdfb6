"""Malformed input over real sockets, while twenty other clients chat."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.promises.mutations import KINDS
from tests.promises.raw_clients import RawClientPool, head, message
from tests.promises.server_process import launch

if TYPE_CHECKING:
    from tests.promises.raw_clients import Client

INPUTS = 3600
AT_ONCE = 60
SECONDS_EACH = 0.05  # then a sender whose connection is still open closes it


class OtherClients:
    """Twenty clients in two rooms; each message must reach all other members of its room."""

    def __init__(self, pool: RawClientPool) -> None:
        self._pool = pool
        self.clients = pool.open(20)
        pool.join_rooms(self.clients, ["a", "b"])
        self.delivered = 0
        self.sent = 0
        for client in self.clients:
            client.on_text = self._on_text

    def send_message(self) -> None:
        client = self.clients[self.sent % len(self.clients)]
        self._pool.send(client, message("chatMessage", text="are you there?"))
        self.sent += 1

    def check(self) -> None:
        """Wait until all messages are delivered."""
        self._pool.wait_until(lambda: self.delivered >= 9 * self.sent, "messages of the other clients")
        assert self.delivered == 9 * self.sent
        assert all(client.is_open for client in self.clients)

    def _on_text(self, _client: Client, payload: bytes) -> None:
        self.delivered += b'"are you there?"' in payload


def test_malformed_input_over_sockets_affects_only_its_sender() -> None:
    rng = random.Random(6455)
    flags = ("--handshake-rate", "0", "--message-rate", "0", "--heartbeat-interval", "0", "--heartbeat-timeout", "0")
    with launch(*flags) as server:
        with RawClientPool(server.url) as pool:
            others = OtherClients(pool)
            memory = []
            descriptors = server.descriptors
            for number in range(0, INPUTS, AT_ONCE):
                senders = []
                for _ in range(AT_ONCE):
                    kind = rng.choice(KINDS)
                    data = kind.make(rng)
                    start = b"" if kind.is_head else head(rng.choice(("/ws/chat", "/ws/echo", "/ws/notifications")))
                    senders.append(pool.add(start + data))
                pool.wait_until(lambda: all(not s.unsent or s.is_gone for s in senders), "input to be sent")  # noqa: B023 - called at once
                others.send_message()
                pool.run(SECONDS_EACH)
                others.check()  # so the server has read the input, however slow it is
                pool.abort(senders)
                if not number % (INPUTS // 10):
                    server.wait_until(lambda: server.samples()["chat_connections"] == 20, "senders to be disconnected")
                    memory.append(server.rss)
            server.wait_until(lambda: server.descriptors == descriptors, "sockets to be released")
            assert server.samples()["chat_connections"] == len(others.clients)
            assert "internal_error" not in server.closed()
            assert memory[-1] <= 1.1 * memory[2], memory
        server.check_log()
