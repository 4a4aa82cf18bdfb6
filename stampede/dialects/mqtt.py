"""MQTT 3.1.1 over a WebSocket; a room is a topic of the broker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stampede.dialects.address import Address
from stampede.dialects.application import ApplicationDialect
from stampede.dialects.base import Conversation, Feature, Message
from stampede.dialects.bodies import check_body, default_escape
from stampede.dialects.mqtt_conversation import MqttConversation
from stampede.dialects.mqtt_packets import MAX_PACKET_ID, PUBLISH, publish, topic_name
from stampede.dialects.placeholders import ESCAPES, TextTemplate
from stampede.ledger import stamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TYPE_AND_QOS: Final = 0xF6
_NO_TOPIC: Final = str.maketrans({"+": "%2B", "#": "%23", "\0": "%00"})


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """What a broker and an application decide. All texts but `escape` may contain placeholders.

    Attributes:
        path: path of the broker, with a query if it needs one.
        client_id: identifier of the client; without one the broker chooses it. Each user needs one of its own.
        username: name of the user; empty for none.
        password: of the user; empty for none.
        topic: of a room. The characters `+`, `#` and NUL, which no topic may contain, are percent-encoded in values.
        qos: quality of service of messages and subscriptions, 0 or 1. With 1 the broker acknowledges messages.
        body: of a message.
        escape: how placeholders in the body are escaped, a key of `ESCAPES`; by default `json` if the body is JSON,
            otherwise `raw`.
        keep_alive: seconds of silence after which the broker may close the connection; 0 for none. The client sends a
            ping twice as often.
        echo: whether a sender receives its own messages; None if that must be discovered.

    Raises:
        ValueError: an option has no valid value; the text begins with its name.
    """

    path: str = "/mqtt"
    client_id: str = ""
    username: str = ""
    password: str = ""
    topic: str = "chat/{room}"
    qos: int = 0
    body: str = "{text}"
    escape: str = ""
    keep_alive: int = 60
    echo: bool | None = True

    def __post_init__(self) -> None:
        Address(self.path)
        check_body(self.body, self.escape)
        if not self.topic:
            raise ValueError("topic: expected a topic such as chat/{room}")
        if self.qos not in {0, 1}:
            raise ValueError("qos: expected 0 or 1")
        if not 0 <= self.keep_alive <= MAX_PACKET_ID:
            raise ValueError(f"keep_alive: expected a number of seconds from 0 to {MAX_PACKET_ID}")
        if self.password and not self.username:
            raise ValueError("username: expected a name, since there is a password")


class MqttDialect(ApplicationDialect):
    """MQTT with the topics of one application.

    Attributes:
        options: what the application decides.
        client_id: identifier of the client.
        username: name of the user.
        password: of the user.
        topic: of a room.
        outgoing: the body of a message.
    """

    name = "mqtt"
    subprotocols = ("mqtt",)
    confirms_opening = True
    acknowledges_joins = acknowledges_leaves = True
    features = frozenset({Feature.PING})
    sends_binary = True
    splits_frames = True

    def __init__(self, options: MqttOptions | None = None) -> None:
        self.options = options = options or MqttOptions()
        self.acknowledges_messages = options.qos == 1
        if options.keep_alive:
            self.keepalive_seconds = options.keep_alive / 2
        self.client_id = TextTemplate.parse(options.client_id)
        self.username = TextTemplate.parse(options.username)
        self.password = TextTemplate.parse(options.password)
        self.topic = TextTemplate.parse(options.topic, lambda value: value.translate(_NO_TOPIC))
        self._escape = ESCAPES[options.escape or default_escape(options.body)]
        self.outgoing = {"say": TextTemplate.parse(options.body, self._escape)}
        own = (self.client_id, self.username, self.password, self.topic)
        super().__init__(options.path, options.echo, (*own, *self.outgoing.values()))

    def converse(self, values: Mapping[str, str], rooms: Sequence[str]) -> Conversation:
        """Return the conversation of a new connection."""
        return MqttConversation(self, values)

    def encode(self, message: Message) -> bytes:
        """Return a scenario's message: `{"type": "PUBLISH", "topic": ..., "payload": ...}`, or a packet unchanged."""
        if isinstance(message, bytes | str):
            return super().encode(message)
        return publish(topic_name(str(message["topic"])), str(message.get("payload", "")).encode(), None)

    def escape(self, text: str) -> bytes:
        """Return a text as it stands in the body."""
        return self._escape(text).encode()

    def find_stamp(self, payload: bytes) -> stamp.Fields | None:
        """Return the fields of the stamp in a message with QoS 0; one with QoS 1 needs an answer."""
        return stamp.search(payload) if payload[0] & _TYPE_AND_QOS == PUBLISH else None
