"""Measure a SignalR hub with aiosignalr's client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiosignalr.client import HubConnection

from tests.dialects.clients.latencies import measure

if TYPE_CHECKING:
    from collections.abc import Callable


class Client:
    """A member of a room."""

    def __init__(self, room: str, received: Callable[[str], None]) -> None:
        self._room = room
        self._hub = HubConnection()
        self._hub.on("ReceiveMessage", lambda _room, text: received(text))

    async def join(self, url: str) -> None:
        """Connect and join the room."""
        await self._hub.start(f"{url}/chat")
        await self._hub.invoke("AddToGroup", self._room)

    async def say(self, text: str) -> None:
        """Send a text to the room."""
        await self._hub.send("SendMessage", self._room, text)

    async def close(self) -> None:
        """Disconnect."""
        await self._hub.stop()


async def connect(url: str, room: str, token: str | None, number: int, received: Callable[[str], None]) -> Client:
    """Return a client that has joined a room."""
    client = Client(room, received)
    await client.join(url)
    return client


if __name__ == "__main__":
    measure(connect)
