"""The chat that every Python peer does, on our own message types: only transport and fan-out are each server's own."""

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
    """One connection: its socket, whatever that is to a server, the name it gave, and its room."""

    __slots__ = ("room", "socket", "username")

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.username: str | None = None
        self.room: str | None = None


class Net(Protocol[Socket]):
    """What a server brings: how bytes of JSON get to one client, and to many."""

    async def send(self, client: Client[Socket], message: bytes) -> None:
        """Send to one client."""

    async def broadcast(self, clients: Collection[Client[Socket]], message: bytes) -> None:
        """Send to many clients."""


class Chat(Generic[Socket]):
    """Who is here, and in which room; and what each message does."""

    def __init__(self, net: Net[Socket], presence_threshold: int) -> None:
        self._net = net
        self._threshold = presence_threshold
        self._clients: set[Client[Socket]] = set()
        self._rooms: dict[str, set[Client[Socket]]] = {}

    async def come(self, client: Client[Socket]) -> None:
        """Greet a client."""
        self._clients.add(client)
        greeting = b'{"type":"connected","clientId":"%s"}' % str(uuid.uuid4()).encode()
        await self._net.send(client, greeting)

    async def go(self, client: Client[Socket]) -> None:
        """Take leave of a client that is gone."""
        self._clients.discard(client)
        await self._leave(client)

    async def hear(self, client: Client[Socket], payload: bytes) -> None:
        """Do what a text message asks for."""
        try:
            message = wire.decode(payload)
        except InvalidMessageError:
            await self._net.send(client, INVALID)
            return
        match message:
            case wire.SendChatMessage(text):
                said = wire.ChatMessage(client.username, text, time.time_ns() // 1_000_000)
                await self._tell_others(client, said)
            case wire.SendTyping():
                await self._tell_others(client, wire.UserTyping(client.username))
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
            case _:  # uploads, which peers do not take
                await self._net.send(client, INVALID)

    async def _tell_others(self, client: Client[Socket], message: wire.ServerMessage) -> None:
        if client.room is not None:
            others = [member for member in self._rooms[client.room] if member is not client]
            await self._net.broadcast(others, wire.encode(message))

    async def _join(self, client: Client[Socket], room: str) -> None:
        await self._leave(client)
        members = self._rooms.setdefault(room, set())
        members.add(client)
        client.room = room
        if self._is_told(len(members)):
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
        elif self._is_told(len(members)):
            await self._net.broadcast(members, wire.encode(wire.UserLeft(client.username, len(members), room)))

    def _is_told(self, members: int) -> bool:
        return not self._threshold or members <= self._threshold


def run(serve: Callable[[str, int, int], Awaitable[int]]) -> None:
    """Serve on uvloop until SIGTERM or SIGINT; `serve` takes host, port and presence threshold, and gives the port."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--presence-threshold", type=int, default=0, help="members above which presence is not told")
    options = parser.parse_args()

    logging.disable(logging.WARNING)  # of writes to clients that just went

    async def for_ever() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):  # at once, as the other peers do: nobody waits for goodbyes
            asyncio.get_running_loop().add_signal_handler(number, os._exit, 0)
        port = await serve(options.host, options.port, options.presence_threshold)
        print(f"listening on ws://{options.host}:{port}", flush=True)
        await asyncio.Event().wait()

    uvloop.run(for_ever())
