"""What real servers send to a user that joins a room and chats, recorded message by message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stampede.dialect_registry import load_dialect
from stampede.dialects.actioncable import ActionCableDialect
from stampede.dialects.mqtt import MqttDialect, MqttOptions
from stampede.dialects.signalr import SignalRAck, SignalRDialect, SignalROptions
from stampede.dialects.socketio import SocketIoAck, SocketIoDialect, SocketIoOptions
from stampede.dialects.stampede import StampedeDialect
from stampede.dialects.stomp import StompAck, StompDialect, StompOptions
from tests.tables import ROOT

if TYPE_CHECKING:
    from stampede.dialects.base import Dialect

VALUES = {"user": "bob"}
ROOM = "room 1"


@dataclass(frozen=True, slots=True)
class Exchange:
    """The messages of a server to user `bob`, each as it stands in a frame, with what ends it.

    Attributes:
        dialect: of the server.
        opening: from the handshake to the confirmation of the join, in the order of the server.
        deliveries: chat messages with stamps, of others and of bob.
        acknowledgements: of bob's chat messages, in the order of the server.
        pings: messages that change nothing and may come at any time: pings, pongs,
            results of requests, private copies.
        is_binary: whether the server sends binary frames.
    """

    dialect: Dialect
    opening: tuple[bytes, ...]
    deliveries: tuple[bytes, ...]
    acknowledgements: tuple[bytes, ...] = ()
    pings: tuple[bytes, ...] = ()
    is_binary: bool = False


# The stamps of the messages: of ann and bob, the first one and the second one.
A0 = b"~B4DGpH6NAwAJgMakfo0DAAAAAABNAAAAAwAAAAEAAAAAAAAA"
A1 = b"~B4DGpH6NAwAJgMakfo0DAAAAAABNAAAAAwAAAAEAAAABAAAA"
B0 = b"~B4DGpH6NAwAJgMakfo0DAAAAAABNAAAAAwAAAAIAAAAAAAAA"
B1 = b"~B4DGpH6NAwAJgMakfo0DAAAAAABNAAAAAwAAAAIAAAABAAAA"

STAMPEDE = Exchange(
    StampedeDialect(),
    opening=(
        b'{"type":"connected","clientId":"fc30cfaeea6b0b10","heartbeatInterval":30.0,"maxMessageBytes":16384}',
        b'{"type":"usernameSet","username":"bob"}',
        b'{"type":"userJoined","user":"bob","room":"room 1","userCount":2}',
        b'{"type":"roomJoined","room":"room 1","userCount":2}',
    ),
    deliveries=(
        b'{"type":"chatMessage","user":"ann","text":"%bhello","timestamp":1796000685669}' % A0,
        b'{"type":"chatMessage","user":"ann","text":"%bhello","timestamp":1796000685925}' % A1,
    ),
    pings=(b'{"type":"pong","serverTime":1796000688126,"timestamp":7}',),
)

SOCKETIO = Exchange(
    SocketIoDialect(SocketIoOptions(ack=SocketIoAck(join=True, say=True))),
    opening=(
        b'0{"sid":"jivCL0FZxbbWRD_yAAAC","upgrades":[],"pingTimeout":20000,"pingInterval":2000,"maxPayload":1000000}',
        b'40{"sid":"os1Fr_skgxgZkEFqAAAD"}',
        b'431[{"joined":"room 1"}]',
    ),
    deliveries=(
        b'42["message",{"room":"room 1","text":"%bhello"}]' % A0,
        b'42["message",{"room":"room 1","text":"%bhello"}]' % B0,
        b'42["message",{"room":"room 1","text":"%bhello"}]' % A1,
        b'42["message",{"room":"room 1","text":"%bhello"}]' % B1,
    ),
    acknowledgements=(b'432[{"sent":true}]', b'433[{"sent":true}]'),
    pings=(b"2",),
)

SIGNALR = Exchange(
    SignalRDialect(SignalROptions(ack=SignalRAck(say=True))),
    opening=(b"{}\x1e", b'{"type":3,"invocationId":"1","result":null}\x1e'),
    deliveries=(
        b'{"type":1,"target":"ReceiveMessage","arguments":["room 1","%bhello"]}\x1e' % A0,
        b'{"type":1,"target":"ReceiveMessage","arguments":["room 1","%bhello"]}\x1e' % B0,
        b'{"type":1,"target":"ReceiveMessage","arguments":["room 1","%bhello"]}\x1e' % A1,
        b'{"type":1,"target":"ReceiveMessage","arguments":["room 1","%bhello"]}\x1e' % B1,
    ),
    acknowledgements=(
        b'{"type":3,"invocationId":"2","result":null}\x1e',
        b'{"type":3,"invocationId":"3","result":null}\x1e',
    ),
    pings=(b'{"type":6}\x1e',),
    is_binary=True,
)

_CABLE = b'{"identifier":"{\\"channel\\":\\"ChatChannel\\",\\"room\\":\\"room 1\\"}",'

ACTIONCABLE = Exchange(
    ActionCableDialect(),
    opening=(b'{"type":"welcome"}', _CABLE + b'"type":"confirm_subscription"}'),
    deliveries=(
        _CABLE + b'"message":{"user":"anonymous","text":"%bhello"}}' % B0,
        _CABLE + b'"message":{"user":"anonymous","text":"%bhello"}}' % A0,
        _CABLE + b'"message":{"user":"anonymous","text":"%bhello"}}' % A1,
        _CABLE + b'"message":{"user":"anonymous","text":"%bhello"}}' % B1,
    ),
    pings=(b'{"type":"ping","message":1796002698}',),
)

_STOMP = (
    b"MESSAGE\nsubscription:1\ndestination:/topic/room 1\nmessage-id:T_1@@session-GlDTrLbAbX5Vezr8-lcm8w@@%d\n"
    b"redelivered:false\nreceipt:%d\ncontent-length:54\n\n%bhello\0\n"
)

STOMP = Exchange(
    StompDialect(StompOptions(ack=StompAck(say=True))),
    opening=(
        (
            b"CONNECTED\nserver:RabbitMQ/3.10.8\nsession:session-GlDTrLbAbX5Vezr8-lcm8w\nheart-beat:2000,2000\n"
            b"version:1.2\n\n\0\n"
        ),
        b"RECEIPT\nreceipt-id:1\n\n\0\n",
    ),
    deliveries=(_STOMP % (1, 2, A0), _STOMP % (2, 2, B0), _STOMP % (3, 3, A1), _STOMP % (4, 3, B1)),
    acknowledgements=(b"RECEIPT\nreceipt-id:2\n\n\0\n", b"RECEIPT\nreceipt-id:3\n\n\0\n"),
    pings=(b"\n",),
)

MQTT = Exchange(
    MqttDialect(),
    opening=(b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x00"),
    deliveries=tuple(b"\x30\x43\x00\x0bchat/room 1%bhello" % text for text in (A0, B0, A1, B1)),
    pings=(b"\xd0\x00",),
    is_binary=True,
)

MQTT_QOS_1 = Exchange(
    MqttDialect(MqttOptions(qos=1)),
    opening=(b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x01"),
    deliveries=tuple(
        b"\x32\x45\x00\x0bchat/room 1\x00%c%bhello" % (number, text)
        for number, text in ((1, A0), (2, B0), (3, A1), (4, B1))
    ),
    acknowledgements=(b"\x40\x02\x00\x02", b"\x40\x02\x00\x03"),
    pings=(b"\xd0\x00",),
    is_binary=True,
)

_GRAPHQL = b'{"id":"room room 1","type":"next","payload":{"data":{"messages":{"text":"%bhello"}}}}'

GRAPHQL_WS = Exchange(
    load_dialect("graphql-ws"),
    opening=(b'{"type":"connection_ack"}',),
    deliveries=tuple(_GRAPHQL % text for text in (A0, B0, A1, B1)),
    acknowledgements=(b'{"id":"3","type":"complete"}', b'{"id":"4","type":"complete"}'),
    pings=(b'{"id":"3","type":"next","payload":{"data":{"say":true}}}',),
)

FASTAPI = Exchange(
    load_dialect(str(ROOT / "docs/dialects/fastapi-chat.toml")),
    opening=(),
    deliveries=tuple(
        b"Client #%d says: %bhello" % (number, text) for number, text in ((1, A0), (2, B0), (1, A1), (2, B1))
    ),
    pings=(b"You wrote: %bhello" % B0, b"Client #3 left the chat"),
)

CHANNELS = Exchange(
    load_dialect(str(ROOT / "docs/dialects/django-channels-chat.toml")),
    opening=(),
    deliveries=tuple(b'{"message": "%bhello"}' % text for text in (A0, B0, A1, B1)),
)

EXCHANGES = {
    "stampede": STAMPEDE,
    "socketio": SOCKETIO,
    "signalr": SIGNALR,
    "actioncable": ACTIONCABLE,
    "stomp": STOMP,
    "graphql-ws": GRAPHQL_WS,
    "fastapi-chat.toml": FASTAPI,
    "django-channels-chat.toml": CHANNELS,
    "mqtt": MQTT,
    "mqtt with QoS 1": MQTT_QOS_1,
}
"""By the name of the dialect. Ann and bob each send two messages."""
