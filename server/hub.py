"""The chat itself: who is here, who is in which room, and what each message does.

No sockets, no clock, no await: a plain object. Frames go out through each client's `write`, time comes in with
every call, and a tick ends when `tick` says so.

Order, as the protocol promises it: a client's messages take effect in the order they came; everyone in a room sees
the room's messages in one order; a newcomer sees its own `userJoined` before its `roomJoined`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec import structs

from server import messages as wire
from server.errors import ErrorCode, RequestError
from server.frames import text_frame
from server.room import SLOW, Room

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.room import Member
    from server.stats import ServerStats
    from server.tick import Tick

PRESENCE_SECONDS: Final = 0.25
"""How often a large room is told of comings and goings."""

LOADS_KEPT: Final = 120
"""A newcomer among the watchers gets so many of the last reports of the server's load."""


class Client:
    """One chat client: its id, its name once it has one, its room while it is in one, and the way to reach it."""

    __slots__ = ("client_id", "push", "room", "username", "write")

    def __init__(self, client_id: str, peer: Member) -> None:
        self.client_id = client_id
        self.write = peer.write
        self.push = peer.push
        self.username: str | None = None
        self.room: Room | None = None


class Hub:
    """All clients and rooms of one server process.

    Args:
        stats: where everything is counted.
        tick: rooms are flushed at its end.
        clock: monotonic seconds; the clock of every `received_at`.
        wall_ms: wall clock in milliseconds, for timestamps in messages.
        call_later: calls back after some seconds (`loop.call_later`).
        presence_threshold: members above which a room is told of comings and goings in sum; 0: never.
    """

    def __init__(
        self,
        stats: ServerStats,
        *,
        tick: Tick,
        clock: Callable[[], float],
        wall_ms: Callable[[], int],
        call_later: Callable[[float, Callable[[], None]], object],
        presence_threshold: int,
    ) -> None:
        self._stats = stats
        self._tick = tick
        self._clock = clock
        self._wall_ms = wall_ms
        self._call_later = call_later
        self._presence_threshold = presence_threshold
        self.rooms: dict[str, Room] = {}
        self.everyone = self._make_room("everyone")
        self.watchers = self._make_room("watchers")
        self._loads: deque[wire.Load] = deque(maxlen=LOADS_KEPT)
        self._effects: dict[type[wire.Message], Callable[..., None]] = {
            wire.SendChatMessage: self._chat_message,
            wire.SendTyping: self._typing,
            wire.SetUsername: self._set_username,
            wire.JoinRoom: self._join_room,
            wire.LeaveRoom: self._leave_room,
            wire.SendChat: self._chat,
            wire.Ping: self._ping,
        }

    # --- coming and going ---

    def connect(self, client: Client, greeting: wire.Connected) -> None:
        """Let a client in and greet it."""
        self.everyone.add(client)
        self.reply(client, greeting)

    def disconnect(self, client: Client, received_at: float) -> None:
        """Let a client go, however it went: the same as leaving its room first."""
        self._leave(client, received_at)
        self.everyone.remove(client)

    # --- messages ---

    def handle(self, client: Client, message: wire.HubMessage, received_at: float) -> None:
        """Let one message take effect.

        Args:
            client: whose message.
            message: what it says.
            received_at: when it came in, on the hub's clock.

        Raises:
            RequestError: it asks for something that cannot be done now.
        """
        self._effects[type(message)](client, message, received_at)

    def reply(self, client: Client, message: wire.Message) -> None:
        """Send a message to one client; a `chat` of its own that waits for the end of the tick goes first."""
        if self.everyone.pending:
            self.everyone.catch_up(client)
        kind = wire.TYPE_OF[type(message)]
        frame = text_frame(wire.encode(message))
        trouble = client.write(frame)
        if trouble == SLOW:
            trouble = client.push(frame)
        if trouble:
            self._stats.messages_dropped[kind, trouble] += 1
        else:
            self._stats.messages_delivered[kind] += 1

    def catch_up(self, client: Client) -> None:
        """Send a client at once whatever waits for it."""
        self.everyone.catch_up(client)
        if client.room is not None:
            client.room.catch_up(client)

    def refuse(self, client: Client, error: RequestError) -> None:
        """Tell a client why something it asked for was not done."""
        fault = error.error
        self.reply(client, wire.Error(message=fault.message, code=fault.code, about=error.about))

    def share_file(self, client: Client, name: str, size: int, mime_type: str, received_at: float) -> None:
        """Tell the client's room, and the watchers, about a stored file."""
        shared = wire.FileShared(user=client.username, name=name, size=size, mime_type=mime_type)
        if client.room is not None:
            self._publish(client.room, shared, received_at)
        self._notify(
            wire.Notification(
                event="fileShared",
                room=client.room.name if client.room is not None else None,
                user=client.username,
                name=name,
                size=size,
            )
        )

    def watch(self, client: Client) -> None:
        """Let a client watch the server; what was told of its load in the last minute comes first."""
        for load in self._loads:
            self.reply(client, load)
        self.watchers.add(client)

    def tell_load(self, load: wire.Load) -> None:
        """Tell the watchers what the server does, and remember it for those who come."""
        self._loads.append(structs.replace(load, largest_rooms=()))  # of those, only the present is of interest
        if self.watchers:
            self._publish(self.watchers, load, self._clock())

    def announce_drain(self) -> None:
        """Tell the watchers that the server goes away."""
        self._notify(wire.Notification(event="draining"))

    def _set_username(self, client: Client, message: wire.SetUsername, _received_at: float) -> None:
        client.username = message.username
        self.reply(client, wire.UsernameSet(username=message.username))

    def _join_room(self, client: Client, message: wire.JoinRoom, received_at: float) -> None:
        self._leave(client, received_at)
        room = self.rooms.get(message.room)
        if room is None:
            room = self._open(message.room)
        room.add(client)
        client.room = room
        self._stats.room_joins += 1
        if self._is_coalesced(room, len(room)):
            self._note_presence(room)
            room.joined += 1
        else:
            joined = wire.UserJoined(user=client.username, room=room.name, user_count=len(room))
            self._publish(room, joined, received_at)
        room.catch_up(client)
        self.reply(client, wire.RoomJoined(room=room.name, user_count=len(room)))

    def _leave_room(self, client: Client, _message: wire.LeaveRoom, received_at: float) -> None:
        room = client.room
        if room is not None:
            self._leave(client, received_at)
            self.reply(client, wire.RoomLeft(room=room.name))

    def _chat_message(self, client: Client, message: wire.SendChatMessage, received_at: float) -> None:
        room = self._room_of(client, "chatMessage")
        if self.everyone.pending:
            self.everyone.flush()  # a `chat` of this client may wait there and must not be overtaken
        chat = wire.ChatMessage(user=client.username, text=message.text, timestamp=self._wall_ms())
        room.publish("chatMessage", text_frame(wire.encode(chat)), received_at, author=client)

    def _typing(self, client: Client, _message: wire.SendTyping, received_at: float) -> None:
        room = self._room_of(client, "typing")
        frame = text_frame(wire.encode(wire.UserTyping(user=client.username)))
        room.publish("userTyping", frame, received_at, author=client)

    def _chat(self, client: Client, message: wire.SendChat, received_at: float) -> None:
        if client.room is not None:
            client.room.flush()
        self._publish(self.everyone, wire.Chat(user=message.user, text=message.text), received_at)

    def _ping(self, client: Client, message: wire.Ping, _received_at: float) -> None:
        if memoryview(message.timestamp):
            self.reply(client, wire.Pong(server_time=self._wall_ms(), timestamp=message.timestamp))
        else:
            self.reply(client, wire.Pong(server_time=self._wall_ms()))

    # --- rooms ---

    @staticmethod
    def _room_of(client: Client, about: str) -> Room:
        if client.room is None:
            raise RequestError(ErrorCode.NO_ROOM, about)
        return client.room

    def _make_room(self, name: str) -> Room:
        return Room(name, self._stats, self._tick.at_end, self._clock)

    def _open(self, name: str) -> Room:
        room = self.rooms[name] = self._make_room(name)
        self._stats.rooms_created += 1
        self._notify(wire.Notification(event="roomOpened", room=name))
        return room

    def _leave(self, client: Client, received_at: float) -> None:
        room = client.room
        if room is None:
            return
        client.room = None
        room.remove(client)
        self._stats.room_leaves += 1
        if self._is_coalesced(room, len(room) + 1):
            self._note_presence(room)
            room.left += 1
        elif room:
            left = wire.UserLeft(user=client.username, user_count=len(room), room=room.name)
            self._publish(room, left, received_at)
        if not room:
            del self.rooms[room.name]
            self._notify(wire.Notification(event="roomClosed", room=room.name))

    def _is_coalesced(self, room: Room, members: int) -> bool:
        """Tell whether comings and goings are told in sum: one by one, they grow with the square of the room."""
        return bool(room.joined or room.left) or 0 < self._presence_threshold < members

    def _note_presence(self, room: Room) -> None:
        """Call before the first coming or going that waits for the notice."""
        if not (room.joined or room.left):
            self._call_later(PRESENCE_SECONDS, lambda: self._tell_presence(room))

    def _tell_presence(self, room: Room) -> None:
        presence = wire.RoomPresence(room=room.name, user_count=len(room), joined=room.joined, left=room.left)
        room.joined = room.left = 0
        if room:
            self._publish(room, presence, self._clock())

    def _publish(self, room: Room, message: wire.Message, received_at: float) -> None:
        room.publish(wire.TYPE_OF[type(message)], text_frame(wire.encode(message)), received_at)

    def _notify(self, notification: wire.Notification) -> None:
        if self.watchers:
            self._publish(self.watchers, notification, self._clock())
