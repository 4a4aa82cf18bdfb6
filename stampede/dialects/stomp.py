"""STOMP 1.2 over a WebSocket; a room is a destination of the broker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stampede.dialects.address import Address
from stampede.dialects.application import ApplicationDialect
from stampede.dialects.bodies import check_body, default_escape
from stampede.dialects.placeholders import ESCAPES, TextTemplate
from stampede.dialects.stomp_conversation import StompConversation
from stampede.dialects.stomp_frames import MESSAGE, encode
from stampede.ledger import stamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stampede.dialects.base import Conversation, Message


@dataclass(frozen=True, slots=True)
class StompAck:
    """Which frames are sent with a header `receipt`, so that the server confirms them. Some brokers confirm none."""

    join: bool = True
    say: bool = False
    leave: bool = True


@dataclass(frozen=True, slots=True)
class StompOptions:
    """What a broker and an application decide. All texts but `escape` may contain placeholders.

    Attributes:
        path: path of the broker, with a query if it needs one.
        login: name of the user; empty for none.
        passcode: password of the user; empty for none.
        vhost: virtual host of the broker.
        connect_headers: further headers of the frame CONNECT, such as `Authorization`.
        subscribe: destination of the subscription of a room.
        send: destination of the messages to a room.
        body: of a message.
        escape: how placeholders in the body are escaped, a key of `ESCAPES`; by default `json` if the body is JSON,
            otherwise `raw`.
        heartbeat: seconds between heartbeats, of the client and of the server; 0 for none.
        ack: frames that the server confirms.
        echo: whether a sender receives its own messages; None if that must be discovered.

    Raises:
        ValueError: an option has no valid value; the text begins with its name.
    """

    path: str = "/ws"
    login: str = ""
    passcode: str = ""
    vhost: str = "/"
    connect_headers: Mapping[str, str] = field(default_factory=dict)
    subscribe: str = "/topic/{room}"
    send: str = "/topic/{room}"
    body: str = "{text}"
    escape: str = ""
    heartbeat: float = 10
    ack: StompAck = field(default_factory=StompAck)
    echo: bool | None = True

    def __post_init__(self) -> None:
        Address(self.path)
        check_body(self.body, self.escape)
        for name in ("subscribe", "send"):
            if not getattr(self, name):
                raise ValueError(f"{name}: expected a destination such as /topic/{{room}}")
        if self.heartbeat < 0:
            raise ValueError("heartbeat: expected a number of seconds, or 0")


class StompDialect(ApplicationDialect):
    """STOMP with the destinations of one application.

    Attributes:
        options: what the application decides.
        connect: headers of the frame CONNECT.
        subscribe: destination of a subscription.
        send: destination of a message.
        outgoing: the body of a message.
    """

    name = "stomp"
    subprotocols = ("v12.stomp",)
    confirms_opening = True
    splits_frames = True

    def __init__(self, options: StompOptions | None = None) -> None:
        self.options = options = options or StompOptions()
        self.acknowledges_joins = options.ack.join
        self.acknowledges_leaves = options.ack.leave
        self.acknowledges_messages = options.ack.say
        if options.heartbeat:
            self.keepalive_seconds = options.heartbeat / 2  # twice as often as promised, since a timer may be late
        milliseconds = round(options.heartbeat * 1000)
        headers = {
            "accept-version": "1.2",
            "host": options.vhost,
            "heart-beat": f"{milliseconds},{milliseconds}",
            **({"login": options.login} if options.login else {}),
            **({"passcode": options.passcode} if options.passcode else {}),
            **options.connect_headers,
        }
        self.connect = {name: TextTemplate.parse(value) for name, value in headers.items()}
        self.subscribe = TextTemplate.parse(options.subscribe)
        self.send = TextTemplate.parse(options.send)
        self._escape = ESCAPES[options.escape or default_escape(options.body)]
        self.outgoing = {"say": TextTemplate.parse(options.body, self._escape)}
        own = (*self.connect.values(), self.subscribe, self.send)
        super().__init__(options.path, options.echo, (*own, *self.outgoing.values()))

    def converse(self, values: Mapping[str, str], rooms: Sequence[str]) -> Conversation:
        """Return the conversation of a new connection."""
        return StompConversation(self, values)

    def encode(self, message: Message) -> bytes:
        """Return a scenario's message: `{"type": COMMAND, "body": ..., HEADER: ...}` as a frame, others unchanged."""
        if isinstance(message, bytes | str):
            return super().encode(message)
        headers = {name: str(value) for name, value in message.items() if name not in {"type", "body"}}
        return encode(str(message["type"]), headers, str(message.get("body", "")).encode())

    def escape(self, text: str) -> bytes:
        """Return a text as it stands in the body."""
        return self._escape(text).encode()

    def find_stamp(self, payload: bytes) -> stamp.Fields | None:
        """Return the fields of the stamp in a frame MESSAGE."""
        return stamp.search(payload) if payload.startswith(MESSAGE) else None
