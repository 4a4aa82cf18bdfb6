"""Chat load in rooms that span nodes, with exact counts of deliveries, their order, and the presence reported.

All nodes have the same number of clients, and of members in each room. The text of a message contains the sender's
node, its number and a sequence number.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

from tests.promises.raw_clients import RawClientPool, message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.promises.raw_clients import Client

SWEEP_SECONDS: Final = 0.005
TIMEOUT_SECONDS: Final = 90.0

_CHAT: Final = b'{"type":"chatMessage"'
_TYPING: Final = b'{"type":"userTyping"'


class ClusterLoad:
    """Chat clients of several nodes.

    Args:
        urls: of the nodes.
        rooms: number of rooms.
        members: members of each room on each node.
        rate: messages per second of all clients together.
        text_bytes: minimum length of a message's text.
        typing: whether to send `typing` before each message.

    Attributes:
        sent: messages sent to each node.
        received: deliveries, by node of the sender and of the receiver.
        typing_received: deliveries of `typing`, by node of the receiver.
        disorder: deliveries that arrived twice, or after a later message of their sender.
        user_counts: for each node and room, the last number of members reported, and when it was.
    """

    def __init__(
        self, urls: Sequence[str], *, rooms: int, members: int, rate: float, text_bytes: int = 0, typing: bool = False
    ) -> None:
        self.members = members
        self.rooms = rooms
        self.nodes = len(urls)
        self.sent = [0] * self.nodes
        self.received = [[0] * self.nodes for _ in urls]
        self.typing_received = [0] * self.nodes
        self.disorder = 0
        self.user_counts: list[dict[str, tuple[int, float]]] = [{} for _ in urls]
        self._rate = rate
        self._padding = "." * text_bytes
        self._typing = typing
        self._last: dict[tuple[Client, str], int] = {}
        self._number = 0
        self._due = 0.0
        self._pools = [RawClientPool(url) for url in urls]
        self._clients: list[list[Client]] = []
        for node, pool in enumerate(self._pools):
            clients = pool.open(rooms * members)
            for client in clients:
                client.on_text = lambda client, payload, node=node: self._receive(node, client, payload)
            pool.join_rooms(clients, [f"room-{number}" for number in range(rooms)])
            self._clients.append(clients)
        self._senders = [(node, place) for place in range(rooms * members) for node in range(self.nodes)]
        self.until(lambda: self.agree(range(self.nodes)), "all clients to know all members")

    def close(self) -> None:
        """Abort all connections."""
        for pool in self._pools:
            pool.abort(list(pool.clients.values()))

    def run(self, seconds: float) -> None:
        """Send messages for some seconds."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end, "time to pass")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Send messages until a condition holds."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        self._due = time.monotonic()  # do not make up for the time since the last call
        while not condition():
            assert time.monotonic() < deadline, f"waited {TIMEOUT_SECONDS:.0f} s for {what}"
            self._send_due()
            for pool in self._pools:
                pool.poll()
            time.sleep(SWEEP_SECONDS)

    def drain(self, quiet_seconds: float = 1.0) -> None:
        """Stop sending, and receive until no message has arrived for some seconds."""
        count, since = -1, time.monotonic()
        while time.monotonic() - since < quiet_seconds:
            for pool in self._pools:
                pool.poll()
            if (received := sum(map(sum, self.received))) != count:
                count, since = received, time.monotonic()
            time.sleep(SWEEP_SECONDS)

    def stop_sending(self, node: int) -> None:
        """Stop sending to a node that is killed or suspended."""
        self._senders = [sender for sender in self._senders if sender[0] != node]

    def agree(self, group: Sequence[int]) -> bool:
        """Return whether the clients of these nodes were last sent exactly the members on these nodes."""
        return self.agreed_at(group) is not None

    def agreed_at(self, group: Sequence[int]) -> float | None:
        """Return the time since which `agree` is true, or None if it is not."""
        counts = [count for node in group for count in self.user_counts[node].values()]
        if len(counts) < len(group) * self.rooms or any(count != self.members * len(group) for count, _ in counts):
            return None
        return max(at for _, at in counts)

    def missing(self, sender: int, receiver: int) -> int:
        """Return how many messages from one node the clients of another node, or of the same node, did not receive."""
        receivers = self.members - 1 if sender == receiver else self.members
        return self.sent[sender] * receivers - self.received[sender][receiver]

    def missing_typing(self, receiver: int) -> int:
        """Return how many deliveries of `typing` from any node the clients of a node did not receive."""
        if not self._typing:
            return 0
        return sum(self.sent) * self.members - self.sent[receiver] - self.typing_received[receiver]

    def _send_due(self) -> None:
        now = time.monotonic()
        while self._due <= now and self._senders:
            self._due += 1 / self._rate
            node, place = self._senders[self._number % len(self._senders)]
            self._number += 1
            pool, client = self._pools[node], self._clients[node][place]
            if self._typing:
                pool.send(client, message("typing"))
            pool.send(client, message("chatMessage", text=f"{node}:{place}:{self._number}:{self._padding}"))
            self.sent[node] += 1

    def _receive(self, node: int, client: Client, payload: bytes) -> None:
        if payload.startswith(_CHAT):
            sender, place, number, _ = json.loads(payload)["text"].split(":")
            key = client, f"{sender}:{place}"
            if self._last.get(key, 0) >= int(number):
                self.disorder += 1
            self._last[key] = int(number)
            self.received[int(sender)][node] += 1
        elif payload.startswith(_TYPING):
            self.typing_received[node] += 1
        elif b'"userCount":' in payload:
            presence = json.loads(payload)
            if presence["type"] != "roomJoined":
                count = presence["userCount"]
                before = self.user_counts[node].get(presence["room"], (0, 0.0))
                if before[0] != count:
                    self.user_counts[node][presence["room"]] = count, time.monotonic()
