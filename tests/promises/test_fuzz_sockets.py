"""The same malformed input through real sockets, while twenty others chat."""

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
SECONDS_EACH = 0.05  # a sender who is not cut off goes by itself


class Bystanders:
    """Twenty clients in two rooms; each word has to reach everyone else in its room."""

    def __init__(self, pool: RawClientPool) -> None:
        self._pool = pool
        self.clients = pool.open(20)
        pool.join_rooms(self.clients, ["a", "b"])
        self.heard = 0
        self.said = 0
        for client in self.clients:
            client.on_text = self._on_text

    def speak(self) -> None:
        client = self.clients[self.said % len(self.clients)]
        self._pool.send(client, message("chatMessage", text="are you there?"))
        self.said += 1

    def check(self) -> None:
        """Wait until everything was heard."""
        self._pool.wait_until(lambda: self.heard >= 9 * self.said, "bystanders to hear each other")
        assert self.heard == 9 * self.said
        assert all(client.is_open for client in self.clients)

    def _on_text(self, _client: Client, payload: bytes) -> None:
        self.heard += b'"are you there?"' in payload


def test_malformed_input_over_the_wire_costs_only_its_sender() -> None:
    rng = random.Random(6455)
    flags = ("--handshake-rate", "0", "--message-rate", "0", "--heartbeat-interval", "0", "--heartbeat-timeout", "0")
    with launch(*flags) as server:
        with RawClientPool(server.url) as pool:
            bystanders = Bystanders(pool)
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
                bystanders.speak()
                pool.run(SECONDS_EACH)
                bystanders.check()  # so the server has read on, however slow it is
                pool.abort(senders)
                if not number % (INPUTS // 10):
                    server.wait_until(lambda: server.samples()["chat_connections"] == 20, "senders to be forgotten")
                    memory.append(server.rss)
            server.wait_until(lambda: server.descriptors == descriptors, "sockets to be given back")
            assert server.samples()["chat_connections"] == len(bystanders.clients)
            assert "internal_error" not in server.closed()
            assert memory[-1] <= 1.1 * memory[2], memory
        server.check_log()
