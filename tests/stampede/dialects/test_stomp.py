"""STOMP: what is sent, and what received frames mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.dialects.base import UpgradeRequest
from stampede.dialects.events import Acknowledged, Delivery, Event, Joined, Left, Opened, Refused
from stampede.dialects.placeholders import MissingValueError
from stampede.dialects.stomp import StompAck, StompDialect, StompOptions
from stampede.dialects.stomp_frames import NOT_STOMP, encode
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
CONNECTED = b"CONNECTED\nversion:1.2\nheart-beat:10000,10000\n\n\0\n"
VALUES = {"user": "ann", "password": "p:1", "token": "t/1"}
ALL_ACKS = StompOptions(ack=StompAck(say=True))


def conversation(options: StompOptions | None = None, *, opened: bool = True) -> Conversation:
    """Return a conversation, by default one that is open."""
    one = StompDialect(options).converse(VALUES, ["red"])
    if opened:
        one.receive(CONNECTED)
    return one


def sent(payload: bytes) -> tuple[str, dict[str, str], bytes]:
    """Return the command, the headers without their escapes, and the body of a frame of the client."""
    head, _, rest = payload.partition(b"\n\n")
    command, *lines = head.decode().split("\n")
    escapes = (("\\c", ":"), ("\\n", "\n"), ("\\r", "\r"), ("\\\\", "\\"))
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        parts = value.split("\\\\")  # so that no escape begins in the middle of another
        for escape, character in escapes[:3]:
            parts = [part.replace(escape, character) for part in parts]
        headers[name] = "\\".join(parts)
    assert rest.endswith(b"\0")
    return command, headers, rest[:-1]


def received(one: Conversation, payloads: Sequence[bytes]) -> list[Event]:
    """Return the events of payloads, without their messages."""
    return [
        event for payload in payloads for part in one.split(payload) for event in without_messages(one.receive(part))
    ]


def receipt(number: int) -> bytes:
    """Return the confirmation of a request."""
    return encode("RECEIPT", {"receipt-id": str(number)}) + b"\n"


def delivery(body: bytes = STAMP) -> bytes:
    """Return a message to a subscriber."""
    headers = {"subscription": "1", "destination": "/topic/red", "content-length": str(len(body))}
    return encode("MESSAGE", headers, body) + b"\n"


def test_the_client_connects_with_the_values_of_its_account() -> None:
    options = StompOptions(
        login="{user}", passcode="{password}", vhost="/chat", connect_headers={"Authorization": "Bearer {token}"}
    )
    one = StompDialect(options).converse(VALUES, ["red"])
    (connect,) = one.open()
    assert connect == (
        b"CONNECT\naccept-version:1.2\nhost:/chat\nheart-beat:10000,10000\nlogin:ann\npasscode:p:1\n"
        b"Authorization:Bearer t/1\n\n\0"
    )
    assert "CONNECTED" in one.awaited
    assert received(one, [CONNECTED]) == [Opened()]
    with pytest.raises(MissingValueError, match="password"):
        StompDialect(options).request({"user": "ann"}, ["red"])


def test_the_defaults_need_no_value_of_the_account() -> None:
    dialect = StompDialect()
    (connect,) = dialect.converse({}, []).open()
    assert b"login" not in connect
    assert (dialect.path, dialect.request({}, []), dialect.echoes) == ("/ws", UpgradeRequest(), True)


@given(NAMES, NAMES)
def test_a_room_is_a_destination_whatever_its_name_and_the_text_are(room: str, text: str) -> None:
    dialect = StompDialect()
    one = dialect.converse(VALUES, [room])
    (subscribe,) = one.join(room)
    assert sent(subscribe) == ("SUBSCRIBE", {"id": "1", "destination": f"/topic/{room}", "receipt": "1"}, b"")
    body = STAMP + text.encode()
    assert sent(one.say_stamped(room, PREFIX, dialect.escape(text))) == (
        "SEND",
        {"destination": f"/topic/{room}", "content-length": str(len(body))},
        body,
    )
    assert sent(one.say(room, text))[2] == text.encode()
    (unsubscribe,) = one.leave(room)
    assert sent(unsubscribe) == ("UNSUBSCRIBE", {"id": "1", "receipt": "2"}, b"")
    (disconnect,) = one.close()
    assert sent(disconnect) == ("DISCONNECT", {}, b"")


def test_subscriptions_of_several_rooms_differ_and_those_of_one_room_do_not() -> None:
    one = conversation()
    assert [sent(one.join(room)[0])[1]["id"] for room in ("red", "blue", "red")] == ["1", "2", "1"]
    assert [sent(one.leave(room)[0])[1]["id"] for room in ("blue", "red")] == ["2", "1"]
    assert list(one.leave("green")) == []


@given(st.data())
def test_any_order_and_any_split_of_receipts_deliveries_and_heartbeats_gives_the_same_events(
    data: st.DataObject,
) -> None:
    one = conversation(ALL_ACKS)
    one.join("red")
    assert b"\nreceipt:2\n" in one.say_stamped("red", PREFIX, b"a")
    one.leave("red")
    assert b"\nreceipt:4\n" in one.say_stamped("red", PREFIX, b"b")
    payloads = [receipt(1), receipt(2), receipt(3), receipt(4), delivery(), delivery(b"\0" + STAMP), b"\n", b"\n"]
    stream = b"".join(data.draw(st.permutations(payloads)))
    events = received(one, list(cut(stream, data)))
    expected = [Joined("red"), Acknowledged(1), Left("red"), Acknowledged(2), Delivery(FIELDS), Delivery(FIELDS)]
    assert sorted(map(repr, events)) == sorted(map(repr, expected))


def test_without_receipts_nothing_is_confirmed() -> None:
    dialect = StompDialect(StompOptions(ack=StompAck(join=False, leave=False)))
    assert {dialect.acknowledges_joins, dialect.acknowledges_leaves, dialect.acknowledges_messages} == {False}
    one = dialect.converse(VALUES, ["red"])
    assert "receipt" not in sent(one.join("red")[0])[1]
    assert "receipt" not in sent(one.leave("red")[0])[1]
    assert received(one, [receipt(1), encode("RECEIPT", {}), encode("RECEIPT", {"receipt-id": "x"})]) == [Event()] * 3


def test_only_a_message_is_a_delivery() -> None:
    dialect = StompDialect()
    assert dialect.find_stamp(delivery()) == FIELDS
    message = {
        "type": "MESSAGE",
        "subscription": "1",
        "destination": "/topic/red",
        "content-length": "5",
        "body": "hello",
    }
    assert conversation().receive(delivery(b"hello")) == (Event(message=message),)
    error = encode("ERROR", {"message": "Bad body"}, STAMP)
    assert dialect.find_stamp(error) is None
    assert received(conversation(), [error]) == [Refused("error: Bad body")]


def test_an_error_is_a_refusal_of_what_it_names() -> None:
    refused = encode("ERROR", {"message": "Bad CONNECT"}, b"Access refused for user 'ann'\n")
    one = conversation(opened=False)
    label = "refused: Bad CONNECT: Access refused for user 'ann'"
    assert received(one, [refused]) == [Refused(label, request_names.CONNECT)]
    assert received(one, [encode("ERROR", {})]) == [Refused("refused: no reason given", request_names.CONNECT)]
    one = conversation(ALL_ACKS)
    one.join("red")
    one.say_stamped("red", PREFIX, b"")
    errors = [encode("ERROR", {"message": "full", "receipt-id": str(number)}) for number in (1, 2, 3)]
    assert received(one, errors) == [
        Refused("error: full", request_names.JOIN, room="red"),
        Refused("error: full", request_names.SEND),
        Refused("error: full"),
    ]


def test_another_protocol_is_a_refusal_at_first_and_an_error_later() -> None:
    for payload in (b'{"type":"welcome"}', b"\x20\x02\x00\x00", b"MESSAGE\nx\n\n\0"):
        assert received(conversation(opened=False), [payload]) == [Refused(NOT_STOMP, request_names.CONNECT)]
        with pytest.raises(ValueError, match=NOT_STOMP):
            received(conversation(), [payload])


def test_heartbeats_are_promised_and_sent_twice_as_often() -> None:
    dialect = StompDialect(StompOptions(heartbeat=0.5))
    assert dialect.keepalive_seconds == 0.25
    assert b"\nheart-beat:500,500\n" in dialect.converse({}, []).open()[0]
    assert list(conversation().keepalive()) == [b"\n"]
    dialect = StompDialect(StompOptions(heartbeat=0))
    assert dialect.keepalive_seconds is None
    assert b"\nheart-beat:0,0\n" in dialect.converse({}, []).open()[0]


def test_the_application_decides_the_destinations_and_the_body() -> None:
    options = StompOptions(
        path="/stomp/{user}?token={token}",
        subscribe="/topic/rooms.{room}",
        send="/app/rooms/{room}/say",
        body='{"from":"{user}","text":"{text}"}',
        echo=None,
    )
    dialect = StompDialect(options)
    assert dialect.request({"user": 'a"b', "token": "t"}, []) == UpgradeRequest("/stomp/a%22b", "token=t")
    assert dialect.echoes is None
    one = dialect.converse({"user": 'a"b'}, ["red"])
    assert sent(one.join("red")[0])[1]["destination"] == "/topic/rooms.red"
    _, headers, body = sent(one.say_stamped("red", PREFIX, dialect.escape('"hi"')))
    assert headers["destination"] == "/app/rooms/red/say"
    assert body == b'{"from":"a\\"b","text":"%b\\"hi\\""}' % STAMP


@pytest.mark.parametrize(("body", "escaped"), [("{text}", '"'), ("say {text}", '"'), ('["{text}",{n}]', '\\"')])
def test_a_body_of_json_is_escaped_as_json(body: str, escaped: str) -> None:
    assert StompDialect(StompOptions(body=body)).escape('"') == escaped.encode()


def test_a_mapping_is_sent_as_a_frame() -> None:
    dialect = StompDialect()
    assert dialect.encode({"type": "BEGIN", "transaction": "a:1"}) == b"BEGIN\ntransaction:a\\c1\n\n\0"
    assert dialect.encode({"type": "SEND", "destination": "/queue/a", "n": 1, "body": "ü"}).endswith(
        b"\nn:1\n\n\xc3\xbc\0"
    )
    assert dialect.encode(b"\n") == dialect.encode("\n") == b"\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "ws"}, r"path: expected a text that begins with /"),
        ({"body": "hello"}, r"body: expected a text with the placeholder \{text\}"),
        ({"escape": "html"}, r"escape: expected one of json, json2, xml, url, raw"),
        ({"send": ""}, r"send: expected a destination"),
        ({"subscribe": ""}, r"subscribe: expected a destination"),
        ({"heartbeat": -1}, r"heartbeat: expected a number of seconds, or 0"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        StompOptions(**options)
