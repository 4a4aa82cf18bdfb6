"""SignalR: what is sent, and what received messages mean."""

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
from stampede.dialects.signalr import SignalRAck, SignalRDialect, SignalROptions, SignalRPayload, SignalRTargets
from stampede.ledger import stamp
from stampede.measure import request_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stampede.dialects.base import Conversation

FIELDS = (1, 2**64 - 1, 3, 4, 5, 6)
PREFIX = stamp.make(*FIELDS)
TEXT = stamp.for_any_server(PREFIX).decode()
END = b"\x1e"
PING = b'{"type":6}'
ALL_ACKS = SignalROptions(targets=SignalRTargets(leave="RemoveFromGroup", typing="Typing"), ack=SignalRAck(say=True))
VALUES = {"user": "ann", "token": "t/1"}
NOT_SIGNALR = "not a SignalR server: expected JSON objects with a type"


def conversation(options: SignalROptions | None = None, *, opened: bool = True) -> Conversation:
    """Return a conversation, by default one that is open."""
    one = SignalRDialect(options).converse(VALUES, ["red"])
    if opened:
        assert one.receive(b"{}") == (Opened(),)
    return one


def plain(events: Sequence[Event]) -> list[Event]:
    """Return events without their messages."""
    return [type(event)(**{k: getattr(event, k) for k in event.__slots__ if k != "message"}) for event in events]


def delivery(number: int, target: str = "ReceiveMessage") -> bytes:
    """Return a chat message as the server sends it."""
    return json.dumps(
        {"type": 1, "target": target, "arguments": ["red", f"{TEXT}{number}"]}, separators=(",", ":")
    ).encode()


def test_the_client_begins_with_the_handshake() -> None:
    one = conversation(opened=False)
    assert list(one.open()) == [b'{"protocol":"json","version":1}\x1e']
    assert "handshake" in one.awaited
    assert one.receive(b"{}") == (Opened(),)
    assert list(one.keepalive()) == [PING + END]
    assert SignalRDialect().keepalive_seconds == 15


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        (b'{"error":"The protocol \'json\' is not supported."}', "error: The protocol 'json' is not supported."),
        (b'{"type":"welcome"}', NOT_SIGNALR),
        (b"welcome", NOT_SIGNALR),
        (b"[]", NOT_SIGNALR),
        (b"\x91\x06", NOT_SIGNALR),
    ],
)
def test_a_refusal_during_the_opening_says_why(answer: bytes, label: str) -> None:
    assert plain(conversation(opened=False).receive(answer)) == [Refused(label, request_names.CONNECT)]


@pytest.mark.parametrize("payload", [b"", b"{}", b"hello", b'{"type":"x"}', b"[1]"])
def test_a_message_without_a_type_is_an_error_once_the_client_is_connected(payload: bytes) -> None:
    with pytest.raises(ValueError, match=NOT_SIGNALR):
        conversation().receive(payload)


def test_messages_without_meaning_for_a_chat_are_ignored() -> None:
    one = conversation()
    for kind in (2, 4, 5, 6, 8, 9, 10):
        assert one.receive(b'{"type":%d,"invocationId":"1"}' % kind) == ()
    assert PING.startswith(SignalRDialect.notices)


def test_the_server_may_end_the_conversation() -> None:
    one = conversation()
    assert one.receive(b'{"type":7,"error":"Server shutting down.","allowReconnect":true}') == (
        Closed("closed by the server: Server shutting down."),
    )
    assert one.receive(b'{"type":7}') == (Closed("closed by the server: no reason given"),)


@given(st.text(), st.text())
def test_messages_of_the_default_options(room: str, text: str) -> None:
    dialect = SignalRDialect()
    one = dialect.converse(VALUES, [room])
    (join,) = one.join(room)
    assert json.loads(join.removesuffix(END)) == {
        "type": 1, "invocationId": "1", "target": "AddToGroup", "arguments": [room]
    }  # fmt: skip
    assert list(one.leave(room)) == list(one.close()) == []
    for say, sent in (
        (one.say(room, text), text),
        (one.say_stamped(room, PREFIX, dialect.escape(text)), TEXT + text),
    ):
        assert say.endswith(END)
        assert json.loads(say[:-1]) == {"type": 1, "target": "SendMessage", "arguments": [room, sent]}


def test_invocations_with_a_number_are_confirmed_in_any_order() -> None:
    one = conversation(ALL_ACKS)
    one.join("red")
    assert one.say_stamped("red", PREFIX, b"").startswith(b'{"type":1,"invocationId":"2","target":"SendMessage",')
    one.leave("red")
    one.say_stamped("red", PREFIX, b"")
    assert plain(one.receive(b'{"type":3,"invocationId":"4"}')) == [Acknowledged(2)]
    assert plain(one.receive(b'{"type":3,"invocationId":"3","result":null}')) == [Left("red")]
    (joined,) = one.receive(b'{"type":3,"invocationId":"1","result":7}')
    assert joined == Joined("red", message={"type": "completion", "invocationId": "1", "result": 7})
    assert plain(one.receive(b'{"type":3,"invocationId":"1"}')) == [Event()], "it is confirmed already"
    assert plain(one.receive(b'{"type":3,"invocationId":"x"}')) == [Event()]
    assert plain(one.receive(b'{"type":3,"invocationId":"2","error":"no"}')) == [
        Refused("error: no", request_names.SEND)
    ]


def test_a_refused_join_names_the_room() -> None:
    one = conversation()
    one.join("red")
    assert plain(one.receive(b'{"type":3,"invocationId":"1","error":"Unknown hub method \'AddToGroup\'"}')) == [
        Refused("error: Unknown hub method 'AddToGroup'", request_names.JOIN, room="red")
    ]


