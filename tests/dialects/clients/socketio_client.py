"""Measure a Socket.IO chat with python-socketio's client: `python -m tests.dialects.clients.socketio_client`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import socketio

from tests.dialects.clients.latencies import measure

if TYPE_CHECKING:
    from collections.abc import Callable


class Client:
    """A member of a room."""

    def __init__(self, room: str, received: Callable[[str], None]) -> None:
        self._room = room
        self._sio = socketio.AsyncClient(reconnection=False)
        self._sio.on("message", lambda data: received(data["text"]))

    async def join(self, url: str, token: str | None) -> None:
        """Connect and join the room."""
        await self._sio.connect(url.replace("ws://", "http://"), auth={"token": token}, transports=["websocket"])
        await self._sio.call("join", self._room)

    async def say(self, text: str) -> None:
        """Send a text to the room."""
        await self._sio.emit("message", {"room": self._room, "text": text})

    async def close(self) -> None:
        """Disconnect."""
        await self._sio.disconnect()


async def connect(url: str, room: str, token: str | None, number: int, received: Callable[[str], None]) -> Client:
    """Return a client that has joined a room."""
    client = Client(room, received)
    await client.join(url, token)
    return client


if __name__ == "__main__":
    measure(connect)
