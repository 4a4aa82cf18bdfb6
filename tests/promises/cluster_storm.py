"""Chat in rooms that span nodes, and an account of it: who heard whom, in which order, and how many they were told of.

Every node has as many clients as any other, and so many members of every room. What a client says carries its node,
its own number and a running number.
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
PATIENCE_SECONDS: Final = 90.0

_CHAT: Final = b'{"type":"chatMessage"'
_TYPING: Final = b'{"type":"userTyping"'


class Storm:
    """Clients of several nodes; closes their sockets when it is left.

    Args:
        urls: of the nodes.
        rooms: how many.
        members: of a room, on each node.
        rate: messages a second of all clients together.
        text_bytes: length of a message's text, at least.
        typing: whether `typing` is sent before each message.

    Attributes:
        sent: messages said to each node.
        heard: deliveries, by node of the sender and of the receiver.
        typed: deliveries of `typing`, by node of the receiver.
        disorder: deliveries that came twice, or after a later one of their sender.
        told: for each node and room, how many members its clients were told of last, and when.
    """

    def __init__(
        self, urls: Sequence[str], *, rooms: int, members: int, rate: float, text_bytes: int = 0, typing: bool = False
    ) -> None:
        self.members = members
        self.rooms = rooms
        self.nodes = len(urls)
        self.sent = [0] * self.nodes
        self.heard = [[0] * self.nodes for _ in urls]
        self.typed = [0] * self.nodes
        self.disorder = 0
        self.told: list[dict[str, tuple[int, float]]] = [{} for _ in urls]
        self._rate = rate
        self._filling = "." * text_bytes
        self._typing = typing
        self._last: dict[tuple[Client, str], int] = {}
        self._said = 0
        self._due = 0.0
        self._herds = [RawClientPool(url) for url in urls]
        self._clients: list[list[Client]] = []
        for node, pool in enumerate(self._herds):
            clients = pool.open(rooms * members)
            for client in clients:
                client.hear = lambda client, payload, node=node: self._hear(node, client, payload)
            pool.enter(clients, [f"room-{number}" for number in range(rooms)])
            self._clients.append(clients)
        self._speakers = [(node, place) for place in range(rooms * members) for node in range(self.nodes)]
        self.until(lambda: self.agree(range(self.nodes)), "all to be told of all")

    def close(self) -> None:
        """Let everybody vanish."""
        for pool in self._herds:
            pool.drop(list(pool.clients.values()))

    def run(self, seconds: float) -> None:
        """Chat for a while."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end, "time to pass")

    def until(self, happened: Callable[[], bool], what: str) -> None:
        """Chat until something has happened."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        self._due = time.monotonic()  # what the last steps took is not made good for
        while not happened():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            self._say_what_is_due()
            for pool in self._herds:
                pool.sweep()
            time.sleep(SWEEP_SECONDS)

    def hush(self, quiet_seconds: float = 1.0) -> None:
        """Say nothing more, and listen until nothing has come for a while."""
        count, since = -1, time.monotonic()
        while time.monotonic() - since < quiet_seconds:
            for pool in self._herds:
                pool.sweep()
            if (heard := sum(map(sum, self.heard))) != count:
                count, since = heard, time.monotonic()
            time.sleep(SWEEP_SECONDS)

    def silence(self, node: int) -> None:
        """Let a node's clients say no more: it is gone, or does not listen."""
        self._speakers = [speaker for speaker in self._speakers if speaker[0] != node]

    def agree(self, group: Sequence[int]) -> bool:
        """Whether the clients of these nodes have been told of each other's, and of no others."""
        return self.agreed_at(group) is not None

    def agreed_at(self, group: Sequence[int]) -> float | None:
        """Return since when they have been."""
        told = [told for node in group for told in self.told[node].values()]
        if len(told) < len(group) * self.rooms or any(count != self.members * len(group) for count, _ in told):
            return None
        return max(at for _, at in told)

    def missing(self, speaker: int, listener: int) -> int:
        """Return how many deliveries a node's clients missed of what those of another said, or of their own."""
        listeners = self.members - 1 if speaker == listener else self.members
        return self.sent[speaker] * listeners - self.heard[speaker][listener]

    def missing_typing(self, listener: int) -> int:
        """Return how many deliveries of `typing` a node's clients missed, whoever typed."""
        if not self._typing:
            return 0
        return sum(self.sent) * self.members - self.sent[listener] - self.typed[listener]

    def _say_what_is_due(self) -> None:
        now = time.monotonic()
        while self._due <= now and self._speakers:
            self._due += 1 / self._rate
            node, place = self._speakers[self._said % len(self._speakers)]
            self._said += 1
            pool, client = self._herds[node], self._clients[node][place]
            if self._typing:
                pool.send(client, message("typing"))
            pool.send(client, message("chatMessage", text=f"{node}:{place}:{self._said}:{self._filling}"))
            self.sent[node] += 1

    def _hear(self, node: int, client: Client, payload: bytes) -> None:
        if payload.startswith(_CHAT):
            speaker, place, number, _ = json.loads(payload)["text"].split(":")
            key = client, f"{speaker}:{place}"
            if self._last.get(key, 0) >= int(number):
                self.disorder += 1
            self._last[key] = int(number)
            self.heard[int(speaker)][node] += 1
        elif payload.startswith(_TYPING):
            self.typed[node] += 1
        elif b'"userCount":' in payload:
            told = json.loads(payload)
            if told["type"] != "roomJoined":
                count = told["userCount"]
                before = self.told[node].get(told["room"], (0, 0.0))
                if before[0] != count:
                    self.told[node][told["room"]] = count, time.monotonic()
