"""A chat server with a known limit, enforced by delays instead of work: capacity runs are tested against it.

    python -m benchmarks.accuracy.limited_server --limit 3800 [--kind stalls|degrades|warms] [--silent-after SECONDS]

- `stalls`: makes at most LIMIT deliveries a second; the others wait in a queue.
- `degrades`: each delivery waits 50 ms / (1 - rate / LIMIT), so 250 ms are reached at four fifths of LIMIT.
- `warms`: stalls, and is slow for some seconds whenever the number of users reaches a new maximum.

`--silent-after` makes `/metrics` fail that many seconds after its first request; SIGUSR1 does so at once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import math
import re
import signal
import subprocess
import sys
import time
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BASE_DELAY_S = 0.05
WARM_S = 1.0
WARM_DELAY_S = 0.8


@contextlib.contextmanager
def start_limited_server(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the server in a separate process; yield its URL and its process.

    Raises:
        RuntimeError: the server did not start.
    """
    command = [sys.executable, "-m", "benchmarks.accuracy.limited_server", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - this module
    try:
        first_line = process.stdout.readline() if process.stdout is not None else ""
        found = re.search(r"ws://\S+", first_line)
        if found is None:
            raise RuntimeError("the limited server did not start")
        yield found[0], process
    finally:
        process.terminate()
        process.communicate(timeout=20)


class LimitedServer:
    """Rooms, and the delay of each delivery."""

    def __init__(self, limit: float, kind: str, silent_after: float | None) -> None:
        self.limit = limit
        self.kind = kind
        self.silent_after = silent_after
        self.rooms: dict[str, set[ServerConnection]] = {}
        self.free_at = 0.0
        self.recent: deque[tuple[float, int]] = deque()
        self.delivered = 0
        self.connected = self.most = 0
        self.grew_at = -math.inf
        self.asked_at: float | None = None

    def wait(self, now: float, deliveries: int) -> float:
        """Return the delay of these deliveries in seconds."""
        if self.kind == "degrades":
            return BASE_DELAY_S / max(0.01, 1 - self.rate(now, deliveries) / self.limit)
        self.free_at = max(self.free_at, now) + deliveries / self.limit
        warming = WARM_DELAY_S * math.exp(-(now - self.grew_at) / WARM_S) if self.kind == "warms" else 0.0
        return self.free_at - now + warming

    def rate(self, now: float, deliveries: int) -> float:
        """Return deliveries a second over the last two seconds."""
        self.recent.append((now, deliveries))
        while self.recent[0][0] < now - 2:
            self.recent.popleft()
        return sum(count for _, count in self.recent) / max(0.5, now - self.recent[0][0])

    def publish(self, sender: ServerConnection, room: str, name: str, text: str) -> None:
        members = self.rooms[room] - {sender}
        loop = asyncio.get_running_loop()
        stamped = {"type": "chatMessage", "user": name, "text": text, "timestamp": int(time.time() * 1000)}
        loop.call_later(self.wait(loop.time(), len(members)), self.deliver, members, json.dumps(stamped))

    def deliver(self, members: set[ServerConnection], text: str) -> None:
        self.delivered += len(members)
        broadcast(members, text)

    async def handle(self, connection: ServerConnection) -> None:
        self.connected += 1
        if self.connected > self.most:
            self.most, self.grew_at = self.connected, asyncio.get_running_loop().time()
        room, name = "", "user"
        await connection.send(json.dumps({"type": "connected", "clientId": str(connection.id)}))
        try:
            async for message in connection:
                received: dict[str, Any] = json.loads(message)
                match received["type"]:
                    case "setUsername":
                        name = received["username"]
                        await connection.send(json.dumps({"type": "usernameSet", "username": name}))
                    case "joinRoom":
                        room = received["room"]
                        members = self.rooms.setdefault(room, set())
                        broadcast(
                            members,
                            json.dumps({"type": "userJoined", "user": name, "room": room, "userCount": len(members)}),
                        )
                        members.add(connection)
                        joined = {"type": "roomJoined", "room": room, "userCount": len(members)}
                        await connection.send(json.dumps(joined))
                    case "chatMessage":
                        self.publish(connection, room, name, received["text"])
        finally:
            self.connected -= 1
            self.rooms.get(room, set()).discard(connection)
            broadcast(
                self.rooms.get(room, set()),
                json.dumps({"type": "userLeft", "user": name, "userCount": len(self.rooms.get(room, ()))}),
            )

    def answer(self, _connection: ServerConnection, request: Request) -> Response | None:
        """Serve the metrics; other requests are upgrades."""
        if request.path != "/metrics":
            return None
        now = time.monotonic()
        self.asked_at = now if self.asked_at is None else self.asked_at
        if self.silent_after is not None and now - self.asked_at > self.silent_after:
            return Response(HTTPStatus.SERVICE_UNAVAILABLE, "silent", Headers(), b"")
        page = f"chat_messages_delivered_total {self.delivered}\nchat_connections {self.connected}\n"
        return Response(HTTPStatus.OK, "OK", Headers({"Content-Type": "text/plain"}), page.encode())


async def run(server: LimitedServer, announce: Callable[[str], None]) -> None:
    async with serve(
        server.handle, "127.0.0.1", 0, process_request=server.answer, compression=None, ping_interval=None
    ) as listener:
        announce(f"listening on ws://127.0.0.1:{next(iter(listener.sockets)).getsockname()[1]}")
        await listener.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=float, required=True)
    parser.add_argument("--kind", choices=["stalls", "degrades", "warms"], default="stalls")
    parser.add_argument("--silent-after", type=float)
    given = parser.parse_args()
    server = LimitedServer(given.limit, given.kind, given.silent_after)
    signal.signal(signal.SIGUSR1, lambda *_: setattr(server, "silent_after", -1.0))
    logging.disable()  # tests drop clients in the middle of messages
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(server, lambda line: print(line, flush=True)))


if __name__ == "__main__":
    main()
