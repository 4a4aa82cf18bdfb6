"""The effect of each client message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from server.errors import ErrorCode, RequestError
from server.protocol import messages as wire
from server.protocol.names import check_name, has_invisible
from server.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.chat.client import Client
    from server.chat.presence import Presence
    from server.chat.publisher import Publisher
    from server.chat.registry import Registry
    from server.chat.room import Room
    from server.stats import ServerStats

CHAT_BURST_SECONDS: Final = 2
"""A client may send at once the `chat` messages that its rate allows in this time."""


class Commands:
    """Handle the messages of the chat protocol, except those of uploads.

    Args:
        registry: the rooms of this process.
        publisher: sends messages.
        presence: joins and leaves rooms.
        stats: counts rate-limited messages.
        wall_ms: wall clock in milliseconds.
        chat_rate: `chat` messages per second from one client; 0: no limit.
        chat_rate_total: `chat` messages per second from all clients together; 0: no limit.
    """

    def __init__(
        self,
        registry: Registry,
        publisher: Publisher,
        presence: Presence,
        stats: ServerStats,
        *,
        wall_ms: Callable[[], int],
        chat_rate: float,
        chat_rate_total: float,
    ) -> None:
        self._everyone = registry.everyone
        self._publisher = publisher
        self._presence = presence
        self._stats = stats
        self._wall_ms = wall_ms
        self._chat_rate = chat_rate
        self._chat_bucket = TokenBucket(chat_rate_total, CHAT_BURST_SECONDS * chat_rate_total)
        self._handlers: dict[type[wire.Message], Callable[..., None]] = {
            wire.SendChatMessage: self._chat_message,
            wire.SendTyping: self._typing,
            wire.SetUsername: self._set_username,
            wire.JoinRoom: self._join_room,
            wire.LeaveRoom: self._leave_room,
            wire.SendChat: self._chat,
            wire.Ping: self._ping,
        }

    def handle(self, client: Client, message: wire.HubMessage, received_at: float, in_batch: bool) -> None:
        """Handle one message.

        Args:
            client: the sender.
            message: the decoded message.
            received_at: when it was received, in monotonic seconds.
            in_batch: whether it was received together with other messages.

        Raises:
            RequestError: the message cannot be served now.
        """
        self._handlers[type(message)](client, message, received_at, in_batch)

    def _chat_message(self, client: Client, message: wire.SendChatMessage, received_at: float, in_batch: bool) -> None:
        room = _room_of(client, "chatMessage")
        if self._everyone.pending:
            self._everyone.flush()  # this message must not overtake an earlier `chat` of this client
        chat = wire.ChatMessage(client.username, message.text, self._wall_ms())
        self._publisher.publish(room, chat, received_at, client, in_batch)

    def _typing(self, client: Client, _message: wire.SendTyping, received_at: float, in_batch: bool) -> None:
        room = _room_of(client, "typing")
        self._publisher.publish(room, wire.UserTyping(user=client.username), received_at, client, in_batch)

    def _set_username(self, client: Client, message: wire.SetUsername, _received_at: float, _in_batch: bool) -> None:
        check_name(message.username, "setUsername")
        client.username = message.username
        self._publisher.reply(client, wire.UsernameSet(username=message.username))

    def _join_room(self, client: Client, message: wire.JoinRoom, received_at: float, in_batch: bool) -> None:
        check_name(message.room, "joinRoom")
        self._presence.join(client, message.room, received_at, in_batch)

    def _leave_room(self, client: Client, _message: wire.LeaveRoom, received_at: float, in_batch: bool) -> None:
        if client.room is not None:
            self._presence.leave(client, received_at, in_batch)
            self._publisher.reply(client, wire.RoomLeft(room=client.room_name))

    def _chat(self, client: Client, message: wire.SendChat, received_at: float, in_batch: bool) -> None:
        if has_invisible(message.user):
            raise RequestError(ErrorCode.NAME_INVISIBLE, "chat")
        if not self._take_chat_token(client, received_at):
            self._stats.rate_limited["chat"] += 1
            raise RequestError(ErrorCode.RATE_LIMITED, "chat")
        if client.room is not None:
            client.room.flush()  # this message must not overtake an earlier `chatMessage` of this client
        chat = wire.Chat(user=message.user, text=message.text)
        self._publisher.publish(self._everyone, chat, received_at, None, in_batch)

    def _take_chat_token(self, client: Client, now: float) -> bool:
        """Return whether a `chat` is within both rate limits; its cost grows with the number of clients."""
        if client.chat_bucket is None:
            client.chat_bucket = TokenBucket(self._chat_rate, CHAT_BURST_SECONDS * self._chat_rate)
        return client.chat_bucket.take(now) and self._chat_bucket.take(now)

    def _ping(self, client: Client, message: wire.Ping, _received_at: float, _in_batch: bool) -> None:
        if memoryview(message.timestamp):
            self._publisher.reply(client, wire.Pong(server_time=self._wall_ms(), timestamp=message.timestamp))
        else:
            self._publisher.reply(client, wire.Pong(server_time=self._wall_ms()))


def _room_of(client: Client, about: str) -> Room:
    if client.room is None:
        raise RequestError(ErrorCode.NO_ROOM, about)
    return client.room
