"""Run a mixed load for a long time, and check that memory and descriptors do not grow and no error is logged.

    .venv/bin/python -m tests.promises.soak --seconds 600

The load: chat in rooms of ten, typing, reconnects, uploads and malformed input. Growth is judged from the second
quarter on: until then caches, arenas and rooms fill.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import deque
from typing import TYPE_CHECKING, Final

from tests.promises.mutations import KINDS
from tests.promises.raw_clients import RawClientPool, frame, message
from tests.promises.server_process import launch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.promises.raw_clients import Client
    from tests.promises.server_process import ServerProcess

CLIENTS: Final = 500
ROOM: Final = 10
MAX_MALFORMED: Final = 20  # limit on connections with a malformed request
SAMPLES: Final = 40
GROWTH: Final = 1.05
CHUNK: Final = 65536
_CHAT_MESSAGE: Final = message("chatMessage", text="a text of thirty-two bytes, or so")


class Soak:
    """A mixed load at a given number of messages per second."""

    def __init__(self, pool: RawClientPool, rate: float, seed: int) -> None:
        self._pool = pool
        self._rate = rate
        self._rng = random.Random(seed)
        self._sent = 0
        self._acted = 0
        self._malformed: deque[Client] = deque()  # connections whose malformed head may be valid by chance
        self._clients = [self._new_client() for _ in range(CLIENTS)]

    def run(self, seconds: float) -> None:
        """Run the load for some seconds."""
        sent, acted = self._sent, self._acted

        def act(now: float) -> None:
            while self._sent < sent + int(now * self._rate):
                client = self._clients[self._sent % CLIENTS]
                self._pool.send(client, _CHAT_MESSAGE if self._sent % 5 else message("typing"))
                self._sent += 1
            while self._acted < acted + int(now * 10):
                self._acted += 1
                self._random_action()

        self._pool.run(seconds, act)

    def leave(self) -> None:
        """Close all connections at once."""
        self._pool.abort(list(self._pool.clients.values()))

    def _new_client(self) -> Client:
        client = self._pool.add()
        self._pool.wait_until(
            lambda: client.is_open or client.is_gone, "a handshake"
        )  # the malformed ones may wait for the timeout
        number = self._rng.randrange(CLIENTS // ROOM)
        self._pool.send(client, message("setUsername", username=client.name))
        self._pool.send(client, message("joinRoom", room=f"room-{number}"))
        return client

    def _random_action(self) -> None:
        index = self._rng.randrange(CLIENTS)
        client = self._clients[index]
        match self._rng.randrange(6):
            case 0:  # abort and reconnect
                self._pool.abort([client])
            case 1:  # change the room
                self._pool.send(client, message("joinRoom", room=f"room-{self._rng.randrange(CLIENTS // ROOM)}"))
            case 2:  # upload a file
                self._pool.send(client, message("fileStart", name="n", size=CHUNK))
                self._pool.send(client, frame(bytes(4 + CHUNK), 0x82) + message("fileEnd"))
            case 3:  # send malformed frames, which may end the connection
                self._pool.send(client, KINDS[1].make(self._rng))
            case 4:
                self._malformed.append(self._pool.add(KINDS[0].make(self._rng)))
                if len(self._malformed) > MAX_MALFORMED:
                    self._pool.abort([self._malformed.popleft()])
            case _:  # send a close frame
                self._pool.send(client, frame(b"\x03\xe8", 0x88))
        for place, one in enumerate(self._clients):
            if one.is_gone or one.code:
                self._pool.abort([one])
                self._clients[place] = self._new_client()


def soak(server: ServerProcess, pool: RawClientPool, seconds: float, rate: float) -> list[tuple[int, int]]:
    """Return samples of the server's memory in bytes and descriptors, at regular times."""
    load = Soak(pool, rate, seed=1)
    taken = []
    for number in range(SAMPLES):
        load.run(seconds / SAMPLES)
        taken.append((server.rss, server.descriptors))
        if not number % (SAMPLES // 10):
            print(
                f"{number * seconds / SAMPLES:6.0f} s  {taken[-1][0] / 2**20:6.1f} MiB  {taken[-1][1]} files",
                flush=True,
            )
    load.leave()
    server.wait_until(lambda: server.samples()["chat_connections"] == 0, "all connections to end")
    return taken


def verdict(taken: Sequence[tuple[int, int]]) -> list[str]:
    """Return a line for each resource that grew from the second quarter to the last."""
    quarter = len(taken) // 4
    problems = []
    for index, name in enumerate(("memory", "descriptors")):
        early = max(sample[index] for sample in taken[quarter : 2 * quarter])
        late = max(sample[index] for sample in taken[-quarter:])
        if late > GROWTH * early:
            problems.append(f"{name} grew from {early:,} to {late:,}")
    return problems


def main() -> int:
    """Run the load; exit with 1 and a line for each resource that grew."""
    parser = argparse.ArgumentParser(
        prog=f"{sys.orig_argv[0]} -m tests.promises.soak", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=4000.0, help="messages per second (%(default)s)")
    options = parser.parse_args()
    with launch("--handshake-rate", "0", "--heartbeat-interval", "5", "--heartbeat-timeout", "30") as server:
        before = server.descriptors
        with RawClientPool(server.url) as pool:
            taken = soak(server, pool, options.seconds, options.rate)
        server.wait_until(lambda: server.descriptors <= before + 1, "descriptors to be released")
        problems = verdict(taken)
        print(f"closed: {server.closed()}")
    # The context manager has checked the exit code and the log.
    print("\n".join(problems) or "no growth, and no errors in the log")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
