"""What the load generator must know about the wire protocol of a server; pure.

A `Dialect` describes a protocol. A `Conversation` is the state of the protocol on one connection: it returns the
messages to send, and the events that received messages mean. Neither knows a socket or a clock.

Every received message goes to `Dialect.find_stamp` first. It must be fast, since nearly every message is a delivery.
Only a message in which it finds no stamp goes to `Conversation.receive`.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stampede.dialects.events import Event
from stampede.ledger import stamp

if TYPE_CHECKING:
    from stampede.dialects.http_steps import HttpSteps

Message = Mapping[str, Any] | str | bytes
"""A message as scenarios give it: a mapping is sent as JSON, a text or bytes unchanged."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


class Feature(enum.Enum):
    """What a protocol may have beside rooms and chat messages."""

    TYPING = "typing notices"
    PING = "pings"
    UPLOAD = "uploads"


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """What a dialect adds to the upgrade request of a connection.

    Attributes:
        path: in place of the path of the address; None to keep that.
        query: text that is added to the query of the address.
        headers: further headers.
    """

    path: str | None = None
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Conversation:
    """The state of a protocol on one connection.

    Each method returns the messages to send. The defaults are those of a server whose rooms are joined without a
    message: by the address, or over HTTP.
    """

    __slots__ = ()

    def open(self) -> Sequence[bytes]:
        """Return the messages to send after the handshake."""
        return ()

    @property
    def awaited(self) -> str:
        """What the client waits for until the conversation is open, for error messages."""
        return "the server's greeting"

    @property
    def saved(self) -> Mapping[str, str]:
        """What the messages after the handshake have given for the placeholders of HTTP requests."""
        return {}

    def add_room_values(self, room: str, values: Mapping[str, str]) -> None:
        """Take the values that HTTP requests have saved for a room, for its placeholders."""

    def join(self, room: str) -> Sequence[bytes]:
        """Return the messages that join a room."""
        return ()

    def leave(self, room: str) -> Sequence[bytes]:
        """Return the messages that leave a room."""
        return ()

    def say(self, room: str, text: str) -> bytes:
        """Return a chat message. The text must arrive unchanged at the other members, since it contains the stamp."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to send a chat message: override `say`")

    def say_stamped(self, room: str, prefix: bytes, text: bytes) -> bytes:
        """Return a chat message of a stamp and a text from `Dialect.escape`; override it where `say` is too slow."""
        return self.say(room, (stamp.for_any_server(prefix) + text).decode())

    def typing(self, room: str) -> bytes:
        """Return a typing notice."""
        raise NotImplementedError

    def ping(self, number: int) -> bytes:
        """Return a ping of the application; its pong must contain the number."""
        raise NotImplementedError

    def keepalive(self) -> Sequence[bytes]:
        """Return the messages to send every `Dialect.keepalive_seconds`."""
        return ()

    def close(self) -> Sequence[bytes]:
        """Return the messages to send before the close frame."""
        return ()

    def split(self, payload: bytes) -> Sequence[bytes]:
        """Return the complete messages that a frame ends; called only if `Dialect.splits_frames`."""
        return (payload,)

    def receive(self, payload: bytes) -> Sequence[Event]:
        """Return what a message means in which `Dialect.find_stamp` found no stamp.

        Raises:
            ValueError: no such server sends this message; the text says why, in a few fixed words.
        """
        try:
            message = _decode(payload)
        except msgspec.DecodeError:
            return ()
        return (Event(message={"type": "", **message}),) if isinstance(message, dict) else ()


class Dialect(Conversation):
    """The wire protocol of a server.

    One object serves all connections of a process. A protocol without any state of a connection is its own
    conversation, as this class: rooms are joined without a message, and every message that contains a stamp is a
    delivery. Subclasses describe what their server needs beyond that.

        class Acme(Dialect):
            name = "acme"

            def say(self, room, text):
                return self.encode({"op": "publish", "channel": room, "data": text})

    Attributes:
        name: of the dialect.
        path: path of the chat endpoint, unless the address contains one.
        subprotocols: subprotocols to offer in the handshake.
        room_name: names of the rooms of a load test; `{number}` is the number of the room.
        rooms_per_connection: how many rooms one connection can be in; None for any number.
        room_is_in_request: whether the upgrade request names the room, so that another room needs another connection.
        confirms_opening: whether the client must wait for `Opened` before it joins.
        acknowledges_joins: whether `Joined` follows a join. Otherwise a user counts as joined after `--join-grace`.
        acknowledges_leaves: whether `Left` follows a leave.
        acknowledges_messages: whether `Acknowledged` follows a chat message.
        echoes: whether the server sends a chat message to its sender, too; None if that must be discovered.
        keeps_order: whether the server promises that all members see the messages of a room in the same order.
        features: what else the protocol has.
        keepalive_seconds: interval of `Conversation.keepalive`; None for none.
        max_message_bytes: longest text of a chat message; None for no limit.
        sends_binary: whether messages are sent in binary frames.
        receives_binary: whether binary frames are messages; otherwise they are ignored.
        splits_frames: whether a frame may contain several messages, or a part of one; see `Conversation.split`.
        notices: first bytes of messages that need not be decoded. Decoding each would be costly.
        metrics: names of the server's own Prometheus series, by the keys of `SERIES_KEYS`.
        http_steps: HTTP requests to log in, to join and to send messages; None for none. Locust's users make them.
        places_token: whether the dialect sends the account's token itself, so that no Authorization header is added.
    """

    __slots__ = ()

    name: str = "plain"
    path: str = "/"
    subprotocols: tuple[str, ...] = ()
    room_name: str = "room-{number}"
    rooms_per_connection: int | None = None
    room_is_in_request: bool = False
    confirms_opening: bool = False
    acknowledges_joins: bool = False
    acknowledges_leaves: bool = False
    acknowledges_messages: bool = False
    echoes: bool | None = False
    keeps_order: bool = False
    features: frozenset[Feature] = frozenset()
    keepalive_seconds: float | None = None
    max_message_bytes: int | None = None
    sends_binary: bool = False
    receives_binary: bool = True
    splits_frames: bool = False
    notices: tuple[bytes, ...] = ()
    metrics: Mapping[str, str] = {}
    http_steps: HttpSteps | None = None
    places_token: bool = False

    def name_room(self, number: int) -> str:
        """Return the name of a room of a load test."""
        return self.room_name.replace("{number}", str(number))

    def request(self, values: Mapping[str, str], rooms: Sequence[str]) -> UpgradeRequest:
        """Return what the upgrade request of a user needs.

        Args:
            values: the user's account, with its name as `user`, and what its login has saved.
            rooms: names of the user's rooms.
        """
        return UpgradeRequest()

    def converse(self, values: Mapping[str, str], rooms: Sequence[str]) -> Conversation:
        """Return the conversation of a new connection; the arguments are those of `request`."""
        return self

    def encode(self, message: Message) -> bytes:
        """Return a scenario's message as it is sent: a mapping as JSON, a text in UTF-8, bytes unchanged."""
        if isinstance(message, bytes):
            return message
        return message.encode() if isinstance(message, str) else _encode(message)

    def check_columns(self, columns: Collection[str]) -> None:
        """Check that each placeholder has a value.

        Args:
            columns: names of what the accounts have.

        Raises:
            StampedeError: one has none; the text is one line for the user.
        """

    def escape(self, text: str) -> bytes:
        """Return a text as `say_stamped` takes it."""
        return text.encode()

    def find_stamp(self, payload: bytes) -> stamp.Fields | None:
        """Return the fields of the stamp in a delivery; None for any other message. It must be fast."""
        return stamp.search(payload)

    def retry_after(self, close_code: int, close_reason: str) -> float | None:
        """Return the seconds that a close frame asks the client to wait before it reconnects; None without a hint."""
        return None
