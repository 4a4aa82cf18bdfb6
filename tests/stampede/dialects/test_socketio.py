"""Socket.IO: what is sent, and what received packets mean."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.dialects.base import Feature, UpgradeRequest
from stampede.dialects.events import (
    Acknowledged,
    Answer,
    Closed,
    Delivery,
    Event,
    Joined,
    Left,
    Opened,
    Refused,
)
from stampede.dialects.placeholders import MissingValueError
from stampede.dialects.socketio import (
    SocketIoAck,
    SocketIoDialect,
    SocketIoEvents,
    SocketIoOptions,
    SocketIoPayload,
)
from stampede.ledger import stamp
from stampede.measure import request_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stampede.dialects.base import Conversation

FIELDS = (1, 2**64 - 1, 3, 4, 5, 6)
PREFIX = stamp.make(*FIELDS)
TEXT = stamp.for_any_server(PREFIX).decode()
OPEN = b'0{"sid":"s1","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
CONNECTED = b'40{"sid":"s2"}'
ALL_ACKS = SocketIoOptions(
    events=SocketIoEvents(leave="leave", typing="typing"), ack=SocketIoAck(join=True, say=True, leave=True)
)
NO_PACKET = "not a Socket.IO server: expected a packet of Engine.IO 4"
VALUES = {"user": "ann", "token": 't"1'}


def conversation(options: SocketIoOptions | None = None, *, connected: bool = True) -> Conversation:
    """Return a conversation, by default one that is open."""
    one = SocketIoDialect(options).converse(VALUES, ["red"])
    if connected:
        one.receive(OPEN)
        one.receive(CONNECTED)
    return one


def plain(events: Sequence[Event]) -> list[Event]:
    """Return events without their messages."""
    return [type(event)(**{k: getattr(event, k) for k in event.__slots__ if k != "message"}) for event in events]


def test_the_client_connects_once_the_server_has_opened() -> None:
    one = conversation(connected=False)
    assert list(one.open()) == []
    assert "(0)" in one.awaited
    assert one.receive(OPEN) == (Answer(b"40"),)
    assert "namespace / (40" in one.awaited
    assert one.receive(CONNECTED) == (Opened(),)


def test_a_token_and_a_namespace_are_sent_when_the_client_connects() -> None:
    options = SocketIoOptions(namespace="/chat", auth='{"token":"{token}"}')
    one = conversation(options, connected=False)
    assert one.receive(OPEN) == (Answer(b'40/chat,{"token":"t\\"1"}'),)
    assert one.receive(b'40/chat,{"sid":"s2"}') == (Opened(),)
    assert list(one.join("red")) == [b'42/chat,["join","red"]']
    assert list(one.close()) == [b"41/chat,"]


@contextmanager
def suppress_malformed() -> Iterator[None]:
    """Ignore the error that says that a frame is no packet, and no other."""
    try:
        yield
    except ValueError as error:
        if str(error) != NO_PACKET:
            raise


def test_a_missing_token_is_named() -> None:
    dialect = SocketIoDialect(SocketIoOptions(auth='{"token":"{token}"}'))
    assert dialect.places_token
    dialect.check_columns(["user", "token"])
    with pytest.raises(MissingValueError, match=r"\{token\} has no value: give --token"):
        dialect.check_columns(["user"])
    with pytest.raises(MissingValueError, match=r"\{token\} has no value"):
        dialect.request({"user": "ann"}, ["red"])
    assert not SocketIoDialect().places_token


@pytest.mark.parametrize(
    ("packet", "label"),
    [
        (b'44{"message":"invalid token"}', "error: invalid token"),
        (b'44"no"', "error: no"),
        (b"44", "error: no reason given"),
        (b"40", "a server of Socket.IO 2: versions 3 and 4 are supported"),
        (b'{"type":"welcome"}', NO_PACKET),
        (b"40{", NO_PACKET),
        (b"\x81\xa4type", NO_PACKET),
    ],
)
def test_a_refusal_during_the_opening_says_why(packet: bytes, label: str) -> None:
    one = conversation(connected=False)
    one.receive(OPEN)
    assert plain(one.receive(packet)) == [Refused(label, request_names.CONNECT)]


def test_a_frame_that_is_no_packet_is_an_error_once_the_client_is_connected() -> None:
    for payload in (b"hello", b"42[", b"42{}", b"42[]", b"42[1]", b""):
        with pytest.raises(ValueError, match=NO_PACKET):
            conversation().receive(payload)


def test_pings_are_answered_and_other_packets_of_engine_io_are_known() -> None:
    one = conversation()
    assert one.receive(b"2") == (Answer(b"3"),)
    assert one.receive(b"6") == ()
    assert one.receive(b"1") == (Closed("closed by the server (Engine.IO)"),)
    assert one.receive(b"41") == (Closed("disconnected by the server (Socket.IO)"),)


@given(st.text(), st.text())
def test_messages_of_the_default_options(room: str, text: str) -> None:
    dialect = SocketIoDialect()
    one = dialect.converse(VALUES, [room])
    (join,) = one.join(room)
    assert json.loads(join.removeprefix(b"42")) == ["join", room]
    assert list(one.leave(room)) == []
    for say, sent in (
        (one.say(room, text), text),
        (one.say_stamped(room, PREFIX, dialect.escape(text)), TEXT + text),
    ):
        assert json.loads(say.removeprefix(b"42")) == ["message", {"room": room, "text": sent}]


def test_requests_with_a_number_are_confirmed_in_any_order() -> None:
    one = conversation(ALL_ACKS)
    assert list(one.join("red")) == [b'421["join","red"]']
    assert one.say_stamped("red", PREFIX, b"a").startswith(b'422["message",')
    assert list(one.leave("red")) == [b'423["leave","red"]']
    assert one.say_stamped("red", PREFIX, b"b").startswith(b'424["message",')
    assert plain(one.receive(b"434[]")) == [Acknowledged(2)]
    assert plain(one.receive(b'433[{"status":"ok"}]')) == [Left("red")]
    assert plain(one.receive(b'431[{"joined":"red"}]')) == [Joined("red")]
    assert plain(one.receive(b"431[]")) == [Event()], "it is confirmed already"
    assert plain(one.receive(b"432[null]")) == [Acknowledged(1)]


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ({"error": "forbidden"}, "error: forbidden"),
        ({"error": {"message": "full", "code": 3}}, "error: full"),
        ({"error": {"code": 3}}, "error: 3"),
        ({"error": {}, "ok": False}, "error: no reason given"),
        ({"success": False, "message": "no"}, "error: no"),
        ({"status": "KO", "reason": "no"}, "error: no"),
        ({"error": "x" * 200}, "error: " + "x" * 93),
    ],
)
def test_an_acknowledgement_may_be_a_refusal(answer: dict[str, Any], label: str) -> None:
    one = conversation(ALL_ACKS)
    one.join("red")
    one.say_stamped("red", PREFIX, b"")
    encoded = json.dumps(answer).encode()
    assert plain(one.receive(b"431[%b]" % encoded)) == [Refused(label, request_names.JOIN, room="red")]
    assert plain(one.receive(b"432[%b]" % encoded)) == [Refused(label, request_names.SEND)]


def test_events_of_the_server() -> None:
    one = conversation()
    assert one.receive(b'42["news",1,{"a":2}]') == (Event(message={"type": "news", "arguments": [1, {"a": 2}]}),)
    message = {"type": "error", "arguments": ["slow down"]}
    assert one.receive(b'42["error","slow down"]') == (Refused("error: slow down", message=message),)
    assert plain(one.receive(b'4217["news"]')) == [Answer(b"4317[]"), Event()]
    assert plain(one.receive(b'42/x,17["news"]')) == [Answer(b"43/x,17[]"), Event()]


def test_binary_attachments_are_skipped() -> None:
    one = conversation()
    assert plain(one.receive(b'452-["news",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')) == [Event()]
    assert one.receive(b"\x00\x01") == one.receive(b"2") == ()
    assert one.receive(b"2") == (Answer(b"3"),)


@pytest.mark.parametrize("place", ["", "/chat,"])
def test_only_the_event_of_a_chat_message_is_a_delivery(place: str) -> None:
    dialect = SocketIoDialect(
        SocketIoOptions(
            namespace=f"/{place[1:-1]}", events=SocketIoEvents(say="say", receive='on "message"', error="oops")
        )
    )
    one = dialect.converse(VALUES, ["red"])
    data = json.dumps({"room": "red", "text": f"<b>{TEXT}</b>"})
    name = json.dumps('on "message"')
    payload = f"42{place}[{name},{data}]".encode()
    assert dialect.find_stamp(payload) == FIELDS
    for other in (f"42{place}[{name}, {data}]", f"42{place}[ {name},{data}]"):
        assert plain(one.receive(other.encode())) == [Delivery(FIELDS)], "JSON with spaces"
    assert plain(one.receive(f"42{place}9[{name},{data}]".encode())) == [
        Answer(f"43{place}9[]".encode()),
        Delivery(FIELDS),
    ]
    for other in (f'42{place}["sent",{data}]', f"43{place}1[{data}]", f'42{place}["oops",{data}]'):
        assert dialect.find_stamp(other.encode()) is None
        assert not any(isinstance(event, Delivery) for event in one.receive(other.encode()))


def test_each_room_may_be_a_namespace() -> None:
    options = SocketIoOptions(namespace="/rooms/{room}", auth='{"user":"{user}"}')
    dialect = SocketIoDialect(options)
    assert dialect.acknowledges_joins
    one = dialect.converse(VALUES, ["red", "blue"])
    assert one.receive(OPEN) == (Opened(),)
    assert list(one.join("red")) == [b'40/rooms/red,{"user":"ann"}']
    assert list(one.join("blue")) == [b'40/rooms/blue,{"user":"ann"}']
    assert one.receive(b'40/rooms/blue,{"sid":"1"}') == (Joined("blue"),)
    assert plain(one.receive(b'44/rooms/red,{"message":"forbidden"}')) == [
        Refused("error: forbidden", request_names.JOIN, room="red")
    ]
    said = one.say_stamped("blue", PREFIX, b"")
    assert said.startswith(b'42/rooms/blue,["message",')
    assert dialect.find_stamp(said) is None
    assert plain(one.receive(said)) == [Delivery(FIELDS)]
    assert list(one.leave("blue")) == [b"41/rooms/blue,"]
    assert list(one.close()) == [b"41/rooms/red,"]


def test_the_upgrade_request_has_the_values_of_the_user() -> None:
    assert SocketIoDialect().request(VALUES, ["red"]) == UpgradeRequest(None, "EIO=4&transport=websocket")
    assert (SocketIoDialect().path, SocketIoDialect().room_is_in_request) == ("/socket.io/", False)
    dialect = SocketIoDialect(SocketIoOptions(path="/chat/?room={room}&t={token}", events=SocketIoEvents(join="")))
    assert dialect.request(VALUES, ["a b"]) == UpgradeRequest(None, "room=a%20b&t=t%221&EIO=4&transport=websocket")
    assert (dialect.path, dialect.room_is_in_request, dialect.acknowledges_joins) == ("/chat/", True, False)
    assert list(dialect.converse(VALUES, ["a b"]).join("a b")) == []
    dialect = SocketIoDialect(SocketIoOptions(path="/{user}/"))
    assert dialect.request(VALUES, []).path == "/ann/"


def test_a_payload_may_be_a_list_of_arguments_with_a_number() -> None:
    payload = SocketIoPayload(
        join="[]", say='["{room}", {"text": "{text}", "id": "{user}-{n}"}]', typing='[["{room}"]]'
    )
    dialect = SocketIoDialect(SocketIoOptions(payload=payload, events=SocketIoEvents(typing="typing")))
    one = dialect.converse(VALUES, ["red"])
    assert list(one.join("red")) == [b'42["join"]']
    assert one.typing("red") == b'42["typing",["red"]]'
    assert dialect.features == {Feature.TYPING}
    for number in (1, 2):
        event = json.loads(one.say("red", "hi").removeprefix(b"42"))
        assert event == ["message", "red", {"text": "hi", "id": f"ann-{number}"}]


def test_json_inside_a_string() -> None:
    dialect = SocketIoDialect(
        SocketIoOptions(escape="json2", payload=SocketIoPayload(say='"{\\"text\\":\\"{text}\\"}"'))
    )
    event = json.loads(dialect.converse(VALUES, ["red"]).say("red", 'a "quote"').removeprefix(b"42"))
    assert json.loads(event[1]) == {"text": 'a "quote"'}


def test_messages_of_scenarios() -> None:
    dialect = SocketIoDialect()
    assert dialect.encode({"type": "news", "arguments": [1]}) == b'42["news",1]'
    assert SocketIoDialect(SocketIoOptions(namespace="/x")).encode({"type": "news"}) == b'42/x,["news"]'
    assert dialect.encode('42["news"]') == dialect.encode(b'42["news"]') == dialect.encode({"type": "news"})


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"path": "socket.io"}, "path: expected a text that begins with /"),
        ({"namespace": "chat"}, "namespace: expected a text that begins with /"),
        ({"auth": "{token}x"}, "auth: expected JSON"),
        ({"escape": "html"}, "escape: expected one of json, json2, xml, url, raw"),
        ({"events": SocketIoEvents(say="")}, "events.say: expected the name"),
        ({"payload": SocketIoPayload(join="{room")}, "payload.join: expected JSON"),
        ({"payload": SocketIoPayload(say='"{room}"')}, "payload.say: expected JSON with the placeholder {text}"),
    ],
)
def test_an_option_without_a_valid_value_is_named(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        SocketIoOptions(**options)


def interleaved(lists: Sequence[Sequence[bytes]]) -> st.SearchStrategy[list[bytes]]:
    """Return a strategy of the interleavings of some lists, each of which keeps its order."""
    numbers = [number for number, items in enumerate(lists) for _ in items]

    def merge(order: Sequence[int]) -> list[bytes]:
        rests = [list(items) for items in lists]
        return [rests[number].pop(0) for number in order]

    return st.permutations(numbers).map(merge)


ECHOES = [json.dumps(["message", {"room": "red", "text": f"{TEXT}{n}"}]) for n in range(3)]


@given(interleaved([[b"42" + echo.encode() for echo in ECHOES], [b"432[]", b"433[]", b"434[]"], [b"2", b"2"]]))
def test_echoes_acknowledgements_and_pings_may_come_in_any_order(frames: list[bytes]) -> None:
    dialect = SocketIoDialect(ALL_ACKS)
    one = dialect.converse(VALUES, ["red"])
    one.join("red")
    for _ in ECHOES:
        one.say_stamped("red", PREFIX, b"")
    events: list[Event] = []
    deliveries = 0
    for frame in frames:
        if dialect.find_stamp(frame):
            deliveries += 1
        else:
            events += plain(one.receive(frame))
    assert deliveries == len(ECHOES)
    assert [event for event in events if isinstance(event, Acknowledged)] == [Acknowledged(n + 1) for n in range(3)]
    assert events.count(Answer(b"3")) == 2
    assert len(events) == 5


STARTS = [b"", b"0", b"40", b"42", b"42/a,", b"431", b"44", b"451-", b"4" + b"9" * 5000]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["error", "message", "ok"]), inner),
)


@given(st.sampled_from(STARTS), st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_frame_of_a_server_breaks_the_conversation(start: bytes, data: bytes) -> None:
    conversation(ALL_ACKS, connected=False).receive(start + data)
    with suppress_malformed():
        conversation(ALL_ACKS).receive(start + data)
