"""The bytes sent for thousands of simultaneous joins grow with their number, not with its square."""

from __future__ import annotations

import json

from tests.promises.raw_clients import RawClientPool, message
from tests.promises.server_process import launch

SIZES = (1250, 5000)
PRESENCE_BYTES = 8000  # presence messages of half a minute


def bytes_per_member(size: int, *flags: str) -> float:
    """Let `size` clients join a room as fast as possible; return the bytes that the server sent per member."""
    with launch("--handshake-rate", "0", *flags) as server, RawClientPool(server.url) as pool:
        clients = pool.open(size)
        before = server.samples()["chat_sent_bytes_total"]
        counts: set[int] = set()

        def receive(_client: object, payload: bytes) -> None:
            if payload.startswith(b'{"type":"roomPresence"'):
                counts.add(json.loads(payload)["userCount"])

        listener = clients[0]
        listener.on_text = receive
        pool.join_rooms(clients, ["the room"])
        if "--presence-threshold" not in flags:
            pool.wait_until(lambda: size in counts, "the last presence message")
        assert server.samples()["chat_room_members_max"] == size
        sent = server.samples()["chat_sent_bytes_total"] - before
        for client in clients[:50]:
            client.discards_data = True
        pool.send(listener, message("leaveRoom"))
    return sent / size


def test_the_bytes_per_join_do_not_grow_with_the_room() -> None:
    costs = {size: bytes_per_member(size) for size in SIZES}
    # The first two hundred joins are announced one by one. After that there is one presence message per quarter of a
    # second; a slower machine takes longer and gets a few more of them.
    assert costs[5000] < costs[1250] + PRESENCE_BYTES, costs


def test_without_coalescing_the_bytes_per_join_grow_with_the_room() -> None:
    small, large = (bytes_per_member(size, "--presence-threshold", "0") for size in (100, 400))
    assert large > 2.5 * small
    assert large > PRESENCE_BYTES
