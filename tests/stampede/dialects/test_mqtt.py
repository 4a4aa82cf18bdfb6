"""MQTT: what is sent, and what received packets mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.dialects import mqtt_packets as packets
from stampede.dialects.base import UpgradeRequest
from stampede.dialects.events import Acknowledged, Answer, Delivery, Event, Joined, Left, Opened, Pong, Refused
from stampede.dialects.mqtt import MqttDialect, MqttOptions
from stampede.dialects.placeholders import MissingValueError
from stampede.ledger import stamp
from stampede.measure import request_names
from tests.stampede.dialects.events import without_messages
from tests.stampede.dialects.splitting import cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stampede.dialects.base import Conversation

FIELDS = (1, 2**64 - 1, 3, 4, 5, 6)
PREFIX = stamp.make(*FIELDS)
STAMP = stamp.for_any_server(PREFIX)
NAMES = st.text(st.characters(exclude_categories=["Cs"]))
ACCEPTED = b"\x20\x02\x00\x00"
PINGRESP = b"\xd0\x00"
VALUES = {"user": "ann", "password": "secret", "token": "t/1"}


def conversation(options: MqttOptions | None = None, *, opened: bool = True) -> Conversation:
    """Return a conversation, by default one that is open."""
    one = MqttDialect(options).converse(VALUES, ["red"])
    if opened:
        assert received(one, [ACCEPTED]) == [Opened()]
    return one


def received(one: Conversation, payloads: Sequence[bytes]) -> list[Event]:
    """Return the events of payloads, without their messages."""
    return [
        event for payload in payloads for part in one.split(payload) for event in without_messages(one.receive(part))
    ]


def answer(kind: int, number: int, rest: bytes = b"") -> bytes:
    """Return the server's answer to a request."""
    return packets.packet(kind, number.to_bytes(2, "big") + rest)


def delivery(number: int | None = None, text: bytes = STAMP) -> bytes:
    """Return a message to a subscriber."""
    return packets.publish(packets.topic_name("chat/red"), text, number)


def test_the_client_connects_with_the_values_of_its_account() -> None:
    options = MqttOptions(client_id="load-{user}", username="{user}", password="{password}", keep_alive=5)
    one = MqttDialect(options).converse(VALUES, ["red"])
    assert list(one.open()) == [packets.connect("load-ann", "ann", "secret", 5)]
    assert "CONNACK" in one.awaited
    with pytest.raises(MissingValueError, match="password"):
        MqttDialect(options).request({"user": "ann"}, ["red"])


def test_the_defaults_need_no_value_of_the_account() -> None:
    dialect = MqttDialect()
    assert list(dialect.converse({}, []).open()) == [packets.connect("", "", "", 60)]
    assert (dialect.path, dialect.request({}, []), dialect.echoes) == ("/mqtt", UpgradeRequest(), True)
    assert (dialect.keepalive_seconds, MqttDialect(MqttOptions(keep_alive=0)).keepalive_seconds) == (30, None)


@given(NAMES, NAMES)
def test_a_room_is_a_topic_whatever_its_name_and_the_text_are(room: str, text: str) -> None:
    dialect = MqttDialect()
    one = dialect.converse(VALUES, [room])
    topic = "chat/" + room.replace("+", "%2B").replace("#", "%23").replace("\0", "%00")
    assert list(one.join(room)) == [packets.subscribe(1, topic, 0)]
    said = one.say_stamped(room, PREFIX, dialect.escape(text))
    assert packets.parse_publish(said) == (topic, None, STAMP + text.encode())
    assert packets.parse_publish(one.say(room, text)) == (topic, None, text.encode())
    assert list(one.leave(room)) == [packets.unsubscribe(2, topic)]
    assert list(one.close()) == [packets.DISCONNECT]


@given(st.data())
def test_any_order_and_any_split_of_answers_deliveries_and_pongs_gives_the_same_events(data: st.DataObject) -> None:
    one = conversation(MqttOptions(qos=1))
    assert list(one.join("red")) == [packets.subscribe(1, "chat/red", 1)]
    assert packets.parse_publish(one.say_stamped("red", PREFIX, b""))[1] == b"\0\2"
    one.leave("red")
    assert packets.parse_publish(one.say_stamped("red", PREFIX, b""))[1] == b"\0\4"
    assert {one.ping(7), *one.keepalive(), one.ping(8)} == {packets.PINGREQ}
    payloads = [
        *[answer(packets.SUBACK, 1, b"\1"), answer(packets.PUBACK, 2), answer(packets.UNSUBACK, 3)],
        *[answer(packets.PUBACK, 4), PINGRESP, PINGRESP, PINGRESP, delivery(), delivery(9)],
    ]
    events = received(one, list(cut(b"".join(data.draw(st.permutations(payloads))), data)))
    expected = [Joined("red"), Acknowledged(1), Left("red"), Acknowledged(2), Pong(7), Pong(8), Delivery(FIELDS)]
    expected += [Answer(packets.puback(b"\0\x09")), Delivery(FIELDS)]
    assert sorted(map(repr, events)) == sorted(map(repr, expected))
    assert [event for event in events if isinstance(event, Pong)] == [Pong(7), Pong(8)]


