"""One listening address: its open connections, and how many there may be."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from server.http.deadlines import Deadlines

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.http.handshake import HandshakePolicy
    from server.websocket.connection import Connection
    from server.websocket.context import ServerContext


class OpenConnection(Protocol):
    """A connection in any of its phases: TLS handshake, HTTP or WebSocket."""

    def abort(self) -> None:
        """Close the transport at once."""


@dataclass(slots=True)
class Listener:
    """The connections of one listening address.

    Attributes:
        soft_limit: connections of any kind; each one above this limit is answered with 503.
        hard_limit: connections for which there are file descriptors; each one above this limit is aborted without an
            answer.
        handshakes: the deadlines of connections that have not sent their request yet.
        on_websocket_closed: removes a WebSocket, and releases its place under the connection limits.
    """

    context: ServerContext
    policy: HandshakePolicy
    soft_limit: int
    hard_limit: int
    connections: set[OpenConnection] = field(default_factory=set)
    handshakes: Deadlines = field(init=False)
    on_websocket_closed: Callable[[Connection], None] = field(init=False)
    _emptied: asyncio.Event | None = None

    def __post_init__(self) -> None:
        self.handshakes = Deadlines(self.context.loop)
        self.on_websocket_closed = self._websocket_closed  # bound once: each connection would keep 64 bytes of its own

    @property
    def is_full(self) -> bool:
        """Whether there are more connections than the soft limit."""
        return len(self.connections) > self.soft_limit

    @property
    def is_overloaded(self) -> bool:
        """Whether there are more connections than the hard limit."""
        return len(self.connections) > self.hard_limit

    def add(self, connection: OpenConnection) -> None:
        """Add a new connection."""
        self.connections.add(connection)

    def replace(self, connection: OpenConnection, by: OpenConnection) -> None:
        """Replace the object that represents a connection, as an upgrade does."""
        self.connections.discard(connection)
        self.connections.add(by)

    def discard(self, connection: OpenConnection) -> None:
        """Remove a connection whose transport is closed."""
        self.connections.discard(connection)
        if self._emptied is not None and not self.connections:
            self._emptied.set()

    async def wait_empty(self) -> None:
        """Wait until there is no connection."""
        if self.connections:
            self._emptied = asyncio.Event()
            await self._emptied.wait()

    def _websocket_closed(self, connection: Connection) -> None:
        self.discard(connection)
        self.policy.admission.release(connection.upgrade.address)
