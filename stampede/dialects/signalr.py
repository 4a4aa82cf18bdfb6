"""SignalR with its JSON protocol over a WebSocket; the names of the hub's methods are the application's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from stampede.dialects.address import Address
from stampede.dialects.application import ApplicationDialect
from stampede.dialects.base import Conversation, Feature, Message
from stampede.dialects.outgoing import argument_list, check_payloads
from stampede.dialects.placeholders import ESCAPES, TextTemplate, check_escape
from stampede.dialects.signalr_conversation import INVOCATION, PING, SEPARATOR, SignalRConversation
from stampede.ledger import stamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_KINDS: Final = ("join", "say", "leave", "typing")

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class SignalRTargets:
    """Names of the methods; an empty name means that there is none.

    Attributes:
        join: of the hub, to join a room. Without it, the room must be in the path's query.
        say: of the hub, to send a chat message.
        receive: of the client, which receives a chat message.
        leave: of the hub, to leave a room.
        typing: of the hub, for a typing notice.
    """

    join: str = "AddToGroup"
    say: str = "SendMessage"
    receive: str = "ReceiveMessage"
    leave: str = ""
    typing: str = ""


@dataclass(frozen=True, slots=True)
class SignalRPayload:
    """The arguments of each method as a JSON list with placeholders; other JSON is the only argument."""

    join: str = '["{room}"]'
    say: str = '["{room}","{text}"]'
    leave: str = '["{room}"]'
    typing: str = '["{room}"]'


@dataclass(frozen=True, slots=True)
class SignalRAck:
    """Which methods are invoked with a number, so that the server confirms their end."""

    join: bool = True
    say: bool = False
    leave: bool = True


@dataclass(frozen=True, slots=True)
class SignalROptions:
    """What an application decides.

    Attributes:
        path: path of the hub, with a query if the server needs one; placeholders are allowed. Servers expect a token
            as `access_token` in the query.
        escape: how placeholders in payloads are escaped; a key of `ESCAPES`.
        targets: names of methods.
        payload: arguments of methods.
        ack: methods whose end the server confirms.
        echo: whether a sender receives its own messages; None if that must be discovered.

    Raises:
        ValueError: an option has no valid value; the text begins with its name.
    """

    path: str = "/chat"
    escape: str = "json"
    targets: SignalRTargets = field(default_factory=SignalRTargets)
    payload: SignalRPayload = field(default_factory=SignalRPayload)
    ack: SignalRAck = field(default_factory=SignalRAck)
    echo: bool | None = None

    def __post_init__(self) -> None:
        check_escape(self.escape)
        Address(self.path)
        check_payloads(self.payload, _KINDS)
        for name in ("say", "receive"):
            if not getattr(self.targets, name):
                raise ValueError(f"targets.{name}: expected the name of a method")


class SignalRDialect(ApplicationDialect):
    """SignalR with the methods of one application.

    Attributes:
        options: what the application decides.
        outgoing: the methods to invoke, as JSON with placeholders, without their number.
    """

    name = "signalr"
    confirms_opening = True
    splits_frames = True
    keepalive_seconds: float | None = 15.0
    notices = (PING,)

    def __init__(self, options: SignalROptions | None = None) -> None:
        self.options = options = options or SignalROptions()
        targets = options.targets
        escape = ESCAPES[options.escape]
        self.outgoing = {
            kind: TextTemplate.parse(
                f'"target":{_json(getattr(targets, kind))},'
                f'"arguments":[{argument_list(getattr(options.payload, kind))}]}}{SEPARATOR.decode()}',
                escape,
            )
            for kind in _KINDS
        }
        super().__init__(options.path, options.echo, self.outgoing.values())
        self.acknowledges_joins = bool(targets.join) and options.ack.join
        self.acknowledges_leaves = bool(targets.leave) and options.ack.leave
        self.acknowledges_messages = options.ack.say
        self.features = frozenset({Feature.TYPING} if targets.typing else ())
        self._delivery = INVOCATION + f'"target":{_json(targets.receive)},'.encode()

    def converse(self, values: Mapping[str, str], rooms: Sequence[str]) -> Conversation:
        """Return the conversation of a new connection."""
        return SignalRConversation(self, values)

    def encode(self, message: Message) -> bytes:
        """Return a scenario's message: `{"type": METHOD, "arguments": [...]}` as an invocation, others unchanged."""
        if isinstance(message, bytes | str):
            return super().encode(message)
        invocation = {"type": 1, "target": message["type"], "arguments": message.get("arguments", [])}
        return _encode(invocation) + SEPARATOR

    def escape(self, text: str) -> bytes:
        """Return a text as it stands in the payload."""
        return ESCAPES[self.options.escape](text).encode()

    def find_stamp(self, payload: bytes) -> stamp.Fields | None:
        """Return the fields of the stamp in an invocation of the client's method."""
        return stamp.search(payload) if payload.startswith(self._delivery) else None


def _json(text: str) -> str:
    return _encode(text).decode()
