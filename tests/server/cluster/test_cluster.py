"""Nodes over a real NATS server, without clients: each node's state of the others."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from server.chat.batching import BatchScheduler
from server.chat.client import Client
from server.chat.hub import Hub
from server.chat.registry import Registry
from server.cluster.cluster import Cluster
from server.protocol import messages as wire
from server.runtime.background_tasks import BackgroundTasks
from server.stats import ServerStats
from tests.server.cluster.fixtures import Nats, until
from tests.server.cluster.node_helpers import FakeConnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LONG = "🦬" * 120


class Process:
    """The hub and the cluster of a server process."""

    def __init__(self, url: str) -> None:
        loop = asyncio.get_running_loop()
        self.stats = ServerStats()
        scheduler = BatchScheduler(loop.call_soon, time.perf_counter)
        registry = Registry(self.stats, scheduler, time.perf_counter)
        self.cluster = Cluster(
            url,
            None,
            registry.rooms,
            self.stats,
            scheduler=scheduler,
            clock=time.perf_counter,
            messages_per_second=lambda: 0.0,
            tasks=BackgroundTasks(self.stats.task_failures),
        )
        self.hub = Hub(
            registry,
            self.cluster.node,
            self.stats,
            clock=time.perf_counter,
            wall_ms=lambda: 0,
            call_later=loop.call_later,
            presence_threshold=200,
        )

    def join(self, room: str) -> None:
        client = Client(room, FakeConnection())
        self.hub.connect(client, wire.Connected(room, 30.0, 16384, 1))
        self.hub.handle(client, wire.JoinRoom(room), 0.0)


@asynccontextmanager
async def running(url: str) -> AsyncIterator[Process]:
    process = Process(url)
    await process.cluster.start(process.hub)
    try:
        yield process
    finally:
        await process.cluster.stop()


def test_thousands_of_rooms_with_long_names_reach_a_node_that_starts_later(nats: Nats) -> None:
    async def scenario() -> None:
        async with running(nats.url) as first:
            rooms = 2500  # their names alone exceed the payload limit of NATS
            for number in range(rooms):
                first.join(f"{number} {LONG}")
            async with running(nats.url) as second:
                await until(lambda: second.cluster.rooms == rooms)
                await until(lambda: second.cluster.nodes == first.cluster.nodes == 1)
            assert first.cluster._bus._main.stats["reconnects"] == 0

    asyncio.run(scenario())


def test_chat_works_over_a_bus_with_a_small_payload_limit(tmp_path: Path) -> None:
    configuration = tmp_path / "nats.conf"
    configuration.write_text("max_payload: 4096")
    small = Nats("--config", str(configuration))

    async def scenario() -> None:
        async with running(small.url) as first, running(small.url) as second:
            for number in range(60):
                first.join(f"{number} {LONG}")
            await until(lambda: second.cluster.rooms == 60)
            assert first.cluster._bus._main.stats["reconnects"] == 0

    try:
        asyncio.run(scenario())
    finally:
        small.kill()
