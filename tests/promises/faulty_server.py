"""A chat server of the basic protocol with known faults, for tests of the load test's report about them.

Start it as `python -m tests.promises.faulty_server '{"drop": 100, ...}'`. Its first line of output is its URL. On
SIGTERM it prints a JSON object: the deliveries made and withheld, the median and least delay in ms (`delayed`,
`least`), and the requested and actual wait in ms of each client that reconnected after a restart (`returned`).
`GET /counts` returns the first part of it at any time.

| key | fault |
|---|---|
| `drop`, `duplicate`, `reorder` | every n-th delivery, see below |
| `swap_for` | name of a user that receives every fourth message after the next one of another sender |
| `delay` | seconds by which each delivery is delayed |
| `stall` | seconds, once, after the 200th message, in which the server does nothing |
| `restart` | a list of ms: after the 50th message all connections are closed with these `retry_ms` in turn |
| `receive_buffer` | bytes of the kernel's receive buffer |
| `certificate` | a file; the server then uses TLS |
| `style` | of the JSON: "spaced", "reversed" or "escaped" |
| `no_pong` | true: pings get no answer |
| `upload_delay` | seconds until an upload is confirmed |

The first delivery of a sender to a receiver is never dropped, duplicated or reordered: before it arrives, a receiver
that is still joining cannot tell which deliveries it is owed. A reordered delivery is made after its sender's next one.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from http import HTTPStatus
from itertools import count, cycle
from statistics import median
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests import preloaded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from websockets.http11 import Request, Response

    from tests.stampede.fixtures import FinishedRun

ROOM = dict[ServerConnection, None]

TIMER_SECONDS = 0.002
"""Twice the error of the event loop's timers."""


