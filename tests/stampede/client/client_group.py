"""Chat clients of one process in one room, for tests."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from stampede.client.chat_connection import ChatConnection
from stampede.client.client import ChatClient
from stampede.client.context import ClientContext
from stampede.dialects.stampede import StampedeConversation, StampedeDialect
from stampede.ledger.room import Room
from stampede.measure.measures import Measures
from stampede.websocket.reactor import Reactor
from stampede.websocket.target import resolve
from tests.stampede.connections import TIMEOUT

if TYPE_CHECKING:
    from stampede.ledger.counts import DeliveryCounts
    from stampede.websocket.errors import LostError


class GroupClient(ChatClient):
    """A client that nothing reconnects.

    Attributes:
        chat: its connection.
    """

    def __init__(self, group: ClientGroup, username: str) -> None:
        self.chat = ChatConnection(group.context, group)
        super().__init__(self.chat, group.context, FakeLifecycle(username))

    def say_at(self, due: int) -> None:
        """Send a message that was due at this time, in monotonic nanoseconds."""
        self.due = due
        self.say()
        self.due = 0

    def ping_at(self, due: int) -> None:
        self.due = due
        self.ping()
        self.due = 0

    def typing_at(self, due: int) -> None:
        self.due = due
        self.typing()
        self.due = 0


class FakeLifecycle:
    """Stands in for the session that connects a client."""

    def __init__(self, username: str) -> None:
        self.username = username

    def connect(self) -> None:
        raise NotImplementedError

    def await_connection(self, timeout: float) -> None:
        """Do nothing: nothing reconnects the clients of the group."""

    def disconnect(self) -> None:
        raise NotImplementedError

    @property
    def rooms(self) -> list[str]:
        return ["room-7"]

    def join(self, room: str) -> bool:
        raise NotImplementedError

    def leave(self, room: str | None) -> bool:
        raise NotImplementedError

    def sends_messages(self) -> None:
        """Do nothing: no room of the group is silent."""


class ClientGroup:
    """Clients of one process in one room."""

    def __init__(self, url: str, origin: int = 2) -> None:
        self.faults: list[Exception] = []
        self.errors: list[Exception] = []
        self.reactor = Reactor(Random(1), self.faults.append)
        self.target = resolve(f"{url}/")
        self.measures = Measures()
        self.context = ClientContext(self.measures, StampedeDialect(), origin, "." * 15, self.errors.append)
        self.room = Room(7, "room-7", self.measures.address_pairs)
        self.lost = 0

    def client(self, name: str = "dan") -> GroupClient:
        client = GroupClient(self, name)
        client.chat.open(self.reactor, self.target, StampedeConversation(name), TIMEOUT)
        return client

    def member(self, name: str) -> GroupClient:
        client = self.client(name)
        client.chat.rooms.enter([self.room], TIMEOUT)
        return client

    def connection_lost(self, error: LostError, in_flight: int) -> None:
        self.lost += 1

    def failures(self, name: str) -> dict[str, int]:
        return self.measures.requests[name].failures

    @property
    def deliveries(self) -> DeliveryCounts:
        return self.measures.deliveries
