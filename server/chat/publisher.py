"""Encoding of messages, and the ways to send them: to one client, to a room, to the watchers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.chat.member import SENT, SLOW
from server.protocol import messages as wire
from stampede.websocket.frames import text_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.chat.broker import Broker
    from server.chat.client import Client
    from server.chat.registry import Registry
    from server.chat.room import Room
    from server.stats import ServerStats


class Publisher:
    """Send messages to local clients and to other nodes.

    Args:
        registry: the rooms of this process.
        broker: sends messages to other nodes.
        stats: counts replies.
        clock: monotonic seconds.
    """

    def __init__(self, registry: Registry, broker: Broker, stats: ServerStats, clock: Callable[[], float]) -> None:
        self._everyone = registry.everyone
        self._watchers = registry.watchers
        self._broker = broker
        self._stats = stats
        self._clock = clock

    def first_frame(self, message: wire.Message) -> bytes:
        """Return the frame of a message that the connection sends with the response to the handshake."""
        self._stats.messages_delivered[wire.TYPE_OF[type(message)]] += 1
        return text_frame(wire.encode(message))

    def reply(self, client: Client, message: wire.Message) -> None:
        """Send a message to one client, after `chat` messages that wait for the end of the iteration."""
        if self._everyone.pending:
            self._everyone.flush_to(client)
        kind = wire.TYPE_OF[type(message)]
        frame = text_frame(wire.encode(message))
        result = client.write(frame)
        if result is SLOW:
            result = client.enqueue(frame)
        if result is SENT:
            self._stats.messages_delivered[kind] += 1
        else:
            self._stats.messages_dropped[kind, result.value] += 1

    def publish(
        self,
        room: Room,
        message: wire.Message,
        received_at: float,
        author: Client | None = None,
        in_batch: bool = False,
    ) -> None:
        """Send a message to a room's members on all nodes; `Room.publish` documents the arguments."""
        kind = wire.TYPE_OF[type(message)]
        frame = text_frame(wire.encode(message))
        room.publish(kind, frame, received_at, author, in_batch)
        self._broker.publish(room.key, kind, frame)

    def publish_locally(self, room: Room, message: wire.Message, received_at: float, in_batch: bool = False) -> None:
        """Send a message to a room's members on this node."""
        kind = wire.TYPE_OF[type(message)]
        room.publish(kind, text_frame(wire.encode(message)), received_at, None, in_batch)

    def notify(self, notification: wire.Notification) -> None:
        """Send a notification to the watchers of this node."""
        if self._watchers:
            self.publish_locally(self._watchers, notification, self._clock())
