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

from server.chat.relay import EVERYONE, WATCHERS, Alone
from server.chat.room import SLOW, Room
from server.errors import ErrorCode, RequestError
from server.protocol import messages as wire
from server.protocol.frames import text_frame
from server.protocol.names import check_name, has_invisible, normal_form
from server.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.chat.batching import Tick
    from server.chat.relay import Change, Relay
    from server.chat.room import Member
    from server.stats import ServerStats

PRESENCE_SECONDS: Final = 0.25
"""How often a large room is told of comings and goings."""

LOADS_KEPT: Final = 120
"""A newcomer among the watchers gets so many of the last reports of the server's load."""


CHAT_BURST_SECONDS: Final = 2
"""`chat` may be sent at once as often as its rate allows in so many seconds."""


class Client:
    """One chat client and the way to reach it.

    Attributes:
        username: None until it has given one.
        room: None while it is in none.
        room_name: that room's name, as this client spelled it.
        joins: rooms entered so far; tells a stay in a room from an earlier one.
        chat_pace: of its `chat` messages; made with the first one.
    """

    __slots__ = ("chat_pace", "client_id", "enqueue", "joins", "room", "room_name", "username", "write")

    def __init__(self, client_id: str, peer: Member) -> None:
        self.client_id = client_id
        self.write = peer.write
        self.enqueue = peer.enqueue
        self.username: str | None = None
        self.room: Room | None = None
        self.room_name = ""
        self.joins = 0
        self.chat_pace: TokenBucket | None = None


