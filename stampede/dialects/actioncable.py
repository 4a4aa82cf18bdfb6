"""Action Cable, the WebSockets of Ruby on Rails; the channel and its actions are the application's.

Messages are JSON objects. The identifier of a subscription is JSON inside a string, and so is the data of a message.
The server sends a ping every three seconds, which needs no answer.

    server  {"type":"welcome"}
    client  {"command":"subscribe","identifier":"{..}"}
    server  {"identifier":"{..}","type":"confirm_subscription"}     or reject_subscription
    client  {"command":"message","identifier":"{..}","data":"{..}"}
    server  {"identifier":"{..}","message":{..}}
    client  {"command":"unsubscribe","identifier":"{..}"}
    server  {"type":"disconnect","reason":"unauthorized","reconnect":false}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stampede.dialects.address import Address
from stampede.dialects.application import ApplicationDialect
from stampede.dialects.base import Conversation, Feature
from stampede.dialects.events import Closed, Event, Joined, Opened, Refused, chat_message
from stampede.dialects.outgoing import Outgoing, check_payloads
from stampede.dialects.placeholders import TextTemplate, for_json, for_json_in_json
from stampede.ledger import stamp
from stampede.measure import request_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BROADCAST: Final = b'{"identifier":'
_NOT_ACTION_CABLE: Final = "not an Action Cable server: expected a JSON object with a type or an identifier"

_decode: Final = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class ActionCablePayload:
    """The data of each action as JSON with placeholders; empty if there is no such action."""

    say: str = '{"action":"speak","text":"{text}"}'
    typing: str = ""


@dataclass(frozen=True, slots=True)
class ActionCableOptions:
    """What an application decides.

    Attributes:
        path: path of the server, with a query if it needs one; placeholders are allowed.
        identifier: of the subscription of a room, as JSON with placeholders.
        payload: data of the actions.
        echo: whether a sender receives its own messages; None if that must be discovered.

    Raises:
        ValueError: an option has no valid value; the text begins with its name.
    """

    path: str = "/cable"
    identifier: str = '{"channel":"ChatChannel","room":"{room}"}'
    payload: ActionCablePayload = field(default_factory=ActionCablePayload)
    echo: bool | None = True

    def __post_init__(self) -> None:
        Address(self.path)
        if not (self.identifier.lstrip().startswith("{") and TextTemplate.parse(self.identifier, for_json).is_json()):
            raise ValueError("identifier: expected a JSON object with placeholders")
        check_payloads(self.payload, ("say", "typing") if self.payload.typing else ("say",))


class ActionCableDialect(ApplicationDialect):
    """Action Cable with the channel of one application.

    Attributes:
        options: what the application decides.
        outgoing: the commands, with placeholders.
        identifier: identifier of the subscription of a room, with placeholders.
    """

    name = "actioncable"
    subprotocols = ("actioncable-v1-json",)
    confirms_opening = True
    acknowledges_joins = True
    receives_binary = False
    notices = (b'{"type":"ping"',)

    def __init__(self, options: ActionCableOptions | None = None) -> None:
        self.options = options = options or ActionCableOptions()
        self.features = frozenset({Feature.TYPING} if options.payload.typing else ())
        self.identifier = TextTemplate.parse(options.identifier, for_json)
        payload = options.payload
        self.outgoing = {
            "join": _command("subscribe", options.identifier),
            "leave": _command("unsubscribe", options.identifier),
            "say": _command("message", options.identifier, payload.say),
            "typing": _command("message", options.identifier, payload.typing),
        }
        super().__init__(options.path, options.echo, self.outgoing.values())

    def converse(self, values: Mapping[str, str], rooms: Sequence[str]) -> Conversation:
        """Return the conversation of a new connection."""
        return ActionCableConversation(self, values)

    def escape(self, text: str) -> bytes:
        """Return a text as it stands in the data, which is JSON inside a JSON string."""
        return for_json_in_json(text).encode()

    def find_stamp(self, payload: bytes) -> stamp.Fields | None:
        """Return the fields of the stamp in a broadcast."""
        return stamp.search(payload) if payload.startswith(_BROADCAST) else None


class ActionCableConversation(Conversation):
    """The state of Action Cable on one connection."""

    __slots__ = ("_dialect", "_opened", "_outgoing", "_rooms", "_values")

    def __init__(self, dialect: ActionCableDialect, values: Mapping[str, str]) -> None:
        self._dialect = dialect
        self._values = values
        self._outgoing = Outgoing(dialect.outgoing, values)
        self._rooms: dict[str, str] = {}  # by their identifier
        self._opened = False

    @property
    def awaited(self) -> str:
        """What the client waits for until the conversation is open."""
        return '{"type":"welcome"}; is this an Action Cable server?'

    # --- messages to send ---

    def join(self, room: str) -> Sequence[bytes]:
        """Return the command that subscribes to a room."""
        self._rooms[self._dialect.identifier.fill({**self._values, "room": room})] = room
        return (self._outgoing.message("join", room),)

    def leave(self, room: str) -> Sequence[bytes]:
        """Return the command that ends the subscription of a room."""
        return (self._outgoing.message("leave", room),)

    def say(self, room: str, text: str) -> bytes:
        """Return the action of a chat message."""
        return self._outgoing.message("say", room, self._dialect.escape(text))

    def say_stamped(self, room: str, prefix: bytes, text: bytes) -> bytes:
        """Return the action of a chat message."""
        return self._outgoing.message("say", room, stamp.for_any_server(prefix) + text)

    def typing(self, room: str) -> bytes:
        """Return the action of a typing notice."""
        return self._outgoing.message("typing", room)

    # --- received messages ---

    def receive(self, payload: bytes) -> Sequence[Event]:
        """Return what a message means.

        Raises:
            ValueError: no such server sends this message.
        """
        try:
            message = _decode(payload)
        except msgspec.DecodeError:
            return self._malformed()
        if not isinstance(message, dict):
            return self._malformed()
        if "message" in message and "identifier" in message:
            return (_broadcast(payload, message),)
        if "type" not in message:
            return self._malformed()
        return (self._receive_type(message),)

    def _receive_type(self, message: dict[str, Any]) -> Event:
        kind, room = message["type"], self._rooms.get(str(message.get("identifier")))
        if kind == "welcome":
            self._opened = True
            return Opened(message=message)
        if kind == "confirm_subscription":
            return Joined(room, message=message)
        if kind == "reject_subscription":
            return Refused("subscription rejected", request_names.JOIN, room=room, message=message)
        if kind == "disconnect":
            reason = str(message.get("reason") or "no reason given")
            if self._opened:
                return Closed(f"disconnected by the server: {reason}", message=message)
            return Refused(f"refused: {reason}", request_names.CONNECT, message=message)
        return Event(message=message)

    def _malformed(self) -> Sequence[Event]:
        """Report a message of another protocol: during the opening, the server refuses; later, it is an error."""
        if self._opened:
            raise ValueError(_NOT_ACTION_CABLE)
        return (Refused(_NOT_ACTION_CABLE, request_names.CONNECT),)


def _broadcast(payload: bytes, message: dict[str, Any]) -> Event:
    """Return what a message to the subscribers of a room means."""
    message = {"type": "message", **message}
    fields = stamp.search(payload)
    return chat_message(fields, message)


def _command(name: str, identifier: str, data: str = "") -> TextTemplate:
    """Return a command, whose identifier and data are JSON inside JSON strings."""
    rest = f',"data":"{for_json(data)}"' if data else ""
    return TextTemplate.parse(f'{{"command":"{name}","identifier":"{for_json(identifier)}"{rest}}}', for_json_in_json)
