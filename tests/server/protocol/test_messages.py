"""Decoding of client messages, and the error codes of invalid ones."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ErrorCode, InvalidMessageError
from server.protocol import messages as wire


def refusal_of(payload: bytes) -> tuple[ErrorCode, str | None]:
    with pytest.raises(InvalidMessageError) as caught:
        wire.decode(payload)
    return caught.value.error, caught.value.about


@pytest.mark.parametrize(
    ("payload", "error", "about"),
    [
        (b"", ErrorCode.INVALID_JSON, None),
        (b"hello", ErrorCode.INVALID_JSON, None),
        (b'{"type":"ping"', ErrorCode.INVALID_JSON, None),
        (b"[]", ErrorCode.NOT_AN_OBJECT, None),
        (b"null", ErrorCode.NOT_AN_OBJECT, None),
        (b'"chatMessage"', ErrorCode.NOT_AN_OBJECT, None),
        (b"{}", ErrorCode.MISSING_TYPE, None),
        (b'{"type":7}', ErrorCode.UNKNOWN_TYPE, None),
        (b'{"type":"dance"}', ErrorCode.UNKNOWN_TYPE, None),
        (b'{"type":"fileChunk"}', ErrorCode.UNKNOWN_TYPE, None),
        (b'{"type":"connected"}', ErrorCode.UNKNOWN_TYPE, None),
        (b'{"type":"chatMessage"}', ErrorCode.INVALID_FIELD, "chatMessage"),
        (b'{"type":"chatMessage","text":5}', ErrorCode.INVALID_FIELD, "chatMessage"),
        (b'{"type":"setUsername","username":""}', ErrorCode.INVALID_FIELD, "setUsername"),
        (b'{"type":"setUsername","username":"a\\u0007b"}', ErrorCode.INVALID_FIELD, "setUsername"),
        (b'{"type":"joinRoom","room":"a\\nb"}', ErrorCode.INVALID_FIELD, "joinRoom"),
        (b'{"type":"fileStart","name":"x","size":-1}', ErrorCode.INVALID_FIELD, "fileStart"),
        (b'{"type":"fileStart","name":"x","size":1.5}', ErrorCode.INVALID_FIELD, "fileStart"),
    ],
)
def test_a_malformed_message_is_refused_with_a_reason(payload: bytes, error: ErrorCode, about: str | None) -> None:
    assert refusal_of(payload) == (error, about)
    assert error.message == "Invalid message format"


@pytest.mark.parametrize(("field", "type_", "max_length"), [("username", "setUsername", 64), ("room", "joinRoom", 128)])
def test_names_have_a_maximum_length(field: str, type_: str, max_length: int) -> None:
    wire.decode(json.dumps({"type": type_, field: "é" * max_length}).encode())
    assert refusal_of(json.dumps({"type": type_, field: "é" * (max_length + 1)}).encode())[0] is ErrorCode.INVALID_FIELD


def test_a_text_may_have_16_kib_of_utf8_but_no_more() -> None:
    def message(text: str) -> bytes:
        return json.dumps({"type": "chatMessage", "text": text}, ensure_ascii=False).encode()

    assert wire.decode(message("")) == wire.SendChatMessage(text="")
    assert wire.decode(message("é" * 8192)) == wire.SendChatMessage(text="é" * 8192)
    assert refusal_of(message("é" * 8192 + "a")) == (ErrorCode.TOO_LARGE, "chatMessage")
    assert refusal_of(message("a" * 16385)) == (ErrorCode.INVALID_FIELD, "chatMessage")


def test_the_longest_text_fits_in_a_frame_with_every_byte_escaped() -> None:
    payload = b'{"type":"chatMessage","text":"' + b"\\u0041" * wire.MAX_TEXT_BYTES + b'"}'
    assert len(payload) <= wire.MAX_FRAME_BYTES
    assert wire.decode(payload) == wire.SendChatMessage(text="A" * wire.MAX_TEXT_BYTES)


@pytest.mark.parametrize("stamp", ["1", "1e3", "1.50", '"x"', "null", "12345678901234567890123", '{"a":[1]}'])
def test_a_pong_returns_the_timestamp_unchanged(stamp: str) -> None:
    message = wire.decode(f'{{"type":"ping","timestamp":{stamp}}}'.encode())
    assert isinstance(message, wire.Ping)
    assert stamp in wire.encode(wire.Pong(server_time=1, timestamp=message.timestamp)).decode()


def test_unknown_fields_are_ignored_for_clients_of_a_later_version() -> None:
    assert wire.decode(b'{"type":"typing","mood":"good"}') == wire.SendTyping()


@given(st.binary(max_size=200))
def test_any_bytes_decode_to_a_message_or_are_refused(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return  # the connection checks UTF-8 before
    try:
        wire.decode(payload)
    except InvalidMessageError as error:
        assert error.error.message == "Invalid message format"  # noqa: PT017 - both outcomes are valid


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(wire.CLIENT_TYPES),
    st.dictionaries(st.sampled_from(["text", "user", "room", "name", "size"]), json_values),
)
def test_any_fields_decode_to_a_message_or_are_refused_with_the_type(type_: str, fields: dict[str, object]) -> None:
    try:
        message = wire.decode(json.dumps({"type": type_, **fields}).encode())
    except InvalidMessageError as error:
        assert error.about in (type_, None)  # noqa: PT017 - both outcomes are valid
    else:
        assert wire.TYPE_OF[type(message)] == type_


def test_a_message_is_encoded_as_a_json_object_with_its_type() -> None:
    greeting = wire.Connected(client_id="c", heartbeat_interval=30.0, max_message_bytes=1, max_upload_bytes=2)
    assert msgspec.json.decode(wire.encode(greeting)) == {
        "type": "connected",
        "clientId": "c",
        "heartbeatInterval": 30.0,
        "maxMessageBytes": 1,
        "maxUploadBytes": 2,
    }
