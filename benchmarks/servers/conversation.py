"""The chat of the compared Python servers, with our message types; each server adds only transport and fan-out."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

import uvloop

from server.errors import InvalidMessageError
from server.protocol import messages as wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

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

    async def send_to_others(self, client: Client[Socket], room: str, message: bytes) -> None:
        """Send to the other members of the client's room."""

    async def send_to_room(self, room: str, message: bytes) -> None:
        """Send to all members of a room."""

    async def send_to_everyone(self, message: bytes) -> None:
        """Send to all clients."""

    def connect(self, client: Client[Socket]) -> None:
        """Add a client."""

    def disconnect(self, client: Client[Socket]) -> None:
        """Remove a client, which has left its room."""

    def enter(self, client: Client[Socket], room: str) -> None:
        """Add a client to a room."""

    def leave(self, client: Client[Socket], room: str) -> None:
        """Remove a client from its room."""


class Chat(Generic[Socket]):
    """The chat: the sizes of the rooms, and the effect of each message."""

    def __init__(self, net: Net[Socket], presence_threshold: int) -> None:
        self._net = net
        self._threshold = presence_threshold
        self._sizes: Counter[str] = Counter()

    async def connect(self, client: Client[Socket]) -> None:
        """Add a client and send its greeting."""
        self._net.connect(client)
        greeting = b'{"type":"connected","clientId":"%s"}' % str(uuid.uuid4()).encode()
        await self._net.send(client, greeting)

    async def disconnect(self, client: Client[Socket]) -> None:
        """Remove a client that disconnected."""
        await self._leave(client)
        self._net.disconnect(client)

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
                await self._net.send_to_everyone(wire.encode(wire.Chat(user, text)))
            case _:  # uploads, which this server does not support
                await self._net.send(client, INVALID)

    async def _send_to_others(self, client: Client[Socket], message: wire.ServerMessage) -> None:
        if client.room is not None:
            await self._net.send_to_others(client, client.room, wire.encode(message))

    async def _join(self, client: Client[Socket], room: str) -> None:
        await self._leave(client)
        self._sizes[room] += 1
        members = self._sizes[room]
        client.room = room
        self._net.enter(client, room)
        if self._has_presence(members):
            await self._net.send_to_room(room, wire.encode(wire.UserJoined(client.username, room, members)))
        await self._net.send(client, wire.encode(wire.RoomJoined(room, members)))

    async def _leave(self, client: Client[Socket]) -> None:
        if client.room is None:
            return
        room, client.room = client.room, None
        self._net.leave(client, room)
        self._sizes[room] -= 1
        members = self._sizes[room]
        if not members:
            del self._sizes[room]
        elif self._has_presence(members):
            await self._net.send_to_room(room, wire.encode(wire.UserLeft(client.username, members, room)))

    def _has_presence(self, members: int) -> bool:
        return not self._threshold or members <= self._threshold


def server_options() -> argparse.Namespace:
    """Return the options of a server: host, port and presence threshold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--presence-threshold", type=int, default=0, help="members above which a room gets no presence")
    return parser.parse_args()


def listening(host: str, port: int) -> None:
    """Print the server's URL."""
    print(f"listening on ws://{host}:{port}", flush=True)


def run_now(coroutine: Coroutine[None, None, None]) -> None:
    """Run a coroutine that never waits, without a task."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("the coroutine waited")


def run(serve: Callable[[str, int, int], Awaitable[int]]) -> None:
    """Serve on uvloop until a signal; `serve` takes host, port and presence threshold, and returns the port."""
    options = server_options()
    logging.disable(logging.WARNING)  # about writes to clients that have just disconnected

    async def serve_forever() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):  # at once, as the other servers do, without close frames
            asyncio.get_running_loop().add_signal_handler(number, os._exit, 0)
        listening(options.host, await serve(options.host, options.port, options.presence_threshold))
        await asyncio.Event().wait()

    uvloop.run(serve_forever())