def test_numbers_begin_again_after_the_highest() -> None:
    one = conversation(MqttOptions(qos=1))
    for number in range(1, packets.MAX_PACKET_ID + 1):
        one.say_stamped("red", PREFIX, b"")
        assert received(one, [answer(packets.PUBACK, number)]) == [Acknowledged(number)]
    assert packets.parse_publish(one.say_stamped("red", PREFIX, b""))[1] == b"\0\1"
    assert received(one, [answer(packets.PUBACK, 1)]) == [Acknowledged(packets.MAX_PACKET_ID + 1)]


def test_only_a_message_is_a_delivery_and_one_with_qos_1_is_answered() -> None:
    dialect = MqttDialect()
    assert dialect.find_stamp(delivery()) == FIELDS
    assert dialect.find_stamp(b"\x31" + delivery()[1:]) == FIELDS, "retained"
    assert dialect.find_stamp(delivery(1)) is None
    assert dialect.find_stamp(answer(packets.PUBACK, 1)) is None
    message = {"type": "PUBLISH", "topic": "chat/red", "payload": "hello"}
    assert conversation().receive(delivery(text=b"hello")) == (Event(message=message),)
    assert conversation().receive(delivery(3, b"hello")) == (
        Answer(b"\x40\x02\x00\x03"),
        Event(message=message),
    )


@pytest.mark.parametrize(
    ("code", "label"),
    [
        (1, "refused: unacceptable protocol version"),
        (4, "refused: bad user name or password"),
        (5, "refused: not authorized"),
        (99, "refused: return code 99"),
    ],
)
def test_a_refused_connection_says_why(code: int, label: str) -> None:
    one = conversation(opened=False)
    assert received(one, [b"\x20\x02\x00" + bytes([code])]) == [Refused(label, request_names.CONNECT)]


def test_a_refused_subscription_names_its_room() -> None:
    one = conversation()
    one.join("red")
    assert received(one, [answer(packets.SUBACK, 1, b"\x80")]) == [
        Refused("error: subscription refused", request_names.JOIN, room="red")
    ]
    assert received(one, [answer(packets.SUBACK, 1, b"\x80"), PINGRESP]) == [Event()], "it is answered already"


@pytest.mark.parametrize(
    "payload", [b'{"type":"welcome"}', b'0{"sid":"1"}', b"CONNECTED\n\n\0", b"\x30\x02\x00\x09", b"\x20\x01\x00"]
)
def test_another_protocol_is_a_refusal_at_first_and_an_error_later(payload: bytes) -> None:
    assert received(conversation(opened=False), [payload]) == [Refused(packets.NOT_MQTT, request_names.CONNECT)]
    if payload.startswith(b"0{"):  # looks like the beginning of a long message
        payload += bytes(200)
    with pytest.raises(ValueError, match=packets.NOT_MQTT):
        received(conversation(), [payload])


def test_the_application_decides_the_topic_and_the_body() -> None:
    options = MqttOptions(
        path="/{user}?token={token}", topic="rooms/{room}/messages", body='{"from":"{user}","text":"{text}"}', echo=None
    )
    dialect = MqttDialect(options)
    assert dialect.request({"user": "a+b", "token": "t"}, []) == UpgradeRequest("/a%2Bb", "token=t")
    assert dialect.echoes is None
    one = dialect.converse(VALUES, ["red"])
    assert list(one.join("a+b")) == [packets.subscribe(1, "rooms/a%2Bb/messages", 0)]
    topic, _, body = packets.parse_publish(one.say_stamped("red", PREFIX, dialect.escape('"hi"')))
    assert (topic, body) == ("rooms/red/messages", b'{"from":"ann","text":"%b\\"hi\\""}' % STAMP)


def test_a_mapping_is_sent_as_a_message() -> None:
    dialect = MqttDialect()
    assert packets.parse_publish(dialect.encode({"type": "PUBLISH", "topic": "a", "payload": "ü"})) == (
        "a",
        None,
        b"\xc3\xbc",
    )
    assert dialect.encode(packets.PINGREQ) == packets.PINGREQ


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "mqtt"}, r"path: expected a text that begins with /"),
        ({"body": "hello"}, r"body: expected a text with the placeholder \{text\}"),
        ({"escape": "html"}, r"escape: expected one of json, json2, xml, url, raw"),
        ({"topic": ""}, r"topic: expected a topic such as chat/\{room\}"),
        ({"qos": 2}, r"qos: expected 0 or 1"),
        ({"keep_alive": 70_000}, r"keep_alive: expected a number of seconds from 0 to 65535"),
        ({"password": "x"}, r"username: expected a name, since there is a password"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        MqttOptions(**options)