class Hub:
    """All clients and rooms of one server process.

    Args:
        stats: where everything is counted.
        tick: rooms are flushed at its end.
        clock: monotonic seconds; the clock of every `received_at`.
        wall_ms: wall clock in milliseconds, for timestamps in messages.
        call_later: calls back after some seconds (`loop.call_later`).
        presence_threshold: members above which a room is told of comings and goings in sum; 0: never.
        chat_rate: `chat` messages to everyone a second from one client; 0: any number.
        chat_rate_total: the same from all clients together.

    Attributes:
        relay: passes on to other nodes what happens here, and knows how many are elsewhere.
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
        chat_rate: float = 0.0,
        chat_rate_total: float = 0.0,
    ) -> None:
        self._stats = stats
        self._tick = tick
        self._clock = clock
        self._wall_ms = wall_ms
        self._call_later = call_later
        self._presence_threshold = presence_threshold
        self._chat_rate = chat_rate
        self._chat_pace = TokenBucket(chat_rate_total, CHAT_BURST_SECONDS * chat_rate_total)
        self.relay: Relay = Alone()
        self.rooms: dict[str, Room] = {}  # by their names in normal form
        self.everyone = self._make_room(EVERYONE, EVERYONE)
        self.watchers = self._make_room(WATCHERS, WATCHERS)
        self._audiences = {EVERYONE: self.everyone, WATCHERS: self.watchers}
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
            trouble = client.enqueue(frame)
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
            self._tell(client.room, shared, received_at)
        notification = wire.Notification(
            event="fileShared",
            room=client.room.name if client.room is not None else None,
            user=client.username,
            name=name,
            size=size,
        )
        self._notify(notification)
        self.relay.forward(WATCHERS, "notification", text_frame(wire.encode(notification)))

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
        """Tell the watchers of this process that it goes away."""
        self._notify(wire.Notification(event="draining"))

    def _set_username(self, client: Client, message: wire.SetUsername, _received_at: float) -> None:
        check_name(message.username, "setUsername")
        client.username = message.username
        self.reply(client, wire.UsernameSet(username=message.username))

    def _join_room(self, client: Client, message: wire.JoinRoom, received_at: float) -> None:
        check_name(message.room, "joinRoom")
        self._leave(client, received_at)
        key = normal_form(message.room)
        room = self.rooms.get(key)
        if room is None:
            room = self._open(message.room, key)
        room.add(client)
        client.room = room
        client.room_name = message.room
        client.joins = stay = client.joins + 1
        self._stats.room_joins += 1
        members = self.members(room)
        by_name = not self._is_coalesced(room, members)
        if by_name:
            joined = wire.UserJoined(user=client.username, room=room.name, user_count=members)
            self._publish(room, joined, received_at)
        else:
            self._note_presence(room, came=1)
        self.relay.came(key, client.username, by_name=by_name)
        room.catch_up(client)
        self.relay.once_heard(key, lambda: self._confirm_join(client, stay))

    def _confirm_join(self, client: Client, stay: int) -> None:
        """Answer a join once the node's subscription is active, unless the client has left or joined again since."""
        room = client.room
        if room is not None and client.joins == stay:
            self.reply(client, wire.RoomJoined(room=client.room_name, user_count=self.members(room)))

    def _leave_room(self, client: Client, _message: wire.LeaveRoom, received_at: float) -> None:
        room = client.room
        if room is not None:
            self._leave(client, received_at)
            self.reply(client, wire.RoomLeft(room=client.room_name))

    def _chat_message(self, client: Client, message: wire.SendChatMessage, received_at: float) -> None:
        room = client.room
        if room is None:
            raise RequestError(ErrorCode.NO_ROOM, "chatMessage")
        if self.everyone.pending:
            self.everyone.flush()  # a `chat` of this client may wait there and must not be overtaken
        wall_ms = self._wall_ms
        chat = wire.ChatMessage(client.username, message.text, wall_ms())
        frame = text_frame(wire.encode(chat))
        room.publish("chatMessage", frame, received_at, client)
        self.relay.forward(room.key, "chatMessage", frame)

    def _typing(self, client: Client, _message: wire.SendTyping, received_at: float) -> None:
        room = self._room_of(client, "typing")
        self._tell(room, wire.UserTyping(user=client.username), received_at, author=client)

    def _chat(self, client: Client, message: wire.SendChat, received_at: float) -> None:
        if has_invisible(message.user):
            raise RequestError(ErrorCode.NAME_INVISIBLE, "chat")
        if not self._may_chat(client, received_at):
            self._stats.rate_limited["chat"] += 1
            raise RequestError(ErrorCode.RATE_LIMITED, "chat")
        if client.room is not None:
            client.room.flush()
        self._tell(self.everyone, wire.Chat(user=message.user, text=message.text), received_at)

    def _may_chat(self, client: Client, now: float) -> bool:
        """Count a `chat`, whose cost grows with the number of clients; return whether it is within the limits."""
        if client.chat_pace is None:
            client.chat_pace = TokenBucket(self._chat_rate, CHAT_BURST_SECONDS * self._chat_rate)
        return client.chat_pace.take(now) and self._chat_pace.take(now)

    def _ping(self, client: Client, message: wire.Ping, _received_at: float) -> None:
        if memoryview(message.timestamp):
            self.reply(client, wire.Pong(server_time=self._wall_ms(), timestamp=message.timestamp))
        else:
            self.reply(client, wire.Pong(server_time=self._wall_ms()))

    # --- what happens on other nodes ---

    def members(self, room: Room) -> int:
        """Return how many members a room has on all nodes."""
        return len(room) + self.relay.elsewhere(room.key)

    def hear(self, key: str, entries: list[tuple[str, bytes]]) -> None:
        """Publish to the members here what was said in a room elsewhere, or to EVERYONE or WATCHERS.

        Args:
            key: the room's.
            entries: kind and frame of each message.
        """
        room = self.rooms.get(key)
        if room is None:
            room = self._audiences.get(key)
        if room is not None and room.members:
            now = self._clock()
            self._tick.is_crowded = len(entries) > 1
            for kind, frame in entries:
                room.publish(kind, frame, now)

    def hear_room(self, key: str, *, is_open: bool) -> None:
        """Tell the watchers that a room has members elsewhere, or has them no longer, unless it has some here."""
        if key not in self.rooms:
            self._notify(wire.Notification(event="roomOpened" if is_open else "roomClosed", room=key))

    def hear_presence(self, key: str, change: Change) -> None:
        """Tell the members here who came to a room elsewhere, and who went; the relay knows of it already."""
        room = self.rooms.get(key)
        if room is None:
            return
        members = self.members(room)
        in_sum = len(change.joined) < change.came or len(change.left) < change.went
        if in_sum or self._is_coalesced(room, members):
            self._note_presence(room, change.came, change.went)
            return
        now = self._clock()
        for user in change.joined:
            self._publish(room, wire.UserJoined(user=user, room=room.name, user_count=members), now)
        for user in change.left:
            self._publish(room, wire.UserLeft(user=user, user_count=members, room=room.name), now)

    # --- rooms ---

    @staticmethod
    def _room_of(client: Client, about: str) -> Room:
        if client.room is None:
            raise RequestError(ErrorCode.NO_ROOM, about)
        return client.room

    def _make_room(self, name: str, key: str) -> Room:
        return Room(name, key, self._stats, self._tick, self._clock)

    def _open(self, name: str, key: str) -> Room:
        room = self.rooms[key] = self._make_room(name, key)
        self._stats.rooms_created += 1
        self.relay.opened(key)
        if not self.relay.elsewhere(key):
            self._notify(wire.Notification(event="roomOpened", room=name))
        return room

    def _leave(self, client: Client, received_at: float) -> None:
        room = client.room
        if room is None:
            return
        client.room = None
        room.remove(client)
        self._stats.room_leaves += 1
        members = self.members(room)
        by_name = not self._is_coalesced(room, members + 1)
        if not by_name:
            self._note_presence(room, went=1)
        elif room:
            left = wire.UserLeft(user=client.username, user_count=members, room=room.name)
            self._publish(room, left, received_at)
        self.relay.went(room.key, client.username, by_name=by_name)
        if not room:
            del self.rooms[room.key]
            self.relay.closed(room.key)
            if not members:
                self._notify(wire.Notification(event="roomClosed", room=room.name))

    def _is_coalesced(self, room: Room, members: int) -> bool:
        """Tell whether comings and goings are told in sum: one by one, they grow with the square of the room."""
        return bool(room.joined or room.left) or 0 < self._presence_threshold < members

    def _note_presence(self, room: Room, came: int = 0, went: int = 0) -> None:
        """Let comings and goings wait for the next notice in sum."""
        if not (room.joined or room.left):
            self._call_later(PRESENCE_SECONDS, lambda: self._tell_presence(room))
        room.joined += came
        room.left += went

    def _tell_presence(self, room: Room) -> None:
        presence = wire.RoomPresence(room=room.name, user_count=self.members(room), joined=room.joined, left=room.left)
        room.joined = room.left = 0
        if room:
            self._publish(room, presence, self._clock())

    def _tell(self, room: Room, message: wire.Message, received_at: float, author: Client | None = None) -> None:
        """Publish what a client says, here and elsewhere."""
        kind = wire.TYPE_OF[type(message)]
        frame = text_frame(wire.encode(message))
        room.publish(kind, frame, received_at, author)
        self.relay.forward(room.key, kind, frame)

    def _publish(self, room: Room, message: wire.Message, received_at: float) -> None:
        room.publish(wire.TYPE_OF[type(message)], text_frame(wire.encode(message)), received_at)

    def _notify(self, notification: wire.Notification) -> None:
        if self.watchers:
            self._publish(self.watchers, notification, self._clock())
