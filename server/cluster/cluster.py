"""One server process as a node of a cluster: its bus connections, its node, and its heartbeats."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Final

from server.cluster.bus import Bus
from server.cluster.membership import HEARTBEAT_SECONDS
from server.cluster.node import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from server.chat.batching import BatchScheduler
    from server.chat.room import Room
    from server.cluster.node import Receiver
    from server.runtime.background_tasks import BackgroundTasks
    from server.stats import ServerStats

_CHECKS_PER_HEARTBEAT: Final = 4
"""Interval of the checks for silent nodes: a node is removed soon after its timeout."""


class Cluster:
    """The connection of this process to the other server processes.

    Args:
        url: address of the NATS server.
        credentials: file with a NATS user's JWT and seed, or None.
        rooms: the rooms with local members, by key.
        stats: the counters of this process.
        scheduler: the batch scheduler of this process.
        clock: monotonic seconds.
        messages_per_second: the rate of messages from clients of this process.
        tasks: keeps the tasks of this node running.

    Attributes:
        node: the broker for the hub of this process.
    """

    def __init__(
        self,
        url: str,
        credentials: Path | None,
        rooms: Mapping[str, Room],
        stats: ServerStats,
        *,
        scheduler: BatchScheduler,
        clock: Callable[[], float],
        messages_per_second: Callable[[], float],
        tasks: BackgroundTasks,
    ) -> None:
        id_ = secrets.token_hex(8)
        self._rooms = rooms
        self._tasks = tasks
        self._bus = Bus(url, credentials, id_, clock, tasks)
        self.node = Node(
            id_,
            self._bus,
            rooms,
            stats,
            scheduler=scheduler,
            clock=clock,
            wall_ms=lambda: time.time_ns() / 1e6,
            messages_per_second=messages_per_second,
        )
        self._heartbeats: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the bus carries messages in both directions."""
        return self._bus.is_connected

    @property
    def connections(self) -> int:
        """Connections of the other nodes."""
        return self.node.remote.connections

    @property
    def messages_per_second(self) -> float:
        """Messages per second that the other nodes receive from their clients."""
        return self.node.remote.messages_per_second

    @property
    def nodes(self) -> int:
        """Number of other nodes."""
        return self.node.remote.nodes

    @property
    def rooms(self) -> int:
        """Number of rooms on all nodes, including this one."""
        return len(self._rooms.keys() | set(self.node.remote.rooms))

    async def start(self, receiver: Receiver) -> None:
        """Connect to the bus and join the other nodes.

        Args:
            receiver: receives the events of other nodes (the hub).

        Raises:
            SettingsError: the bus cannot be reached.
        """
        await self._bus.start(on_message=self.node.receive, on_reconnect=self.node.resynchronise)
        self.node.start(receiver)
        self._heartbeats = asyncio.create_task(self._tasks.keep_running("bus_beat", self._send_heartbeats))

    async def stop(self) -> None:
        """Leave the other nodes and disconnect."""
        if self._heartbeats is not None:
            self._heartbeats.cancel()
        self.node.stop()
        await self._bus.stop()

    async def _send_heartbeats(self) -> None:
        while True:
            await self._bus.probe()
            self.node.send_heartbeat()
            for _ in range(_CHECKS_PER_HEARTBEAT):
                await asyncio.sleep(HEARTBEAT_SECONDS / _CHECKS_PER_HEARTBEAT)
                self._bus.detect_suspend()
                self.node.remove_silent()