class FaultyServer:
    """The state of the server."""

    def __init__(self, faults: dict[str, Any]) -> None:
        self.faults = faults
        self.rooms: dict[str, ROOM] = {}
        self.names: dict[ServerConnection, str] = {}
        self.contents: dict[ServerConnection, bytes] = {}
        self.numbers = count(1)
        self.counts = {"messages": 0, "delivered": 0, "dropped": 0, "duplicated": 0, "reordered": 0, "swapped": 0}
        self.delays: list[float] = []
        self.seen_pairs: set[tuple[ServerConnection, ServerConnection]] = set()
        self.held_back: dict[tuple[ServerConnection, ServerConnection], str] = {}
        self.to_swap: tuple[ServerConnection, str] | None = None  # sender and message
        self.closed: dict[str, tuple[float, int]] = {}
        self.returned: list[tuple[int, float]] = []

    def encode(self, message: dict[str, Any]) -> str:
        style = self.faults.get("style")
        if style == "reversed":
            message = dict(reversed(message.items()))
        text = json.dumps(message, separators=None if style == "spaced" else (",", ":"))
        return text.replace("A", "\\u0041") if style == "escaped" else text

    async def send(self, client: ServerConnection, message: dict[str, Any]) -> None:
        await client.send(self.encode(message))

    def applies(self, fault: str, number: int) -> bool:
        return number > 0 and number % self.faults.get(fault, number + 1) == 0

    def swap(self, sender: ServerConnection, to: ServerConnection, text: str) -> None:
        """Deliver a message to the user of `swap_for`; messages of one sender stay in order."""
        if self.to_swap is None and next(self.numbers) % 4 == 0:
            self.to_swap = (sender, text)
            return
        texts = [text]
        if self.to_swap is not None:
            (other, held), self.to_swap = self.to_swap, None
            texts.insert(0 if other is sender else 1, held)
            self.counts["swapped"] += other is not sender
        self.counts["delivered"] += len(texts)
        for one in texts:
            self.write(to, one, time.monotonic())

    def deliver(self, sender: ServerConnection, to: ServerConnection, text: str) -> None:
        if self.names[to] == self.faults.get("swap_for"):
            self.swap(sender, to, text)
            return
        pair = (sender, to)
        number = next(self.numbers) if pair in self.seen_pairs else 0  # no fault applies to 0
        self.seen_pairs.add(pair)
        if self.applies("drop", number):
            self.counts["dropped"] += 1
            return
        if self.applies("reorder", number) and pair not in self.held_back:
            self.held_back[pair] = text  # until the sender's next delivery
            return
        self.counts["delivered"] += 1
        texts = [text, text] if self.applies("duplicate", number) else [text]
        self.counts["duplicated"] += len(texts) - 1
        if pair in self.held_back:
            texts.append(self.held_back.pop(pair))
            self.counts["delivered"] += 1
            self.counts["reordered"] += 1
        for one in texts:
            received = time.monotonic()
            early = max(0.0, self.faults.get("delay", 0) - TIMER_SECONDS)
            asyncio.get_running_loop().call_later(early, self.write, to, one, received)

    def write(self, to: ServerConnection, text: str, received: float) -> None:
        while time.monotonic() - received < self.faults.get("delay", 0):
            pass  # exact to a few us; timers of the event loop are exact to a millisecond
        self.delays.append(time.monotonic() - received)
        if to.state.name == "OPEN":
            task = asyncio.ensure_future(to.send(text))
            task.add_done_callback(lambda done: done.exception())

    def restart(self) -> None:
        for (client, name), retry_ms in zip(self.names.items(), cycle(self.faults["restart"]), strict=False):
            self.closed[name] = (time.monotonic(), retry_ms)
            task = asyncio.ensure_future(client.close(1012, f"restart, retry_ms={retry_ms}"))
            task.add_done_callback(lambda done: done.exception())

    def answer_page(self, client: ServerConnection, request: Request) -> Response | None:
        """Answer a request for the counts; None lets the handshake continue."""
        return client.respond(HTTPStatus.OK, json.dumps(self.counts)) if request.path == "/counts" else None

    async def serve(self, client: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await self.handle_messages(client)

    async def store(self, client: ServerConnection, message: dict[str, Any]) -> None:
        match message["type"]:
            case "fileStart":
                self.contents[client] = b""
                await self.send(client, {"type": "fileReady"})
            case "chunk":
                self.contents[client] += message["data"]
            case "fileEnd":
                await asyncio.sleep(self.faults["upload_delay"])
                content = self.contents.pop(client)
                saved = {"type": "fileSaved", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                await self.send(client, saved)

    async def handle_messages(self, client: ServerConnection) -> None:
        connected_at = time.monotonic()
        room: ROOM = {}
        await self.send(client, {"type": "connected", "clientId": "x"})
        async for raw in client:
            message: dict[str, Any] = json.loads(raw) if isinstance(raw, str) else {"type": "chunk", "data": raw[4:]}
            match message["type"]:
                case "setUsername":
                    self.names[client] = message["username"]
                    if message["username"] in self.closed:
                        closed_at, retry_ms = self.closed.pop(message["username"])
                        self.returned.append((retry_ms, 1000 * (connected_at - closed_at)))
                    await self.send(client, {"type": "usernameSet", "username": message["username"]})
                case "joinRoom":
                    room = self.rooms.setdefault(message["room"], {})
                    room[client] = None
                    joined = {"type": "roomJoined", "room": message["room"], "userCount": len(room)}
                    await self.send(client, joined)
                case "fileStart" | "chunk" | "fileEnd":
                    await self.store(client, message)
                case "chatMessage":
                    self.counts["messages"] += 1
                    if self.counts["messages"] == 200 and "stall" in self.faults:
                        time.sleep(self.faults["stall"])  # noqa: ASYNC251 # this is the fault
                    if self.counts["messages"] == 50 and "restart" in self.faults:
                        self.restart()
                    delivery = {
                        "type": "chatMessage",
                        "user": self.names[client],
                        "text": message["text"],
                        "timestamp": 1,
                    }
                    text = self.encode(delivery)
                    for other in room:
                        if other is not client:
                            self.deliver(client, other, text)
                case "ping" if not self.faults.get("no_pong"):
                    await self.send(client, {"type": "pong", "timestamp": message.get("timestamp"), "serverTime": 1})
        room.pop(client, None)


async def main() -> None:
    """Serve until SIGTERM."""
    server = FaultyServer(json.loads(sys.argv[1]))
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    tls = None
    if "certificate" in server.faults:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(server.faults["certificate"])
    listener = socket.create_server(("127.0.0.1", 0))
    if "receive_buffer" in server.faults:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, server.faults["receive_buffer"])
    options: dict[str, Any] = {"process_request": server.answer_page, "compression": None, "ssl": tls}
    async with serve(server.serve, sock=listener, **options) as listening:
        print(f"ws{'s' if tls else ''}://127.0.0.1:{listening.sockets[0].getsockname()[1]}", flush=True)
        await stopped.wait()
        server.counts["dropped"] += len(server.held_back) + (
            server.to_swap is not None
        )  # their senders sent nothing more
        delayed = median(server.delays) * 1000 if server.delays else 0.0
        measured = {"delayed": delayed, "least": min(server.delays, default=0.0) * 1000, "returned": server.returned}
        print(json.dumps(server.counts | measured), flush=True)


class RunningFaultyServer:
    """A running faulty server; `counts` is its output after it has stopped."""

    def __init__(self, faults: dict[str, Any]) -> None:
        command = [sys.executable, "-m", "tests.promises.faulty_server", json.dumps(faults)]
        self.process = preloaded.popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.counts: dict[str, Any] = {}

    def has(self, **least: int) -> bool:
        """Return whether each of the named counts has reached a number."""
        counts = self.read_counts()
        return all(counts[name] >= number for name, number in least.items())

    def read_counts(self) -> dict[str, int]:
        """Return the counts of the running server."""
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=ssl._create_unverified_context()),  # noqa: S323 - a server on loopback
        )
        with opener.open(f"{self.url.replace('ws', 'http', 1)}/counts", timeout=60) as answer:
            return dict(json.load(answer))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=30)
        self.counts = json.loads(out)


@contextmanager
def faulty_server(**faults: Any) -> Iterator[RunningFaultyServer]:
    """Run a server with these faults."""
    server = RunningFaultyServer(faults)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def assert_faults_are_counted(ended: FinishedRun, truth: Mapping[str, int]) -> None:
    """Assert that a run found exactly the faults that the server planted, of each kind at least one."""
    ledger = ended.ledger()
    assert ledger["lost"] == truth["dropped"] > 0
    assert ledger["received"] == truth["delivered"]
    assert ledger["expected"] == truth["delivered"] + truth["dropped"]
    assert ledger["duplicated"] == truth["duplicated"] > 0
    assert ledger["reordered"] == truth["reordered"] > 0
    assert ended.requests()["deliver"] == (ledger["expected"], ledger["lost"])
    assert ended.ended_with(1)


if __name__ == "__main__":
    asyncio.run(main())
