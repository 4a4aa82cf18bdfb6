"""Measure a chat of plain texts or JSON with the websockets library: `... websockets_client fastapi|django FLAGS`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.dialects.clients.latencies import measure

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dialects.clients.latencies import Connect


class Client:
    """A member of a room, whose connection it owns."""

    def __init__(self, connection: ClientConnection, received: Callable[[str], None]) -> None:
        self._connection = connection
        self._reader = asyncio.create_task(self._read(received))

    async def _read(self, received: Callable[[str], None]) -> None:
        try:
            while True:
                self.take(await self._connection.recv(decode=True), received)
        except ConnectionClosed:
            pass

    def take(self, text: str, received: Callable[[str], None]) -> None:
        """Handle a received message."""
        raise NotImplementedError

    async def send(self, text: str) -> None:
        """Send a message as it is."""
        await self._connection.send(text)

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()
        await self._reader


class FastapiClient(Client):
    """A client of the chat of FastAPI's documentation."""

    def take(self, text: str, received: Callable[[str], None]) -> None:
        """Count a delivery; the sender's private copy is none."""
        if text.startswith("Client #"):
            received(text)

    async def say(self, text: str) -> None:
        """Send a text to the room."""
        await self.send(text)


class DjangoClient(Client):
    """A client of the chat of Django Channels' tutorial."""

    def take(self, text: str, received: Callable[[str], None]) -> None:
        """Count a delivery."""
        received(json.loads(text)["message"])

    async def say(self, text: str) -> None:
        """Send a text to the room."""
        await self.send(json.dumps({"message": text}))


async def join_fastapi(
    url: str, room: str, token: str | None, number: int, received: Callable[[str], None]
) -> FastapiClient:
    """Join a room."""
    query = urlencode({"room": room, "token": token or ""})
    return FastapiClient(await connect(f"{url}/ws/{number}?{query}", proxy=None), received)


async def join_django(
    url: str, room: str, token: str | None, number: int, received: Callable[[str], None]
) -> DjangoClient:
    """Join a room."""
    query = urlencode({"token": token or ""})
    return DjangoClient(await connect(f"{url}/ws/chat/{room}/?{query}", proxy=None), received)


if __name__ == "__main__":
    chats: dict[str, Connect] = {"fastapi": join_fastapi, "django": join_django}
    measure(chats[sys.argv.pop(1)])
