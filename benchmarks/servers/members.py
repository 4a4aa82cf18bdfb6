"""Rooms of a server without topics: it keeps the members of each and sends to one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic

from benchmarks.servers.conversation import Client, Socket

if TYPE_CHECKING:
    from collections.abc import Collection


class MemberNet(ABC, Generic[Socket]):
    """Keeps all clients and the members of each room; a server implements `send` and `broadcast`."""

    def __init__(self) -> None:
        self._clients: set[Client[Socket]] = set()
        self._rooms: dict[str, set[Client[Socket]]] = {}

    @abstractmethod
    async def send(self, client: Client[Socket], message: bytes) -> None:
        """Send to one client."""

    @abstractmethod
    async def broadcast(self, clients: Collection[Client[Socket]], message: bytes) -> None:
        """Send to many clients."""

    async def send_to_others(self, client: Client[Socket], room: str, message: bytes) -> None:
        """Send to the other members of the client's room."""
        await self.broadcast([member for member in self._rooms[room] if member is not client], message)

    async def send_to_room(self, room: str, message: bytes) -> None:
        """Send to all members of a room."""
        await self.broadcast(self._rooms[room], message)

    async def send_to_everyone(self, message: bytes) -> None:
        """Send to all clients."""
        await self.broadcast(self._clients, message)

    def connect(self, client: Client[Socket]) -> None:
        """Add a client."""
        self._clients.add(client)

    def disconnect(self, client: Client[Socket]) -> None:
        """Remove a client."""
        self._clients.discard(client)

    def enter(self, client: Client[Socket], room: str) -> None:
        """Add a client to a room."""
        self._rooms.setdefault(room, set()).add(client)

    def leave(self, client: Client[Socket], room: str) -> None:
        """Remove a client from its room."""
        members = self._rooms[room]
        members.discard(client)
        if not members:
            del self._rooms[room]
