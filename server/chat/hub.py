"""The chat of one server process: its clients and rooms, and the messages between them.

The hub has no sockets, no clock and no `await`. Frames go out through each client's `write`, the time comes with every
call, and the batch scheduler ends the loop iterations.

Guarantees of the protocol:

- A client's messages take effect in the order in which they were received.
- All members of a room receive the room's messages in one order.
- A client that joins receives its own `userJoined` before its `roomJoined`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec import structs

from server.chat.broker import WATCHERS
from server.chat.commands import Commands
from server.chat.presence import Presence
from server.chat.publisher import Publisher
from server.protocol import messages as wire
from stampede.websocket.frames import text_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.chat.broker import Broker, PresenceChange
    from server.chat.client import Client
    from server.chat.registry import Registry
    from server.errors import RequestError
    from server.stats import ServerStats

LOAD_HISTORY: Final = 120
"""Load reports replayed to a new watcher."""


class Hub:
    """The chat of one server process.

    Args:
        registry: the rooms of this process.
        broker: the connection to other server processes, or a `NullBroker`.
        stats: the counters of this process.
        clock: monotonic seconds; the clock of every `received_at`.
        wall_ms: wall clock in milliseconds, for timestamps in messages.
        call_later: calls back after some seconds (`loop.call_later`).
        presence_threshold: members above which a room's presence is coalesced; 0: never.
        chat_rate: `chat` messages per second from one client; 0: no limit.
        chat_rate_total: `chat` messages per second from all clients together; 0: no limit.
    """

    def __init__(
        self,
        registry: Registry,
        broker: Broker,
        stats: ServerStats,
        *,
        clock: Callable[[], float],
        wall_ms: Callable[[], int],
        call_later: Callable[[float, Callable[[], None]], object],
        presence_threshold: int,
        chat_rate: float = 0.0,
        chat_rate_total: float = 0.0,
    ) -> None:
        self._broker = broker
        self._clock = clock
        self.registry = registry
        self._publisher = Publisher(registry, broker, stats, clock)
        self._presence = Presence(
            registry,
            self._publisher,
            broker,
            stats,
            clock=clock,
            call_later=call_later,
            threshold=presence_threshold,
        )
        self._commands = Commands(
            registry,
            self._publisher,
            self._presence,
            stats,
            wall_ms=wall_ms,
            chat_rate=chat_rate,
            chat_rate_total=chat_rate_total,
        )
        self._load_history: deque[wire.Load] = deque(maxlen=LOAD_HISTORY)

    # --- chat clients ---

    def connect(self, client: Client, greeting: wire.Connected) -> bytes:
        """Add a client, and return the frame that greets it."""
        self.registry.everyone.add(client)
        return self._publisher.first_frame(greeting)

    def disconnect(self, client: Client, received_at: float) -> None:
        """Remove a client; its room receives the same messages as when the client leaves it."""
        self._presence.leave(client, received_at)
        self.registry.everyone.remove(client)

    def handle(self, client: Client, message: wire.HubMessage, received_at: float, in_batch: bool = False) -> None:
        """Handle one message of a client; `Commands.handle` documents the arguments.

        Raises:
            RequestError: the message cannot be served now.
        """
        self._commands.handle(client, message, received_at, in_batch)

    def reply(self, client: Client, message: wire.Message) -> None:
        """Send a message to one client."""
        self._publisher.reply(client, message)

    def refuse(self, client: Client, error: RequestError) -> None:
        """Send a client an `error` message."""
        fault = error.error
        self._publisher.reply(client, wire.Error(message=fault.message, code=fault.code, about=error.about))

    def flush_to(self, client: Client) -> None:
        """Send a client now the messages that wait for the end of the loop iteration."""
        self.registry.everyone.flush_to(client)
        if client.room is not None:
            client.room.flush_to(client)

    def share_file(self, client: Client, saved: wire.FileSaved, mime_type: str, received_at: float) -> None:
        """Tell the client's room, and the watchers of all nodes, of a stored file; only the room gets its address."""
        name, size = saved.name, saved.size
        room = client.room
        if room is not None:
            shared = wire.FileShared(
                user=client.username, name=name, size=size, mime_type=mime_type, upload_id=saved.upload_id
            )
            self._publisher.publish(room, shared, received_at)
        notification = wire.Notification(
            event="fileShared",
            room=room.name if room is not None else None,
            user=client.username,
            name=name,
            size=size,
        )
        self._publisher.notify(notification)
        self._broker.publish(WATCHERS, "notification", text_frame(wire.encode(notification)))

    # --- watchers ---

    def watch(self, client: Client) -> bytes:
        """Add a watcher, and return the frames of the load reports of the last two minutes."""
        self.registry.watchers.add(client)
        return b"".join([self._publisher.first_frame(load) for load in self._load_history])

    def unwatch(self, client: Client) -> None:
        """Remove a watcher."""
        self.registry.watchers.remove(client)

    def report_load(self, load: wire.Load) -> None:
        """Send a load report to the watchers, and keep it for later ones."""
        self._load_history.append(structs.replace(load, largest_rooms=()))  # history charts show no rooms
        if self.registry.watchers:
            self._publisher.publish_locally(self.registry.watchers, load, self._clock())

    def announce_drain(self) -> None:
        """Tell the watchers of this process that it shuts down."""
        self._publisher.notify(wire.Notification(event="draining"))

    # --- messages of other nodes ---

    def receive_messages(self, key: str, entries: list[tuple[str, bytes]]) -> None:
        """Deliver messages of another node to the local members of a room.

        Args:
            key: the room's key, EVERYONE or WATCHERS.
            entries: type and frame of each message.
        """
        room = self.registry.audience(key)
        if room is not None and room.members:
            now = self._clock()
            in_batch = len(entries) > 1
            for kind, frame in entries:
                room.publish(kind, frame, now, None, in_batch)

    def receive_room_state(self, key: str, *, is_open: bool) -> None:
        """Tell the watchers that a room without local members opened or closed on other nodes."""
        if key not in self.registry.rooms:
            self._publisher.notify(wire.Notification(event="roomOpened" if is_open else "roomClosed", room=key))

    def receive_presence(self, key: str, change: PresenceChange) -> None:
        """Tell the local members of a room who joined or left on another node."""
        self._presence.receive_presence(key, change)
