"""The client's side of the chat protocol: labels of errors, and the delay that a close reason requests."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from server.protocol import messages
from stampede.client import protocol
from stampede.measure.request_names import JOIN, SEND, UPLOAD


@pytest.mark.parametrize(
    ("reason", "seconds"),
    [
        ("server restart, retry_ms=1500", 1.5),
        ("retry_ms=0", 0.0),
        ("retry_ms=999999999", protocol.MAX_RETRY_SECONDS),
        ("too slow", None),
        ("no_retry_ms=5", None),
        ("", None),
    ],
)
def test_a_close_reason_may_ask_for_a_wait_before_the_reconnect(reason: str, seconds: float | None) -> None:
    assert protocol.retry_after(reason) == seconds


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
    assert protocol.label_of(error) == label


@pytest.mark.parametrize(
    ("about", "name"), [("joinRoom", JOIN), ("fileChunk", UPLOAD), ("chatMessage", SEND), (5, SEND)]
)
def test_an_error_counts_for_the_request_that_it_is_about(about: object, name: str) -> None:
    assert protocol.request_of({"type": "error", "about": about}) == name


def test_only_the_error_about_a_fixed_name_is_accepted() -> None:
    assert protocol.is_name_fixed({"type": "error", "code": "name_fixed"})
    assert not protocol.is_name_fixed({"type": "error", "code": "rate_limited"})
    assert not protocol.is_name_fixed({"type": "usernameSet", "code": "name_fixed"})


def test_messages_are_json_with_the_names_escaped() -> None:
    assert msgspec.json.decode(protocol.set_username('a"b')) == {"type": "setUsername", "username": 'a"b'}
    assert msgspec.json.decode(protocol.join_room("room 7")) == {"type": "joinRoom", "room": "room 7"}
    assert msgspec.json.decode(protocol.ping(3)) == {"type": "ping", "timestamp": 3}


def test_chunks_are_as_large_as_the_server_prescribes() -> None:
    assert protocol.CHUNK_BYTES == messages.CHUNK_BYTES
