"""Soak a server in mixed load and see whether anything grows: memory, descriptors, complaints.

    .venv/bin/python -m tests.promises.soak --seconds 600

Chat in rooms of ten, typing, coming and going, files, members who stop reading, rubbish, floods of handshakes. Flat is
judged from the second quarter on: until then caches, arenas and rooms fill.
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
STRANGERS: Final = 20  # connections at most that began with rubbish
SAMPLES: Final = 40
GROWTH: Final = 1.05
CHUNK: Final = 65536
_WORD: Final = message("chatMessage", text="a text of thirty-two bytes, or so")


class Soak:
    """A pool that does a bit of everything, at a given number of messages a second."""

    def __init__(self, pool: RawClientPool, rate: float, seed: int) -> None:
        self._pool = pool
        self._rate = rate
        self._rng = random.Random(seed)
        self._said = 0
        self._acted = 0
        self._rubbish: deque[Client] = deque()  # whose heads may have been good by accident
        self._clients = [self._newcomer() for _ in range(CLIENTS)]

    def run(self, seconds: float) -> None:
        """Go on for a while."""
        said, acted = self._said, self._acted

        def act(now: float) -> None:
            while self._said < said + int(now * self._rate):
                client = self._clients[self._said % CLIENTS]
                self._pool.send(client, _WORD if self._said % 5 else message("typing"))
                self._said += 1
            while self._acted < acted + int(now * 10):
                self._acted += 1
                self._one_of_many_things()

        self._pool.run(seconds, act)

    def leave(self) -> None:
        """Let all go at once."""
        self._pool.abort(list(self._pool.clients.values()))

    def _newcomer(self) -> Client:
        client = self._pool.add()
        self._pool.wait_until(
            lambda: client.is_open or client.is_gone, "a handshake"
        )  # bad heads may wait for their time-out
        number = self._rng.randrange(CLIENTS // ROOM)
        self._pool.send(client, message("setUsername", username=client.name))
        self._pool.send(client, message("joinRoom", room=f"room-{number}"))
        return client

    def _one_of_many_things(self) -> None:
        index = self._rng.randrange(CLIENTS)
        client = self._clients[index]
        match self._rng.randrange(6):
            case 0:  # vanish and come back
                self._pool.abort([client])
            case 1:  # move
                self._pool.send(client, message("joinRoom", room=f"room-{self._rng.randrange(CLIENTS // ROOM)}"))
            case 2:  # send a file
                self._pool.send(client, message("fileStart", name="n", size=CHUNK))
                self._pool.send(client, frame(bytes(4 + CHUNK), 0x82) + message("fileEnd"))
            case 3:  # talk rubbish, which may end the connection
                self._pool.send(client, KINDS[1].make(self._rng))
            case 4:
                self._rubbish.append(self._pool.add(KINDS[0].make(self._rng)))
                if len(self._rubbish) > STRANGERS:
                    self._pool.abort([self._rubbish.popleft()])
            case _:  # say goodbye
                self._pool.send(client, frame(b"\x03\xe8", 0x88))
        for place, one in enumerate(self._clients):
            if one.is_gone or one.code:
                self._pool.abort([one])
                self._clients[place] = self._newcomer()


def soak(server: ServerProcess, pool: RawClientPool, seconds: float, rate: float) -> list[tuple[int, int]]:
    """Return memory in bytes and descriptors of the server, regularly over the time."""
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
    server.wait_until(lambda: server.samples()["chat_connections"] == 0, "everyone to be gone")
    return taken


def verdict(taken: Sequence[tuple[int, int]]) -> list[str]:
    """Return what grew from the second quarter to the last; nothing if all is flat."""
    quarter = len(taken) // 4
    problems = []
    for index, name in enumerate(("memory", "descriptors")):
        early = max(sample[index] for sample in taken[quarter : 2 * quarter])
        late = max(sample[index] for sample in taken[-quarter:])
        if late > GROWTH * early:
            problems.append(f"{name} grew from {early:,} to {late:,}")
    return problems


def main() -> int:
    """Exit with 1 and a line for each thing that grew."""
    parser = argparse.ArgumentParser(
        prog=f"{sys.orig_argv[0]} -m tests.promises.soak", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=4000.0, help="messages a second (%(default)s)")
    options = parser.parse_args()
    with launch("--handshake-rate", "0", "--heartbeat-interval", "5", "--heartbeat-timeout", "30") as server:
        before = server.descriptors
        with RawClientPool(server.url) as pool:
            taken = soak(server, pool, options.seconds, options.rate)
        server.wait_until(lambda: server.descriptors <= before + 1, "descriptors to be given back")
        problems = verdict(taken)
        print(f"closed: {server.closed()}")
    # Leaving it has looked at its exit code and its log.
    print("\n".join(problems) or "flat, and nothing to complain about")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
