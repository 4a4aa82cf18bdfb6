"""The dialect of the bundled server: messages, labels of errors, and the delay that a close reason requests."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from server.protocol import messages
from stampede.dialects import stampede as module
from stampede.dialects.stampede import StampedeDialect
from stampede.ledger import stamp
from stampede.measure.request_names import JOIN, SEND, UPLOAD

DIALECT = StampedeDialect()


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
    assert DIALECT.retry_after(reason) == seconds


@pytest.mark.parametrize(
    ("error", "label"),
    [
        ({"code": "rate_limited", "message": "Too many messages"}, "error: rate_limited"),
        ({"message": "Too many messages"}, "error: Too many messages"),
        ({"message": "x" * 500}, "error: " + "x" * 100),
        ({}, "error: None"),
    ],
)
def test_an_error_is_counted_under_its_code_or_else_its_message(error: dict[str, Any], label: str) -> None:
    assert DIALECT.label_of(error) == label


@pytest.mark.parametrize(
    ("about", "name"), [("joinRoom", JOIN), ("fileChunk", UPLOAD), ("chatMessage", SEND), (5, None)]
)
def test_an_error_counts_for_the_request_that_it_is_about(about: object, name: str | None) -> None:
    assert DIALECT.request_of({"type": "error", "about": about}) == name


def test_the_error_about_a_fixed_name_is_accepted() -> None:
    assert not DIALECT.is_error({"type": "error", "code": "name_fixed"})
    assert DIALECT.is_error({"type": "error", "code": "rate_limited"})
    assert not DIALECT.is_error({"type": "usernameSet"})


def test_messages_are_json_with_the_names_escaped() -> None:
    decoded = [msgspec.json.decode(one) for one in (*DIALECT.hello('a"b'), *DIALECT.join("room 7"), DIALECT.ping(3))]
    assert decoded == [
        {"type": "setUsername", "username": 'a"b'},
        {"type": "joinRoom", "room": "room 7"},
        {"type": "ping", "timestamp": 3},
    ]


def test_a_stamped_message_is_the_message_that_say_returns() -> None:
    prefix, text = stamp.make(1, 2, 3, 4, 5, 6), 'a "quoted" \\ text\n'
    assert DIALECT.say_stamped("room", prefix, DIALECT.escape(text)) == DIALECT.say("room", prefix.decode() + text)


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b"1", b'{"type"', b"\xff"])
def test_a_message_without_a_type_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="not a chat server"):
        DIALECT.decode(payload)


def test_chunks_are_as_large_as_the_server_prescribes() -> None:
    assert module.CHUNK_BYTES == messages.CHUNK_BYTES
