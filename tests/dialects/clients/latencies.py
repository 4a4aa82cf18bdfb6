"""Measure a chat server with a client library: one client sends at a fixed interval, others in the room receive."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "latency-"
LAST_DELIVERY_SECONDS = 60


class Client(Protocol):
    """A client that has joined a room."""

    async def say(self, text: str) -> None:
        """Send a text to the room."""

    async def close(self) -> None:
        """Disconnect."""


class Connect(Protocol):
    """Join a room."""

    async def __call__(
        self, url: str, room: str, token: str | None, number: int, received: Callable[[str], None]
    ) -> Client:
        """Return a client, given its number and what to call with each received text."""


@dataclass
class Latencies:
    """Latencies of the deliveries so far."""

    expected: int
    sent: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    complete: asyncio.Event = field(default_factory=asyncio.Event)

    def received(self, text: str) -> None:
        """Count a delivery; the text may stand within other text."""
        _, found, number = text.partition(PREFIX)
        if not found:
            return  # of another user
        self.milliseconds.append((time.perf_counter() - self.sent[int(number)]) * 1000)
        if len(self.milliseconds) == self.expected:
            self.complete.set()


def measure(connect: Connect) -> None:
    """Measure and print the latencies as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--room", default="latencies")
    parser.add_argument("--texts", type=int, default=20)
    parser.add_argument("--interval", type=float, default=0.05, help="seconds")
    parser.add_argument("--receivers", type=int, default=1)
    parser.add_argument("--token")
    print(json.dumps(asyncio.run(_measure(connect, parser.parse_args()))))


async def _measure(connect: Connect, options: argparse.Namespace) -> dict[str, float]:
    latencies = Latencies(options.texts * options.receivers)
    clients = [
        await connect(options.url, options.room, options.token, number, latencies.received)
        for number in range(options.receivers)
    ]
    sender = await connect(options.url, options.room, options.token, options.receivers, lambda _: None)
    start = time.perf_counter()
    for number in range(options.texts):
        await asyncio.sleep(start + number * options.interval - time.perf_counter())
        latencies.sent.append(time.perf_counter())
        await sender.say(f"{PREFIX}{number}")
    async with asyncio.timeout(LAST_DELIVERY_SECONDS):
        await latencies.complete.wait()
    for client in (*clients, sender):
        await client.close()
    ordered = sorted(latencies.milliseconds)

    def quantile(q: float) -> float:
        return ordered[int(q * (len(ordered) - 1))]

    return {
        "sent": options.texts,
        "received": len(ordered),
        "p10_ms": quantile(0.1),
        "median_ms": quantile(0.5),
        "p95_ms": quantile(0.95),
    }
