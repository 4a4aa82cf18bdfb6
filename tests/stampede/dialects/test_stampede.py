"""The dialect of the bundled server: messages, labels of errors, and the delay that a close reason requests."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stampede.dialects import stampede as module
from stampede.dialects.events import Delivery, Event, Joined, Left, Pong, Refused
from stampede.dialects.stampede import StampedeDialect
from stampede.ledger import stamp
from stampede.measure.request_names import JOIN, SEND, UPLOAD

DIALECT = StampedeDialect()
CONVERSATION = DIALECT.converse({"user": 'a"b'}, ["room 7"])


def receive(message: dict[str, Any]) -> Event:
    (event,) = CONVERSATION.receive(msgspec.json.encode(message))
    return event


@pytest.mark.parametrize(
    ("reason", "seconds"),
    [
        ("server restart, retry_ms=1500", 1.5),
        ("retry_ms=0", 0.0),
        ("retry_ms=999999999", module.MAX_RETRY_SECONDS),
        ("too slow", None),
        ("no_retry_ms=5", None),
        ("", None),
    ],
)
def test_a_close_reason_may_ask_for_a_wait_before_the_reconnect(reason: str, seconds: float | None) -> None:
    assert DIALECT.retry_after(1012, reason) == seconds


@pytest.mark.parametrize(
    ("error", "label"),
    [
        ({"code": "rate_limited", "message": "Too many messages"}, "error: rate_limited"),
        ({"message": "Too many messages"}, "error: Too many messages"),
        ({"message": "x" * 500}, "error: " + "x" * 93),
        ({}, "error: None"),
    ],
)
def test_an_error_is_counted_under_its_code_or_else_its_message(error: dict[str, Any], label: str) -> None:
    refused = receive({"type": "error", **error})
    assert isinstance(refused, Refused)
    assert refused.label == label


@pytest.mark.parametrize(
    ("about", "name"), [("joinRoom", JOIN), ("fileChunk", UPLOAD), ("chatMessage", SEND), (5, None)]
)
def test_an_error_counts_for_the_request_that_it_is_about(about: object, name: str | None) -> None:
    refused = receive({"type": "error", "about": about})
    assert isinstance(refused, Refused)
    assert (refused.request, refused.about) == (name, str(about))


def test_the_error_about_a_fixed_name_is_accepted() -> None:
    message = {"type": "error", "code": "name_fixed"}
    assert receive(message) == Event(message=message)


TEXT = stamp.for_any_server(stamp.make(1, 2, 3, 4, 5, 6)).decode() + "hello"


@pytest.mark.parametrize(
    ("message", "event"),
    [
        ({"type": "roomJoined", "room": "red"}, Joined),
        ({"type": "roomLeft"}, Left),
        ({"type": "usernameSet"}, Event),
        ({"type": "pong"}, Event),
        ({"type": "chatMessage", "text": "without a stamp"}, Event),
    ],
)
def test_a_message_is_an_event(message: dict[str, Any], event: type[Event]) -> None:
    assert receive(message) == event(message=message)


def test_a_pong_has_the_number_of_its_ping_and_a_delivery_the_fields_of_its_stamp() -> None:
    pong, chat = {"type": "pong", "timestamp": 7}, {"type": "chatMessage", "text": TEXT}
    assert receive(pong) == Pong(7, message=pong)
    assert receive(chat) == Delivery((1, 2, 3, 4, 5, 6), message=chat)


def test_messages_are_json_with_the_names_escaped() -> None:
    decoded = [
        msgspec.json.decode(one) for one in (*CONVERSATION.open(), *CONVERSATION.join("room 7"), CONVERSATION.ping(3))
    ]
    assert decoded == [
        {"type": "setUsername", "username": 'a"b'},
        {"type": "joinRoom", "room": "room 7"},
        {"type": "ping", "timestamp": 3},
    ]


def test_a_stamped_message_is_the_message_that_say_returns() -> None:
    prefix, text = stamp.make(1, 2, 3, 4, 5, 6), 'a "quoted" \\ text\n'
    stamped = CONVERSATION.say_stamped("room", prefix, DIALECT.escape(text))
    assert stamped == CONVERSATION.say("room", prefix.decode() + text)


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b"1", b'{"type"', b"\xff"])
def test_a_message_without_a_type_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="not a chat server"):
        CONVERSATION.receive(payload)
