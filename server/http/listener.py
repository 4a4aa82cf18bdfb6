"""What all connections of one listening socket share, and the list of who is there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from server.chat.batching import BatchScheduler
    from server.context import Services
    from server.http.handshake import HandshakePolicy
    from server.websocket.heartbeat import HeartbeatWheel


class Guest(Protocol):
    """Whoever holds a socket."""

    def abort(self) -> None:
        """Cut the connection."""


@dataclass(slots=True)
class Gate:
    """One listening socket.

    Attributes:
        most_sockets: sockets in all, upgraded or not, TLS handshakes included; one more is answered at once that the
            server is full.
        socket_limit: sockets that there are descriptors for; one more is cut off without an answer.
        guests: who holds one.
    """

    services: Services
    policy: HandshakePolicy
    wheel: HeartbeatWheel
    loop: asyncio.AbstractEventLoop
    scheduler: BatchScheduler
    most_sockets: int
    socket_limit: int
    guests: set[Guest] = field(default_factory=set)
    _emptied: asyncio.Event | None = None

    @property
    def is_full(self) -> bool:
        """Whether no socket may be added."""
        return len(self.guests) > self.most_sockets

    @property
    def is_overrun(self) -> bool:
        """Whether there is no descriptor left to refuse somebody with."""
        return len(self.guests) > self.socket_limit

    def replace(self, guest: Guest, by: Guest) -> None:
        """Note that a socket has changed hands."""
        self.guests.discard(guest)
        self.guests.add(by)

    def remove(self, guest: Guest) -> None:
        """Forget one that is gone."""
        self.guests.discard(guest)
        if self._emptied is not None and not self.guests:
            self._emptied.set()

    async def emptied(self) -> None:
        """Wait until nobody is left."""
        if self.guests:
            self._emptied = asyncio.Event()
            await self._emptied.wait()
