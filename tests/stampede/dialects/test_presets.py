"""The presets: the messages of each exchange, as the protocols' documents have them."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.dialect_registry import PRESETS, load_dialect, presets
from stampede.dialects.events import Acknowledged, Answer, Joined, Left, Opened, Refused
from stampede.dialects.template.parsing import parse_template
from stampede.ledger import stamp

if TYPE_CHECKING:
    from stampede.dialects.base import Conversation, Dialect

FIELDS = (1, 2**64 - 1, 3, 4, 5, 6)
PREFIX = stamp.make(*FIELDS)
STAMP = stamp.for_any_server(PREFIX).decode()
ROOM = 'a "red" room'


def talk_of(name: str, **values: str) -> tuple[Dialect, Conversation]:
    """Return a preset and a new conversation."""
    dialect = load_dialect(name)
    return dialect, dialect.converse({"user": "Ann", **values}, [ROOM])


def sent(*messages: bytes) -> list[Any]:
    """Return messages without their JSON."""
    return [json.loads(message) for message in messages]


def events(talk: Conversation, message: Any) -> list[Any]:
    """Return the events of a message, without the message."""
    found = talk.receive(json.dumps(message).encode())
    for event in found:
        object.__setattr__(event, "message", None)
    return [*found]


def test_every_file_is_listed() -> None:
    folder = resources.files("stampede.dialects") / "presets"
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == sorted(
        f"{name}.toml" for name in PRESETS
    )


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_may_be_extended_by_a_file_without_another_key(name: str) -> None:
    dialect, own = load_dialect(name), parse_template(f'extends = "{name}"', "own.toml", str, presets())
    assert (own.name, own.path, own.subprotocols) == ("own", dialect.path, dialect.subprotocols)


@pytest.mark.parametrize("name", PRESETS)
def test_a_text_may_contain_anything(name: str) -> None:
    dialect, talk = talk_of(name)
    text = ' "quoted" \\ \n and ünï😀'
    message = talk.say_stamped(ROOM, PREFIX, dialect.escape(text)).decode()
    assert json.dumps(STAMP + text, ensure_ascii=False) in message
    json.loads(message)


def test_phoenix_joins_says_and_leaves() -> None:
    dialect, talk = talk_of("phoenix")
    topic = f"room:{ROOM}"
    assert dialect.request({"token": "a/b"}, []).query == "vsn=2.0.0&token=a%2Fb"
    assert dialect.request({}, []).query == "vsn=2.0.0&token="
    assert not dialect.confirms_opening
    assert sent(*talk.join(ROOM)) == [["1", "1", topic, "phx_join", {}]]
    assert events(talk, ["1", "1", topic, "phx_reply", {"status": "ok", "response": {}}]) == [Joined(ROOM)]
    assert sent(talk.say(ROOM, "hello")) == [["1", "2", topic, "new_msg", {"body": "hello"}]]
    assert sent(*talk.keepalive()) == [[None, "3", "phoenix", "heartbeat", {}]]
    assert sent(*talk.leave(ROOM)) == [["1", "4", topic, "phx_leave", {}]]
    assert events(talk, ["1", "4", topic, "phx_reply", {"status": "ok", "response": {}}]) == [Left(ROOM)]


def test_phoenix_tells_deliveries_from_replies_that_repeat_the_text() -> None:
    dialect, talk = talk_of("phoenix")
    delivery = [None, None, "room:red", "new_msg", {"body": STAMP}]
    reply = ["1", "2", "room:red", "phx_reply", {"status": "ok", "response": {"body": STAMP}}]
    assert dialect.find_stamp(json.dumps(delivery).encode()) == FIELDS
    assert dialect.find_stamp(json.dumps(reply).encode()) is None
    assert [type(event).__name__ for event in events(talk, reply)] == ["Event"]


def test_phoenix_says_why_the_server_refuses() -> None:
    _, talk = talk_of("phoenix")
    talk.join(ROOM)
    response = {"status": "error", "response": {"reason": "unauthorized"}}
    assert events(talk, ["1", "1", f"room:{ROOM}", "phx_reply", response]) == [
        Refused("refused: unauthorized", "join", room=ROOM)
    ]
    assert events(talk, [None, "2", "room:x", "phx_reply", response]) == [Refused("error: unauthorized")]
    assert events(talk, ["1", "1", f"room:{ROOM}", "phx_error", {}]) == [Refused("error: phx_error")]


def test_phoenix_replies_may_be_awaited_as_acknowledgements() -> None:
    own = 'extends = "phoenix"\n[say]\nack = {1 = "{n}", 3 = "phx_reply", 4.status = "ok"}'
    dialect = parse_template(own, "own.toml", str, presets())
    talk = dialect.converse({}, [])
    talk.say("red", "hello")
    reply = ["1", "1", "room:red", "phx_reply", {"status": "ok", "response": {"body": STAMP}}]
    assert dialect.acknowledges_messages
    assert events(talk, reply) == [Acknowledged(1)]


def test_graphql_ws_subscribes_and_says() -> None:
    dialect, talk = talk_of("graphql-ws", token="secret")
    assert dialect.subprotocols == ("graphql-transport-ws",)
    assert sent(*talk.open()) == [{"type": "connection_init", "payload": {"token": "secret"}}]
    assert events(talk, {"type": "connection_ack"}) == [Opened()]
    (subscription,) = sent(*talk.join(ROOM))
    assert (subscription["type"], subscription["payload"]["variables"]) == ("subscribe", {"room": ROOM})
    (mutation,) = sent(talk.say(ROOM, "hello"))
    assert mutation["payload"]["variables"] == {"room": ROOM, "text": "hello"}
    assert events(talk, {"type": "complete", "id": mutation["id"]}) == [Acknowledged(1)]
    assert events(talk, {"type": "ping"}) == [Answer(b'{"type":"pong"}')]
    assert sent(*talk.leave(ROOM)) == [{"type": "complete", "id": subscription["id"]}]


def test_graphql_ws_tells_deliveries_from_results_that_repeat_the_text() -> None:
    dialect, talk = talk_of("graphql-ws")
    delivery = {"type": "next", "id": "room red", "payload": {"data": {"messages": {"text": STAMP}}}}
    result = {"type": "next", "id": "3", "payload": {"data": {"say": {"text": STAMP}}}}
    assert dialect.find_stamp(json.dumps(delivery).encode()) == FIELDS
    assert dialect.find_stamp(json.dumps(result).encode()) is None
    assert [type(event).__name__ for event in events(talk, result)] == ["Event"]


def test_graphql_ws_says_why_the_server_refuses() -> None:
    _, talk = talk_of("graphql-ws")
    problems = [{"message": "forbidden"}]
    assert events(talk, {"type": "error", "id": "1", "payload": problems}) == [Refused("error: forbidden")]
    failed = {"type": "next", "id": "1", "payload": {"data": None, "errors": problems}}
    assert events(talk, failed) == [Refused("error: forbidden")]


def test_centrifugo_connects_subscribes_and_publishes() -> None:
    dialect, talk = talk_of("centrifugo", token="secret")
    assert sent(*talk.open()) == [{"id": 1, "connect": {"token": "secret", "name": "stampede"}}]
    connected = {"client": "a", "version": "6", "ping": 25, "pong": True}
    assert events(talk, {"id": 1, "connect": connected}) == [Opened()]
    assert sent(*talk.join(ROOM)) == [{"id": 2, "subscribe": {"channel": ROOM}}]
    assert events(talk, {"id": 2, "subscribe": {}}) == [Joined(ROOM)]
    assert sent(talk.say(ROOM, "hello")) == [{"id": 3, "publish": {"channel": ROOM, "data": {"text": "hello"}}}]
    assert events(talk, {"id": 3, "publish": {}}) == [Acknowledged(1)]
    assert events(talk, {}) == [Answer(b"{}")]
    assert sent(*talk.leave(ROOM)) == [{"id": 5, "unsubscribe": {"channel": ROOM}}]
    assert events(talk, {"id": 5, "unsubscribe": {}}) == [Left(ROOM)]
    assert dialect.echoes


def test_centrifugo_says_why_the_server_refuses() -> None:
    _, talk = talk_of("centrifugo")
    error = {"code": 103, "message": "permission denied"}
    talk.open()
    assert events(talk, {"id": 1, "error": error}) == [Refused("refused: permission denied", "connect")]
    talk.join(ROOM)
    assert events(talk, {"id": 2, "error": error}) == [Refused("refused: permission denied", "join", room=ROOM)]
    talk.say(ROOM, "hello")
    assert events(talk, {"id": 3, "error": error}) == [Refused("error: permission denied")]
    ended = {"push": {"channel": ROOM, "unsubscribe": {"code": 2500, "reason": "insufficient state"}}}
    assert events(talk, ended) == [Refused("error: insufficient state")]


def test_pusher_subscribes_with_a_signature_and_triggers_client_events() -> None:
    dialect, talk = talk_of("pusher")
    channel = f"private-{ROOM}"
    request = dialect.request({"key": "a/b"}, [])
    assert (request.path, request.query) == ("/app/a%2Fb", "protocol=7&client=python-stampede&version=1.0")
    assert not talk.saved
    established = json.dumps({"socket_id": "123.456", "activity_timeout": 120})
    assert events(talk, {"event": "pusher:connection_established", "data": established}) == [Opened()]
    assert talk.saved == {"socket_id": "123.456"}
    assert dialect.http_steps is not None
    (sign,) = dialect.http_steps.join
    assert sign.body is not None
    form = sign.body.fill({**talk.saved, "room": "a&b"})
    assert form == "socket_id=123.456&channel_name=private-a%26b"
    talk.add_room_values(ROOM, {"auth": "key:signature"})
    subscribe = {"event": "pusher:subscribe", "data": {"channel": channel, "auth": "key:signature"}}
    assert sent(*talk.join(ROOM)) == [subscribe]
    succeeded = {"event": "pusher_internal:subscription_succeeded", "channel": channel, "data": "{}"}
    assert events(talk, succeeded) == [Joined(ROOM)]
    event = {"event": "client-message", "channel": channel, "data": {"text": "hello"}}
    assert sent(talk.say(ROOM, "hello")) == [event]
    assert events(talk, {"event": "pusher:ping", "data": {}}) == [Answer(b'{"event":"pusher:pong","data":{}}')]
    assert sent(*talk.leave(ROOM)) == [{"event": "pusher:unsubscribe", "data": {"channel": channel}}]
    assert dialect.echoes is False


@pytest.mark.parametrize("data", [{"text": STAMP}, json.dumps({"text": STAMP})], ids=["object", "text"])
def test_pusher_finds_the_text_in_data_that_is_an_object_or_a_text(data: object) -> None:
    dialect, _ = talk_of("pusher")
    delivery = {"event": "client-message", "channel": "private-red", "data": data}
    assert dialect.find_stamp(json.dumps(delivery).encode()) == FIELDS


def test_pusher_says_why_the_server_refuses() -> None:
    _, talk = talk_of("pusher")
    error = {"event": "pusher:error", "data": {"code": 4004, "message": "over quota"}}
    assert events(talk, error) == [Refused("refused: over quota", "connect")]
    events(talk, {"event": "pusher:connection_established", "data": '{"socket_id":"1.2"}'})
    talk.join(ROOM)
    refusal = {"event": "pusher:subscription_error", "channel": f"private-{ROOM}", "data": {"error": "unauthorized"}}
    assert events(talk, refusal) == [Refused("refused: unauthorized", "join", room=ROOM)]
    limit = {"event": "pusher:error", "data": {"code": 4301, "message": "rate limit"}}
    assert events(talk, limit) == [Refused("error: rate limit")]


@given(st.lists(st.sampled_from(["{}", '{"push":{"channel":"a"}}', '{"id":1,"publish":{}}', ""]), max_size=8))
def test_centrifugo_finds_all_messages_of_a_frame(lines: list[str]) -> None:
    dialect, talk = talk_of("centrifugo")
    assert dialect.splits_frames
    assert [*talk.split("\n".join(lines).encode())] == [line.encode() for line in lines if line]
