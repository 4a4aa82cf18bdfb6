"""The chat of the compared Python servers, with our message types; each server adds only transport and fan-out."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import time
import uuid
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

import uvloop

from server.errors import InvalidMessageError
from server.protocol import messages as wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

HEARTBEAT_SECONDS: Final = 30
CHAT_PATHS: Final = ("/", "/chat", "/ws/chat")
INVALID: Final = b'{"type":"error","message":"Invalid message format"}'

Socket = TypeVar("Socket")


class Client(Generic[Socket]):
    """A connection: its socket, its user name and its room."""

    __slots__ = ("room", "socket", "username")

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.username: str | None = None
        self.room: str | None = None


class Net(Protocol[Socket]):
    """The server-specific part: how to send JSON to one client and to many."""

    async def send(self, client: Client[Socket], message: bytes) -> None:
        """Send to one client."""

    async def broadcast(self, clients: Collection[Client[Socket]], message: bytes) -> None:
        """Send to many clients."""


class Chat(Generic[Socket]):
    """The chat: clients, rooms, and the effect of each message."""

    def __init__(self, net: Net[Socket], presence_threshold: int) -> None:
        self._net = net
        self._threshold = presence_threshold
        self._clients: set[Client[Socket]] = set()
        self._rooms: dict[str, set[Client[Socket]]] = {}

    async def connect(self, client: Client[Socket]) -> None:
        """Add a client and send its greeting."""
        self._clients.add(client)
        greeting = b'{"type":"connected","clientId":"%s"}' % str(uuid.uuid4()).encode()
        await self._net.send(client, greeting)

    async def disconnect(self, client: Client[Socket]) -> None:
        """Remove a client that disconnected."""
        self._clients.discard(client)
        await self._leave(client)

    async def handle(self, client: Client[Socket], payload: bytes) -> None:
        """Handle a text message."""
        try:
            message = wire.decode(payload)
        except InvalidMessageError:
            await self._net.send(client, INVALID)
            return
        match message:
            case wire.SendChatMessage(text):
                chat_message = wire.ChatMessage(client.username, text, time.time_ns() // 1_000_000)
                await self._send_to_others(client, chat_message)
            case wire.SendTyping():
                await self._send_to_others(client, wire.UserTyping(client.username))
            case wire.Ping(timestamp):
                pong = wire.Pong(time.time_ns() // 1_000_000, timestamp)
                await self._net.send(client, wire.encode(pong))
            case wire.SetUsername(username):
                client.username = username
                await self._net.send(client, wire.encode(wire.UsernameSet(username)))
            case wire.JoinRoom(room):
                await self._join(client, room)
            case wire.LeaveRoom():
                await self._leave(client)
            case wire.SendChat(user, text):
                await self._net.broadcast(self._clients, wire.encode(wire.Chat(user, text)))
            case _:  # uploads, which this server does not support
                await self._net.send(client, INVALID)

    async def _send_to_others(self, client: Client[Socket], message: wire.ServerMessage) -> None:
        if client.room is not None:
            others = [member for member in self._rooms[client.room] if member is not client]
            await self._net.broadcast(others, wire.encode(message))

    async def _join(self, client: Client[Socket], room: str) -> None:
        await self._leave(client)
        members = self._rooms.setdefault(room, set())
        members.add(client)
        client.room = room
        if self._has_presence(len(members)):
            joined = wire.UserJoined(client.username, room, len(members))
            await self._net.broadcast(members, wire.encode(joined))
        await self._net.send(client, wire.encode(wire.RoomJoined(room, len(members))))

    async def _leave(self, client: Client[Socket]) -> None:
        if client.room is None:
            return
        room, client.room = client.room, None
        members = self._rooms[room]
        members.discard(client)
        if not members:
            del self._rooms[room]
        elif self._has_presence(len(members)):
            await self._net.broadcast(members, wire.encode(wire.UserLeft(client.username, len(members), room)))

    def _has_presence(self, members: int) -> bool:
        return not self._threshold or members <= self._threshold


def run(serve: Callable[[str, int, int], Awaitable[int]]) -> None:
    """Serve on uvloop until a signal; `serve` takes host, port and presence threshold, and returns the port."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--presence-threshold", type=int, default=0, help="members above which a room gets no presence")
    options = parser.parse_args()

    logging.disable(logging.WARNING)  # about writes to clients that have just disconnected

    async def serve_forever() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):  # at once, as the other servers do, without close frames
            asyncio.get_running_loop().add_signal_handler(number, os._exit, 0)
        port = await serve(options.host, options.port, options.presence_threshold)
        print(f"listening on ws://{options.host}:{port}", flush=True)
        await asyncio.Event().wait()

    uvloop.run(serve_forever())
