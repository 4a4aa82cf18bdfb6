"""Action Cable: what is sent, and what received messages mean."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.dialects.actioncable import ActionCableDialect, ActionCableOptions, ActionCablePayload
from stampede.dialects.base import Feature, UpgradeRequest
from stampede.dialects.events import Closed, Delivery, Event, Joined, Opened, Refused
from stampede.dialects.placeholders import MissingValueError
from stampede.ledger import stamp
from stampede.measure import request_names
from tests.stampede.dialects.events import without_messages

if TYPE_CHECKING:
    from stampede.dialects.base import Conversation

FIELDS = (1, 2**64 - 1, 3, 4, 5, 6)
PREFIX = stamp.make(*FIELDS)
STAMP = stamp.for_any_server(PREFIX).decode()
NAMES = st.text(st.characters(exclude_categories=["Cs"]))
WELCOME = b'{"type":"welcome"}'
PING = b'{"type":"ping","message":1795999541}'
VALUES = {"user": "ann", "token": "t/1"}
OTHER = "not an Action Cable server: expected a JSON object with a type or an identifier"


def conversation(options: ActionCableOptions | None = None, *, opened: bool = True) -> Conversation:
    """Return a conversation, by default one that is open."""
    one = ActionCableDialect(options).converse(VALUES, ["red"])
    if opened:
        one.receive(WELCOME)
    return one


def identifier(command: bytes) -> str:
    """Return the identifier in a command."""
    found = json.loads(command)["identifier"]
    assert isinstance(found, str)
    return found


def answer(identifier: str, **rest: object) -> bytes:
    """Return a message about a subscription as the server writes it."""
    return json.dumps({"identifier": identifier, **rest}, separators=(",", ":")).encode()


def test_the_connection_is_open_once_the_server_welcomes_the_client() -> None:
    one = conversation(opened=False)
    assert list(one.open()) == []
    assert "welcome" in one.awaited
    assert without_messages(one.receive(PING)) == [Event()]
    assert without_messages(one.receive(WELCOME)) == [Opened()]


@given(NAMES, NAMES)
def test_a_room_is_a_subscription_whatever_its_name_and_the_text_are(room: str, text: str) -> None:
    dialect = ActionCableDialect()
    one = dialect.converse(VALUES, [room])
    (subscribe,) = one.join(room)
    assert json.loads(subscribe).keys() == {"command", "identifier"}
    assert json.loads(identifier(subscribe)) == {"channel": "ChatChannel", "room": room}
    said = json.loads(one.say_stamped(room, PREFIX, dialect.escape(text)))
    assert (said["command"], said["identifier"]) == ("message", identifier(subscribe))
    assert json.loads(said["data"]) == {"action": "speak", "text": STAMP + text}
    assert json.loads(json.loads(one.say(room, text))["data"])["text"] == text
    (unsubscribe,) = one.leave(room)
    assert json.loads(unsubscribe) == {"command": "unsubscribe", "identifier": identifier(subscribe)}


@given(st.lists(NAMES, unique=True, min_size=1, max_size=4), st.data())
def test_confirmations_name_their_room_in_any_order_between_pings_and_deliveries(
    rooms: list[str], data: st.DataObject
) -> None:
    one = conversation()
    identifiers = {room: identifier(one.join(room)[0]) for room in rooms}
    delivery = answer(identifiers[rooms[0]], message={"text": STAMP})
    confirmations = [answer(identifiers[room], type="confirm_subscription") for room in rooms]
    events = [
        event
        for payload in data.draw(st.permutations([*confirmations, PING, PING, delivery]))
        for event in without_messages(one.receive(payload))
    ]
    assert sorted(event.room or "" for event in events if isinstance(event, Joined)) == sorted(rooms)
    assert [event for event in events if isinstance(event, Delivery)] == [Delivery(FIELDS)]


def test_only_a_broadcast_is_a_delivery() -> None:
    dialect = ActionCableDialect()
    one = conversation()
    name = identifier(one.join("red")[0])
    said: dict[str, Any] = {"user": "bob", "text": f"<b>{STAMP}hello</b>"}
    assert dialect.find_stamp(answer(name, message=said)) == FIELDS
    assert dialect.find_stamp(answer(name, message=json.dumps(said))) == FIELDS, "JSON inside a string"
    other_order = json.dumps({"message": said, "identifier": name}).encode()
    assert dialect.find_stamp(other_order) is None
    assert one.receive(other_order) == (Delivery(FIELDS, message={"type": "message", **json.loads(other_order)}),)
    assert without_messages(one.receive(answer(name, message={"text": "hello"}))) == [Event()]
    echo = json.dumps({"type": "notice", "text": STAMP}).encode()
    assert dialect.find_stamp(echo) is None
    assert without_messages(one.receive(echo)) == [Event()]
    assert PING.startswith(dialect.notices)


def test_refusals_and_disconnects_say_why() -> None:
    unauthorized = b'{"type":"disconnect","reason":"unauthorized","reconnect":false}'
    one = conversation(opened=False)
    assert without_messages(one.receive(unauthorized)) == [Refused("refused: unauthorized", request_names.CONNECT)]
    one = conversation()
    name = identifier(one.join("red")[0])
    assert without_messages(one.receive(answer(name, type="reject_subscription"))) == [
        Refused("subscription rejected", request_names.JOIN, room="red")
    ]
    assert without_messages(one.receive(b'{"type":"disconnect","reason":"server_restart","reconnect":true}')) == [
        Closed("disconnected by the server: server_restart")
    ]


@pytest.mark.parametrize("payload", [b"hello", b"", b"[1]", b"{}", b'{"op":"hello"}', b"\xff", b'0{"sid":"1"}'])
def test_another_protocol_is_a_refusal_at_first_and_an_error_later(payload: bytes) -> None:
    assert conversation(opened=False).receive(payload) == (Refused(OTHER, request_names.CONNECT),)
    with pytest.raises(ValueError, match=OTHER):
        conversation().receive(payload)


def test_the_application_decides_the_path_the_identifier_and_the_actions() -> None:
    options = ActionCableOptions(
        path="/ws?token={token}&room={room}",
        identifier='{"channel":"RoomChannel","id":"{room}","as":"{user}"}',
        payload=ActionCablePayload(say='{"action":"post","body":["{text}"]}', typing='{"action":"typing"}'),
        echo=None,
    )
    dialect = ActionCableDialect(options)
    assert (dialect.path, dialect.room_is_in_request, dialect.echoes) == ("/ws", True, None)
    assert dialect.features == {Feature.TYPING}
    assert dialect.request(VALUES, ["a b"]) == UpgradeRequest(None, "token=t%2F1&room=a%20b")
    one = dialect.converse(VALUES, ["red"])
    assert json.loads(identifier(one.join("red")[0])) == {"channel": "RoomChannel", "id": "red", "as": "ann"}
    assert json.loads(json.loads(one.say("red", "hi"))["data"]) == {"action": "post", "body": ["hi"]}
    assert json.loads(json.loads(one.typing("red"))["data"]) == {"action": "typing"}


def test_the_defaults_need_no_value_of_the_account() -> None:
    dialect = ActionCableDialect()
    assert dialect.request({}, []) == UpgradeRequest()
    assert (dialect.path, dialect.features, dialect.echoes) == ("/cable", frozenset(), True)
    with pytest.raises(MissingValueError, match="token"):
        ActionCableDialect(ActionCableOptions(path="/cable?token={token}")).request({"user": "ann"}, [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "cable"}, r"path: expected a text that begins with /"),
        ({"identifier": '"{room}"'}, r"identifier: expected a JSON object with placeholders"),
        ({"identifier": '{"room":{room'}, r"identifier: expected a JSON object with placeholders"),
        ({"payload": ActionCablePayload(say="{")}, r"payload\.say: expected JSON"),
        ({"payload": ActionCablePayload(say='{"action":"speak"}')}, r"payload\.say: .*\{text\}"),
        ({"payload": ActionCablePayload(typing="no")}, r"payload\.typing: expected JSON"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        ActionCableOptions(**options)
