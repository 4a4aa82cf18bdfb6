"""Stamps survive the JSON of any server, and other texts are not read as stamps."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.ledger.stamp import SIZE, Stamp, from_payload, from_text, make

times = st.integers(0, 2**64 - 1)
numbers = st.integers(0, 2**32 - 1)
stamps = st.builds(Stamp, times, times, numbers, numbers, numbers, numbers)


def payload(text: str, *, user: str | None = "user-000001") -> bytes:
    message = {"type": "chatMessage", "user": user, "text": text, "timestamp": 1}
    return json.dumps(message, separators=(",", ":")).encode()


@given(stamps, st.text())
def test_a_stamp_is_read_from_a_payload_and_from_a_text(stamp: Stamp, rest: str) -> None:
    text = make(*stamp).decode() + rest
    assert from_payload(payload(text)) == stamp
    assert from_text(text) == stamp


def test_a_stamp_is_ascii_without_json_escapes_and_has_the_documented_length() -> None:
    made = make(2**64 - 1, 2**64 - 1, 2, 3, 4, 5)
    assert len(made) == SIZE
    assert json.dumps(made.decode()) == f'"{made.decode()}"'


@given(stamps, st.text(min_size=1))
def test_reading_from_a_payload_is_right_or_returns_none_for_any_user_name(stamp: Stamp, user: str) -> None:
    text = make(*stamp).decode()
    for name in (user, f'","text":"{text}', '"text":"~', None):
        assert from_payload(payload(text, user=name)) in (stamp, None)
        assert from_payload(payload("no stamp", user=name)) is None


@given(stamps, st.data())
def test_a_stamp_with_escaped_characters_is_read_from_the_decoded_text_only(stamp: Stamp, data: st.DataObject) -> None:
    text = make(*stamp).decode()
    at = data.draw(st.integers(1, SIZE - 1))
    escaped = payload(text).replace(text.encode(), f"{text[:at]}\\u{ord(text[at]):04x}{text[at + 1 :]}".encode())
    assert from_payload(escaped) is None
    assert from_text(json.loads(escaped)["text"]) == stamp


@pytest.mark.parametrize("text", ["", "~", "hello", "~" + "A" * 47, "~" + "!" * 48, "~" + "é" * 48, "x" + "A" * 48])
def test_other_texts_have_no_stamp(text: str) -> None:
    assert from_text(text) is None
    assert from_payload(payload(text)) is None


@given(st.binary())
def test_no_payload_raises_an_exception(data: bytes) -> None:
    from_payload(data)
    from_payload(b'{"type":"chatMessage","text":"~' + data)
