"""Chat clients of one process in one room, for tests."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from stampede.client.client import ChatClient
from stampede.client.context import ClientContext
from stampede.ledger.room import Room
from stampede.measure.measures import Measures
from stampede.websocket.reactor import Reactor
from stampede.websocket.target import resolve
from tests.stampede.connections import TIMEOUT

if TYPE_CHECKING:
    from stampede.ledger.counts import DeliveryCounts


class ClientGroup:
    """Clients of one process in one room."""

    def __init__(self, url: str, origin: int = 2) -> None:
        self.faults: list[Exception] = []
        self.reactor = Reactor(Random(1), self.faults.append)
        self.target = resolve(f"{url}/")
        self.measures = Measures()
        self.context = ClientContext(self.measures, origin, b"." * 15)
        self.room = Room(7, self.measures.deliveries)
        self.lost = 0

    def client(self) -> ChatClient:
        client = ChatClient(self.context, self.on_lost)
        client.connect(self.reactor, self.target, TIMEOUT)
        return client

    def member(self, name: str) -> ChatClient:
        client = self.client()
        client.join(name, "room-7", self.room, TIMEOUT)
        return client

    def on_lost(self) -> None:
        self.lost += 1

    def failures(self, name: str) -> dict[str, int]:
        return self.measures.requests[name].failures

    @property
    def deliveries(self) -> DeliveryCounts:
        return self.measures.deliveries