def test_a_join_may_go_without_confirmation_or_without_a_message() -> None:
    one = conversation(SignalROptions(ack=SignalRAck(join=False)))
    assert list(one.join("red")) == [b'{"type":1,"target":"AddToGroup","arguments":["red"]}\x1e']
    dialect = SignalRDialect(SignalROptions(targets=SignalRTargets(join="")))
    assert list(dialect.converse(VALUES, ["red"]).join("red")) == []
    assert not dialect.acknowledges_joins


def test_only_an_invocation_of_the_client_s_method_is_a_delivery() -> None:
    dialect = SignalRDialect()
    one = conversation()
    assert dialect.find_stamp(delivery(1)) == FIELDS
    for other in (
        {"target": "receivemessage", "arguments": [TEXT], "type": 1},
        {"type": 1, "headers": {}, "target": "ReceiveMessage", "arguments": [TEXT]},
    ):
        assert plain(one.receive(json.dumps(other).encode())) == [Delivery(FIELDS)]
    for payload in (delivery(1, "Sent"), json.dumps({"type": 3, "invocationId": "1", "result": TEXT}).encode()):
        assert dialect.find_stamp(payload) is None
        assert plain(one.receive(payload)) == [Event()]


def test_an_invocation_that_wants_a_result_gets_an_error() -> None:
    answer, event = conversation().receive(b'{"type":1,"invocationId":"s\\"1","target":"Ask","arguments":[1]}')
    assert event == Event(message={"type": "Ask", "arguments": [1]})
    assert isinstance(answer, Answer)
    assert json.loads(answer.payload.removesuffix(END)) == {
        "type": 3, "invocationId": 's"1', "error": "this client returns no results"
    }  # fmt: skip


def test_the_upgrade_request_has_the_values_of_the_user() -> None:
    assert SignalRDialect().request(VALUES, ["red"]) == UpgradeRequest(None, "")
    assert SignalRDialect().path == "/chat"
    dialect = SignalRDialect(SignalROptions(path="/hub?access_token={token}&room={room}"))
    assert dialect.request(VALUES, ["a b"]) == UpgradeRequest(None, "access_token=t%2F1&room=a%20b")
    assert (dialect.path, dialect.room_is_in_request) == ("/hub", True)
    assert SignalRDialect(SignalROptions(path="/{user}/hub")).request(VALUES, []).path == "/ann/hub"


def test_a_missing_value_is_named() -> None:
    dialect = SignalRDialect(
        SignalROptions(path="/chat?access_token={token}", payload=SignalRPayload(join='["{seat}"]'))
    )
    assert dialect.places_token
    with pytest.raises(MissingValueError, match=r"\{seat\} has no value: give a column seat of --credentials"):
        dialect.check_columns(["user", "token"])
    dialect.check_columns(["token", "seat"])


def test_typing_notices() -> None:
    assert SignalRDialect(ALL_ACKS).features == {Feature.TYPING}
    assert conversation(ALL_ACKS).typing("red") == b'{"type":1,"target":"Typing","arguments":["red"]}\x1e'


def test_messages_of_scenarios() -> None:
    dialect = SignalRDialect()
    assert json.loads(dialect.encode({"type": "News", "arguments": [1]})[:-1]) == {
        "type": 1, "target": "News", "arguments": [1]
    }  # fmt: skip
    assert dialect.encode("{}\x1e") == dialect.encode(b"{}\x1e") == b"{}\x1e"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"path": "chat"}, "path: expected a text that begins with /"),
        ({"escape": "html"}, "escape: expected one of json, json2, xml, url, raw"),
        ({"targets": SignalRTargets(receive="")}, "targets.receive: expected the name of a method"),
        ({"payload": SignalRPayload(say='["{room}"]')}, "payload.say: expected JSON with the placeholder {text}"),
    ],
)
def test_an_option_without_a_valid_value_is_named(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        SignalROptions(**options)


COMPLETIONS = [b'{"type":3,"invocationId":"%d"}' % number for number in (2, 3, 4)]


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Return frames that carry deliveries, completions and pings in some order, cut anywhere."""
    order = draw(st.permutations([*map(delivery, range(3)), *COMPLETIONS, PING, PING]))
    stream = END.join((b"{}", *order, b""))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@given(streams())
def test_any_split_of_the_stream_gives_the_same_events(frames: list[bytes]) -> None:
    dialect = SignalRDialect(ALL_ACKS)
    one = dialect.converse(VALUES, ["red"])
    one.join("red")
    for _ in range(3):
        one.say_stamped("red", PREFIX, b"")
    events: list[Event] = []
    deliveries = 0
    for frame in frames:
        for message in one.split(frame):
            if dialect.find_stamp(message):
                deliveries += 1
            else:
                events += plain(one.receive(message))
    assert deliveries == 3
    assert events[0] == Opened()
    assert sorted(str(event) for event in events[1:]) == sorted(str(Acknowledged(n)) for n in (1, 2, 3))


@contextmanager
def malformed_is_an_error() -> Iterator[None]:
    """Ignore the error that says that a message has no type, and no other."""
    try:
        yield
    except ValueError as error:
        if str(error) != NOT_SIGNALR:
            raise


KEYS = st.sampled_from(["type", "target", "invocationId", "error", "arguments"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner),
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_message_of_a_server_breaks_the_conversation(payload: bytes) -> None:
    conversation(opened=False).receive(payload)
    with malformed_is_an_error():
        conversation(ALL_ACKS).receive(payload)
