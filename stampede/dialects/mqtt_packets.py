"""The packets of MQTT 3.1.1 as bytes; pure.

A packet is a byte of type and flags, the length of the rest in one to four bytes, and the rest. Packets need not align
with the frames of WebSocket: a frame may carry several packets, or a part of one.

Only the packets of a client without a session are here. Client libraries for Python come with sockets and sessions of
their own, and no maintained one offers its packets alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

CONNACK: Final = 0x20
PUBLISH: Final = 0x30
PUBACK: Final = 0x40
SUBACK: Final = 0x90
UNSUBACK: Final = 0xB0
PINGRESP: Final = 0xD0

PINGREQ: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"

MAX_PACKET_ID: Final = 0xFFFF
FAILURE: Final = 0x80
"""Return code of a subscription that the server refuses."""

NOT_MQTT: Final = "not an MQTT broker: expected a packet of MQTT 3.1.1"

_CONNECT: Final = 0x10
_SUBSCRIBE: Final = 0x82
_UNSUBSCRIBE: Final = 0xA2
_PROTOCOL: Final = b"\x00\x04MQTT\x04"  # its name and its level
_CLEAN_SESSION: Final = 0x02
_PASSWORD: Final = 0x40
_USERNAME: Final = 0x80
_QOS: Final = 0x06
_DUP: Final = 0x08

# What a server sends to a client that publishes and subscribes with QoS 0 or 1.
_FIRST_BYTES: Final = frozenset(
    {CONNACK, PUBACK, SUBACK, UNSUBACK, PINGRESP}
    | {PUBLISH | duplicate | qos << 1 | retain for duplicate in (0, _DUP) for qos in (0, 1) for retain in (0, 1)}
)


def connect(client_id: str, username: str, password: str, keep_alive: int) -> bytes:
    """Return a request for a connection without a session; an empty name or password is none."""
    flags = _CLEAN_SESSION | (_USERNAME if username else 0) | (_PASSWORD if password else 0)
    credentials = [_string(text) for text in (username, password) if text]
    body = b"".join((_PROTOCOL, bytes((flags,)), keep_alive.to_bytes(2, "big"), _string(client_id), *credentials))
    return packet(_CONNECT, body)


def subscribe(packet_id: int, topic: str, qos: int) -> bytes:
    """Return a request to receive the messages of a topic."""
    return packet(_SUBSCRIBE, packet_id.to_bytes(2, "big") + _string(topic) + bytes((qos,)))


def unsubscribe(packet_id: int, topic: str) -> bytes:
    """Return a request to receive the messages of a topic no more."""
    return packet(_UNSUBSCRIBE, packet_id.to_bytes(2, "big") + _string(topic))


def publish(topic: bytes, payload: bytes, packet_id: int | None) -> bytes:
    """Return a message.

    Args:
        topic: its topic as `topic_name` returns it.
        payload: the message itself.
        packet_id: its number, for QoS 1; None for QoS 0.
    """
    if packet_id is None:
        return packet(PUBLISH, topic + payload)
    return packet(PUBLISH | 1 << 1, topic + packet_id.to_bytes(2, "big") + payload)


def puback(packet_id: bytes) -> bytes:
    """Return the acknowledgement of a message with QoS 1."""
    return packet(PUBACK, packet_id)


def topic_name(topic: str) -> bytes:
    """Return a topic as it stands in a packet."""
    return _string(topic)


def packet(first: int, body: bytes) -> bytes:
    """Return a packet with its length."""
    length = len(body)
    digits = bytearray((first,))
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | 0x80 if length else digit)
        if not length:
            return bytes(digits) + body


def body_of(payload: bytes) -> bytes:
    """Return a packet's bytes behind its length.

    Raises:
        ValueError: it is no whole packet.
    """
    start, end = _bounds(payload, 0)
    if not start or end != len(payload):
        raise ValueError(NOT_MQTT)
    return payload[start:]


def parse_publish(payload: bytes) -> tuple[str, bytes | None, bytes]:
    """Return the topic, the number (None for QoS 0) and the message of a PUBLISH.

    Raises:
        ValueError: it is malformed.
    """
    body = body_of(payload)
    end = 2 + int.from_bytes(body[:2], "big")
    start = end + 2 if payload[0] & _QOS else end
    if len(body) < start or len(body) < end:
        raise ValueError(NOT_MQTT)
    try:
        topic = body[2:end].decode()
    except UnicodeDecodeError:
        raise ValueError(NOT_MQTT) from None
    return topic, body[end:start] or None, body[start:]


class PacketSplitter:
    """Joins and cuts the payloads of WebSocket frames at the ends of packets."""

    __slots__ = ("_accepted", "_rest")

    def __init__(self) -> None:
        self._accepted = False  # whether the first packet, which accepts the connection, has come
        self._rest = b""  # of the payloads, behind the last complete packet

    def split(self, payload: bytes) -> Sequence[bytes]:
        """Return the packets that a payload completes. What is no MQTT at all is returned as it is."""
        if self._accepted and not self._rest and payload and payload[0] in _FIRST_BYTES:
            start, end = _bounds(payload, 0)
            if start and end == len(payload):  # most payloads are one packet
                return (payload,)
        buffer = self._rest + payload
        packets = []
        position = 0
        while position < len(buffer):
            start, end = self._bounds(buffer, position)
            if end > len(buffer):
                break
            packets.append(buffer[position:end])
            self._accepted = True
            position = end
        self._rest = buffer[position:]
        return packets

    def _bounds(self, buffer: bytes, position: int) -> tuple[int, int]:
        """Return where the body of a packet begins and ends; all of the buffer if that is no packet of a server."""
        first = buffer[position]
        if first not in _FIRST_BYTES or not (self._accepted or first == CONNACK):
            return position, len(buffer)
        start, end = _bounds(buffer, position)
        return (start, end) if start or len(buffer) - position < 5 else (position, len(buffer))


def _bounds(buffer: bytes, position: int) -> tuple[int, int]:
    """Return where the body of a packet begins and ends; the start is 0 while its length is incomplete or too long."""
    length = shift = 0
    for index in range(position + 1, min(position + 5, len(buffer))):
        digit = buffer[index]
        length |= (digit & 0x7F) << shift
        if digit < 0x80:
            return index + 1, index + 1 + length
        shift += 7
    return 0, len(buffer) + 1


def _string(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded
