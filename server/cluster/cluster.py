"""Makes a server process a node of a cluster: its bus, its place among the others, and their beats."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Final

from server.cluster.bus import Bus
from server.cluster.membership import BEAT_SECONDS
from server.cluster.node import Node

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from server.chat.batching import Tick
    from server.chat.hub import Hub
    from server.runtime.background_tasks import BackgroundTasks
    from server.stats import ServerStats

_LOOKS_PER_BEAT: Final = 4
"""How often to look who has fallen silent: a node that died is forgotten soon after its last beat's time is over."""


class Cluster:
    """The other nodes, as this one sees them.

    Args:
        url: of the bus.
        credentials: file with a NATS user's JWT and seed, or None.
        hub: becomes one of many: its relay is replaced.
        stats: of this process.
        tick: of this process.
        clock: monotonic seconds.
        messages_per_second: what this process receives.
        tasks: keeps the tasks of this node running.
    """

    def __init__(
        self,
        url: str,
        credentials: Path | None,
        hub: Hub,
        stats: ServerStats,
        *,
        tick: Tick,
        clock: Callable[[], float],
        messages_per_second: Callable[[], float],
        tasks: BackgroundTasks,
    ) -> None:
        id_ = secrets.token_hex(8)
        self._hub = hub
        self._tasks = tasks
        self._bus = Bus(url, credentials, id_, clock, tasks)
        self._node = hub.relay = Node(
            id_,
            self._bus,
            hub,
            stats,
            tick=tick,
            clock=clock,
            wall_ms=lambda: time.time_ns() / 1e6,
            messages_per_second=messages_per_second,
        )
        self._beats: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the bus carries what this node says, and brings what it should hear."""
        return self._bus.is_connected

    @property
    def connections(self) -> int:
        """Connections of the other nodes."""
        return self._node.others.connections

    @property
    def messages_per_second(self) -> float:
        """What the other nodes receive."""
        return self._node.others.messages_per_second

    @property
    def nodes(self) -> int:
        """How many other nodes there are."""
        return self._node.others.nodes

    @property
    def rooms(self) -> int:
        """Rooms on any node, this one included."""
        return len(self._hub.rooms.keys() | set(self._node.others.rooms))

    async def start(self) -> None:
        """Connect, and join the others.

        Raises:
            SettingsError: there is no bus.
        """
        await self._bus.start(receive=self._node.take, returned=self._node.resynchronise)
        self._node.begin()
        self._beats = asyncio.create_task(self._tasks.keep_running("bus_beat", self._beat))

    async def stop(self) -> None:
        """Take leave of the others."""
        if self._beats is not None:
            self._beats.cancel()
        self._node.end()
        await self._bus.stop()

    async def _beat(self) -> None:
        while True:
            await self._bus.beat()
            self._node.beat()
            for _ in range(_LOOKS_PER_BEAT):
                await asyncio.sleep(BEAT_SECONDS / _LOOKS_PER_BEAT)
                self._bus.look()
                self._node.forget_silent()
