"""A thousand clients that lose their connections at once reconnect and rejoin their rooms; no resource leaks."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.promises.raw_clients import RawClientPool, message
from tests.promises.server_process import launch

if TYPE_CHECKING:
    from tests.promises.raw_clients import Client
    from tests.promises.server_process import ServerProcess

CLIENTS = 1000
ROOMS = [f"room-{number}" for number in range(50)]
STORMS = 10
JITTER_SECONDS = 0.25


def reconnect(pool: RawClientPool, rng: random.Random) -> list[Client]:
    """Reconnect all clients at random times; repeat refused connections."""
    due = sorted(rng.uniform(0, JITTER_SECONDS) for _ in range(CLIENTS))
    clients: list[Client] = []

    def connect(now: float) -> None:
        while due and due[0] <= now:
            due.pop(0)
            clients.append(pool.add())

    pool.run(JITTER_SECONDS, connect)
    connect(JITTER_SECONDS)

    while True:
        pool.wait_until(lambda: not pool.handshakes, "handshakes to be answered")
        refused = [client for client in clients if client.is_gone]
        if not refused:
            break
        assert {client.status for client in refused} == {503}, refused[0].answer
        clients = [client for client in clients if not client.is_gone] + [pool.add() for _ in refused]
    assert all(client.is_open for client in clients)
    pool.join_rooms(clients, ROOMS)
    return clients


def check(server: ServerProcess, pool: RawClientPool, clients: list[Client], storm: int) -> None:
    samples = server.samples()
    assert samples["chat_connections"] == CLIENTS
    assert samples["chat_rooms"] == len(ROOMS)
    assert samples["chat_room_members_max"] == CLIENTS // len(ROOMS)
    assert samples["chat_connections_opened_total"] == CLIENTS * (storm + 1)
    assert server.closed() == ({"vanished": CLIENTS * storm} if storm else {})
    assert samples["chat_room_joins_total"] - samples["chat_room_leaves_total"] == CLIENTS
    received = [0]

    def count_message(_client: Client, payload: bytes) -> None:
        received[0] += b'"chatMessage"' in payload

    for client in clients:
        client.on_text = count_message
    for client in clients[: len(ROOMS)]:  # one in each room
        pool.send(client, message("chatMessage", text="reconnected"))
    expected = CLIENTS - len(ROOMS)
    pool.wait_until(lambda: received[0] >= expected, "a message in each room")
    assert received[0] == expected


def test_all_clients_rejoin_after_each_of_ten_storms_and_memory_does_not_grow() -> None:
    rng = random.Random(1)
    memory = []
    with launch() as server, RawClientPool(server.url) as pool:
        for storm in range(STORMS + 1):
            clients = reconnect(pool, rng)
            check(server, pool, clients, storm)
            memory.append(server.rss)
            pool.abort(clients)
            server.wait_until(lambda: server.samples()["chat_connections"] == 0, "all connections to end")
            assert server.samples()["chat_rooms"] == 0
    assert max(memory) <= 1.05 * memory[0], [size // 2**20 for size in memory]
