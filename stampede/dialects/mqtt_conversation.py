"""The conversation of a client with an MQTT broker; pure.

client  CONNECT
server  CONNACK                 with a return code
client  SUBSCRIBE topic
server  SUBACK                  with a return code
client  PUBLISH topic           QoS 1: the server answers PUBACK
server  PUBLISH topic           QoS 1: the client answers PUBACK
client  PINGREQ
server  PINGRESP
client  UNSUBSCRIBE topic
server  UNSUBACK
client  DISCONNECT
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from stampede.dialects import mqtt_packets as packets
from stampede.dialects.base import Conversation
from stampede.dialects.events import Answer, Event, Opened, Pong, Refused, chat_message
from stampede.dialects.outgoing import Outgoing
from stampede.dialects.requests import Requests
from stampede.ledger import stamp
from stampede.measure import request_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stampede.dialects.mqtt import MqttDialect

_REFUSALS: Final = {
    1: "unacceptable protocol version",
    2: "identifier rejected",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorized",
}
_NAMES: Final = {packets.PUBACK: "PUBACK", packets.SUBACK: "SUBACK", packets.UNSUBACK: "UNSUBACK"}


class MqttConversation(Conversation):
    """The state of MQTT on one connection."""

    __slots__ = ("_dialect", "_opened", "_outgoing", "_pings", "_requests", "_splitter", "_topics", "_values")

    def __init__(self, dialect: MqttDialect, values: Mapping[str, str]) -> None:
        self._dialect = dialect
        self._values = values
        self._outgoing = Outgoing(dialect.outgoing, values)
        self._requests = Requests(packets.MAX_PACKET_ID)
        self._splitter = packets.PacketSplitter()
        self._topics: dict[str, bytes] = {}  # as they stand in packets, by room
        self._pings: deque[int | None] = deque()  # numbers of the unanswered pings; None for that of a keepalive
        self._opened = False

    @property
    def awaited(self) -> str:
        """What the client waits for until the conversation is open."""
        return "the packet CONNACK; is this an MQTT broker?"

    # --- messages to send ---

    def open(self) -> Sequence[bytes]:
        """Return the packet that asks for a connection."""
        dialect, values = self._dialect, self._values
        client_id, username = dialect.client_id.fill(values), dialect.username.fill(values)
        return (packets.connect(client_id, username, dialect.password.fill(values), dialect.options.keep_alive),)

    def join(self, room: str) -> Sequence[bytes]:
        """Return the packet that subscribes to the topic of a room."""
        return (packets.subscribe(self._requests.join(room), self._topic(room), self._dialect.options.qos),)

    def leave(self, room: str) -> Sequence[bytes]:
        """Return the packet that ends the subscription of the topic of a room."""
        return (packets.unsubscribe(self._requests.leave(room), self._topic(room)),)

    def say(self, room: str, text: str) -> bytes:
        """Return the packet of a chat message, with QoS 0."""
        return self._publish(room, None, self._dialect.escape(text))

    def say_stamped(self, room: str, prefix: bytes, text: bytes) -> bytes:
        """Return the packet of a chat message."""
        number = self._requests.say() if self._dialect.acknowledges_messages else None
        return self._publish(room, number, stamp.for_any_server(prefix) + text)

    def ping(self, number: int) -> bytes:
        """Return a ping. It carries no number: the server answers pings in their order."""
        self._pings.append(number)
        return packets.PINGREQ

    def keepalive(self) -> Sequence[bytes]:
        """Return a ping that is not timed."""
        self._pings.append(None)
        return (packets.PINGREQ,)

    def close(self) -> Sequence[bytes]:
        """Return the packet that ends the connection."""
        return (packets.DISCONNECT,)

    def _topic(self, room: str) -> str:
        return self._dialect.topic.fill({**self._values, "room": room})

    def _publish(self, room: str, number: int | None, text: bytes) -> bytes:
        topic = self._topics.get(room)
        if topic is None:
            topic = self._topics[room] = packets.topic_name(self._topic(room))
        return packets.publish(topic, self._outgoing.message("say", room, text), number)

    # --- received messages ---

    def split(self, payload: bytes) -> Sequence[bytes]:
        """Return the packets that a WebSocket frame completes."""
        return self._splitter.split(payload)

    def receive(self, payload: bytes) -> Sequence[Event]:
        """Return what a packet means.

        Raises:
            ValueError: it is no packet of an MQTT broker.
        """
        try:
            return self._receive(payload)
        except ValueError:
            if self._opened:
                raise
            return (Refused(packets.NOT_MQTT, request_names.CONNECT),)

    def _receive(self, payload: bytes) -> Sequence[Event]:
        kind = payload[0] & 0xF0 if payload else 0
        if kind == packets.PUBLISH:
            return self._receive_publish(payload)
        body = packets.body_of(payload)
        if kind == packets.PINGRESP:
            number = self._pings.popleft() if self._pings else None
            return () if number is None else (Pong(number),)
        if len(body) < 2:
            raise ValueError(packets.NOT_MQTT)
        if kind == packets.CONNACK:
            return (self._accepted(body[1]),)
        if kind not in _NAMES:
            raise ValueError(packets.NOT_MQTT)
        number = int.from_bytes(body[:2], "big")
        refused = kind == packets.SUBACK and body[2:3] == bytes((packets.FAILURE,))
        message = {"type": _NAMES[kind], "packet_id": number}
        return (self._requests.confirm(number, message, "subscription refused" if refused else None),)

    def _accepted(self, code: int) -> Event:
        if code == 0:
            self._opened = True
            return Opened(message={"type": "CONNACK"})
        reason = _REFUSALS.get(code, f"return code {code}")
        return Refused(f"refused: {reason}", request_names.CONNECT)

    def _receive_publish(self, payload: bytes) -> Sequence[Event]:
        topic, number, text = packets.parse_publish(payload)
        message = {"type": "PUBLISH", "topic": topic, "payload": text.decode(errors="replace")}
        fields = stamp.search(text)
        event = chat_message(fields, message)
        return (event,) if number is None else (Answer(packets.puback(number)), event)
