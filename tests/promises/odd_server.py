"""A chat server of the guide's messages with faults by the number, and with JSON in a style of its own.

Started as `python odd_server.py '{"drop": 100, ...}'`; says `ws://...` on its first line, and on SIGTERM how many
deliveries it made and withheld, and its median and least delay in ms (`delayed`, `least`).

Keys: `drop`, `double`, `swap` (every n-th delivery, but a sender's first one to a receiver: until that comes, who is
still joining cannot know what it is owed; a swapped one comes after its sender's next one), `delay` (seconds), `stall`
(seconds once, after the 200th message, in which nothing is read), `restart` (a list of ms: after the 50th message all
are sent away, each in turn told one of these as `retry_ms`; `returned` at the end: what each was told, and after how
many ms it came), `window` (bytes that the system keeps of what is not read yet), `certificate` (a file: encrypts),
`style` ("spaced", "reversed" or "escaped"), `mute` (true: no `pong`), `upload` (seconds until each upload is answered
as saved).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import socket
import ssl
import sys
import time
from contextlib import suppress
from itertools import count, cycle
from statistics import median
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

ROOM = dict[ServerConnection, None]

TIMER_SECONDS = 0.002
"""The loop's timers are exact to about half of that."""


class OddServer:
    """All state of the one server of this process."""

    def __init__(self, faults: dict[str, Any]) -> None:
        self.faults = faults
        self.rooms: dict[str, ROOM] = {}
        self.names: dict[ServerConnection, str] = {}
        self.contents: dict[ServerConnection, bytes] = {}
        self.numbers = count(1)
        self.counts = {"messages": 0, "delivered": 0, "dropped": 0, "doubled": 0, "swapped": 0}
        self.delays: list[float] = []
        self.met: set[tuple[ServerConnection, ServerConnection]] = set()
        self.held: dict[tuple[ServerConnection, ServerConnection], str] = {}
        self.sent_away: dict[str, tuple[float, int]] = {}
        self.returned: list[tuple[int, float]] = []

    def encode(self, message: dict[str, Any]) -> str:
        style = self.faults.get("style")
        if style == "reversed":
            message = dict(reversed(message.items()))
        text = json.dumps(message, separators=None if style == "spaced" else (",", ":"))
        return text.replace("A", "\\u0041") if style == "escaped" else text

    async def tell(self, to: ServerConnection, message: dict[str, Any]) -> None:
        await to.send(self.encode(message))

    def hits(self, fault: str, number: int) -> bool:
        return number > 0 and number % self.faults.get(fault, number + 1) == 0

    def deliver(self, sender: ServerConnection, to: ServerConnection, text: str) -> None:
        pair = (sender, to)
        number = next(self.numbers) if pair in self.met else 0  # which nothing hits
        self.met.add(pair)
        if self.hits("drop", number):
            self.counts["dropped"] += 1
            return
        if self.hits("swap", number) and pair not in self.held:
            self.held[pair] = text  # until the sender's next one has gone out
            return
        self.counts["delivered"] += 1
        texts = [text, text] if self.hits("double", number) else [text]
        self.counts["doubled"] += len(texts) - 1
        if pair in self.held:
            texts.append(self.held.pop(pair))
            self.counts["delivered"] += 1
            self.counts["swapped"] += 1
        for one in texts:
            came = time.monotonic()
            early = max(0.0, self.faults.get("delay", 0) - TIMER_SECONDS)
            asyncio.get_running_loop().call_later(early, self.write, to, one, came)

    def write(self, to: ServerConnection, text: str, came: float) -> None:
        while time.monotonic() - came < self.faults.get("delay", 0):
            pass  # exact to a few us, where the loop's timers are to a millisecond
        self.delays.append(time.monotonic() - came)
        if to.state.name == "OPEN":
            task = asyncio.ensure_future(to.send(text))
            task.add_done_callback(lambda done: done.exception())

    def send_away(self) -> None:
        for (client, name), told in zip(self.names.items(), cycle(self.faults["restart"]), strict=False):
            self.sent_away[name] = (time.monotonic(), told)
            task = asyncio.ensure_future(client.close(1012, f"restart, retry_ms={told}"))
            task.add_done_callback(lambda done: done.exception())

    async def serve(self, client: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await self.converse(client)

    async def store(self, client: ServerConnection, message: dict[str, Any]) -> None:
        match message["type"]:
            case "fileStart":
                self.contents[client] = b""
                await self.tell(client, {"type": "fileReady"})
            case "chunk":
                self.contents[client] += message["data"]
            case "fileEnd":
                await asyncio.sleep(self.faults["upload"])
                content = self.contents.pop(client)
                saved = {"type": "fileSaved", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                await self.tell(client, saved)

    async def converse(self, client: ServerConnection) -> None:
        came = time.monotonic()
        room: ROOM = {}
        await self.tell(client, {"type": "connected", "clientId": "x"})
        async for raw in client:
            message: dict[str, Any] = json.loads(raw) if isinstance(raw, str) else {"type": "chunk", "data": raw[4:]}
            match message["type"]:
                case "setUsername":
                    self.names[client] = message["username"]
                    if message["username"] in self.sent_away:
                        went, told = self.sent_away.pop(message["username"])
                        self.returned.append((told, 1000 * (came - went)))
                    await self.tell(client, {"type": "usernameSet", "username": message["username"]})
                case "joinRoom":
                    room = self.rooms.setdefault(message["room"], {})
                    room[client] = None
                    joined = {"type": "roomJoined", "room": message["room"], "userCount": len(room)}
                    await self.tell(client, joined)
                case "fileStart" | "chunk" | "fileEnd":
                    await self.store(client, message)
                case "chatMessage":
                    self.counts["messages"] += 1
                    if self.counts["messages"] == 200 and "stall" in self.faults:
                        time.sleep(self.faults["stall"])  # noqa: ASYNC251 # that is the fault
                    if self.counts["messages"] == 50 and "restart" in self.faults:
                        self.send_away()
                    said = {"type": "chatMessage", "user": self.names[client], "text": message["text"], "timestamp": 1}
                    text = self.encode(said)
                    for other in room:
                        if other is not client:
                            self.deliver(client, other, text)
                case "ping" if not self.faults.get("mute"):
                    await self.tell(client, {"type": "pong", "timestamp": message.get("timestamp"), "serverTime": 1})
        room.pop(client, None)


async def main() -> None:
    """Serve until SIGTERM."""
    server = OddServer(json.loads(sys.argv[1]))
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    tls = None
    if "certificate" in server.faults:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(server.faults["certificate"])
    listener = socket.create_server(("127.0.0.1", 0))
    if "window" in server.faults:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, server.faults["window"])
    async with serve(server.serve, sock=listener, compression=None, ssl=tls) as listening:
        print(f"ws{'s' if tls else ''}://127.0.0.1:{listening.sockets[0].getsockname()[1]}", flush=True)
        await stopped.wait()
        server.counts["dropped"] += len(server.held)  # their sender said nothing more
        delayed = median(server.delays) * 1000 if server.delays else 0.0
        truth = {"delayed": delayed, "least": min(server.delays, default=0.0) * 1000, "returned": server.returned}
        print(json.dumps(server.counts | truth), flush=True)


asyncio.run(main())
