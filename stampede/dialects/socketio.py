"""Socket.IO 3 and 4 (Engine.IO 4) over a WebSocket; the names of its events are the application's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import msgspec

from stampede.dialects.address import Address
from stampede.dialects.application import ApplicationDialect
from stampede.dialects.base import Conversation, Feature, Message, UpgradeRequest
from stampede.dialects.outgoing import argument_list, check_payloads
from stampede.dialects.placeholders import ESCAPES, TextTemplate, check_escape, for_json, raw
from stampede.dialects.socketio_conversation import SocketIoConversation
from stampede.ledger import stamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_QUERY: Final = "EIO=4&transport=websocket"
_KINDS: Final = ("join", "say", "leave", "typing")

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class SocketIoEvents:
    """Names of the application's events; an empty name means that there is none.

    Attributes:
        join: sent to join a room. Without it, the room must be in the namespace or in the path's query.
        say: sent with a chat message.
        receive: received with a chat message; the same as `say` if it is empty.
        leave: sent to leave a room.
        typing: sent as a typing notice.
        error: received when the server refuses something.
    """

    join: str = "join"
    say: str = "message"
    receive: str = ""
    leave: str = ""
    typing: str = ""
    error: str = "error"


@dataclass(frozen=True, slots=True)
class SocketIoPayload:
    """The argument of each event as JSON with placeholders; a list is the list of all arguments."""

    join: str = '"{room}"'
    say: str = '{"room":"{room}","text":"{text}"}'
    leave: str = '"{room}"'
    typing: str = '"{room}"'


@dataclass(frozen=True, slots=True)
class SocketIoAck:
    """Which events are sent with a number, so that the server confirms them."""

    join: bool = False
    say: bool = False
    leave: bool = False


@dataclass(frozen=True, slots=True)
class SocketIoOptions:
    """What an application decides.

    Attributes:
        path: path of Socket.IO, with a query if the server needs one; placeholders are allowed.
        namespace: of all events; placeholders are allowed. With `{room}` each room is a namespace of its own.
        auth: JSON with placeholders that the server gets when the client connects to the namespace; empty for none.
        escape: how placeholders in payloads are escaped; a key of `ESCAPES`.
        events: names of events.
        payload: arguments of events.
        ack: events that the server confirms.
        echo: whether a sender receives its own messages; None if that must be discovered.

    Raises:
        ValueError: an option has no valid value; the text begins with its name.
    """

    path: str = "/socket.io/"
    namespace: str = "/"
    auth: str = ""
    escape: str = "json"
    events: SocketIoEvents = field(default_factory=SocketIoEvents)
    payload: SocketIoPayload = field(default_factory=SocketIoPayload)
    ack: SocketIoAck = field(default_factory=SocketIoAck)
    echo: bool | None = None

    def __post_init__(self) -> None:
        check_escape(self.escape)
        Address(self.path)
        if not self.namespace.startswith("/"):
            raise ValueError("namespace: expected a text that begins with /")
        if self.auth and not TextTemplate.parse(self.auth, for_json).is_json():
            raise ValueError("auth: expected JSON with placeholders")
        check_payloads(self.payload, _KINDS)
        if not self.events.say:
            raise ValueError("events.say: expected the name of an event")


class SocketIoDialect(ApplicationDialect):
    """Socket.IO with the events of one application.

    Attributes:
        options: what the application decides.
        outgoing: the events to send, as JSON with placeholders.
        receive_event: name of the event of a chat message.
        namespace: namespace of all events, with placeholders.
        auth: what to send when the client connects to the namespace; None for nothing.
        rooms_are_namespaces: whether each room is a namespace, so that connecting to it joins the room.
    """

    name = "socketio"
    confirms_opening = True

    def __init__(self, options: SocketIoOptions | None = None) -> None:
        self.options = options = options or SocketIoOptions()
        events = options.events
        escape = ESCAPES[options.escape]
        self.outgoing = {
            kind: TextTemplate.parse(_event(getattr(events, kind), getattr(options.payload, kind)), escape)
            for kind in _KINDS
        }
        self.receive_event = events.receive or events.say
        self.namespace = TextTemplate.parse(options.namespace, raw)
        self.auth = TextTemplate.parse(options.auth, for_json) if options.auth else None
        self.rooms_are_namespaces = "room" in self.namespace.names

        own = (*self.outgoing.values(), self.namespace, *(() if self.auth is None else (self.auth,)))
        super().__init__(options.path, options.echo, own)
        self.acknowledges_joins = self.rooms_are_namespaces or (bool(events.join) and options.ack.join)
        self.acknowledges_leaves = not self.rooms_are_namespaces and bool(events.leave) and options.ack.leave
        self.acknowledges_messages = options.ack.say
        self.features = frozenset({Feature.TYPING} if events.typing else ())
        # Deliveries in other namespaces than this one are found by the conversation.
        place = "" if options.namespace == "/" or self.namespace.names else f"{options.namespace},"
        self._event = f"42{place}".encode()
        self._delivery = self._event + f"[{_json(self.receive_event)},".encode()

    def request(self, values: Mapping[str, str], rooms: Sequence[str]) -> UpgradeRequest:
        """Return the path and the query with the values of a user."""
        request = super().request(values, rooms)
        return replace(request, query=f"{request.query}&{_QUERY}" if request.query else _QUERY)

    def converse(self, values: Mapping[str, str], rooms: Sequence[str]) -> Conversation:
        """Return the conversation of a new connection."""
        return SocketIoConversation(self, values)

    def encode(self, message: Message) -> bytes:
        """Return a scenario's message: `{"type": EVENT, "arguments": [...]}` as an event, a text or bytes unchanged."""
        if isinstance(message, bytes | str):
            return super().encode(message)
        return self._event + _encode([message["type"], *message.get("arguments", ())])

    def escape(self, text: str) -> bytes:
        """Return a text as it stands in the payload."""
        return ESCAPES[self.options.escape](text).encode()

    def find_stamp(self, payload: bytes) -> stamp.Fields | None:
        """Return the fields of the stamp in an event of a chat message."""
        return stamp.search(payload) if payload.startswith(self._delivery) else None


def _event(name: str, payload: str) -> str:
    """Return an event with its arguments."""
    arguments = argument_list(payload)
    return f"[{_json(name)},{arguments}]" if arguments else f"[{_json(name)}]"


def _json(text: str) -> str:
    return _encode(text).decode()
