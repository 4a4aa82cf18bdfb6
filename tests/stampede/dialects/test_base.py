"""The default dialect: a delivery is any message that contains a stamp."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stampede.dialects.base import Dialect, UpgradeRequest
from stampede.dialects.events import Event
from stampede.ledger.stamp import for_any_server, make

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STAMP = (1, 2**64 - 1, 3, 4, 5, 6)
TEXT = for_any_server(make(*STAMP)).decode()


class Acme(Dialect):
    """A server that takes JSON."""

    def say(self, room: str, text: str) -> bytes:
        return self.encode({"op": "publish", "channel": room, "data": text})


@given(st.text())
def test_a_stamp_is_found_in_what_the_server_makes_of_a_message(text: str) -> None:
    sent = json.loads(Acme().say_stamped("red", TEXT.encode(), Acme().escape(text)))
    assert sent == {"op": "publish", "channel": "red", "data": TEXT + text}
    for echoed in (
        json.dumps({"event": "message", "payload": json.dumps(sent)}),
        f"Client #7 says: {sent['data']}",
        json.dumps(["message", {"room": "red", "body": f"<p>{TEXT}</p>"}]),
    ):
        assert Acme().find_stamp(echoed.encode(errors="replace")) == STAMP


@pytest.mark.parametrize("payload", [b"", b"~", b"{}", b"a" * 100, b"~" + b"A" * 47, b"~" + b"!" * 48])
def test_other_messages_have_no_stamp(payload: bytes) -> None:
    assert Dialect().find_stamp(payload) is None


@pytest.mark.parametrize(
    ("payload", "events"),
    [
        (b'{"type":"a","b":1}', (Event(message={"type": "a", "b": 1}),)),
        (b'{"b":1}', (Event(message={"type": "", "b": 1}),)),
        (b"[1]", ()),
        (b"not JSON", ()),
    ],
)
def test_messages_that_are_no_json_objects_are_ignored(payload: bytes, events: Sequence[Event]) -> None:
    assert Dialect().receive(payload) == events


@pytest.mark.parametrize("message", [{"a": 1}, '{"a":1}', b'{"a":1}'])
def test_a_message_may_be_a_mapping_a_text_or_bytes(message: Mapping[str, int] | str | bytes) -> None:
    assert Dialect().encode(message) == b'{"a":1}'


def test_nothing_is_sent_to_join_and_how_to_send_a_message_must_be_said() -> None:
    messages: Sequence[bytes] = (*Dialect().open(), *Dialect().join("red"), *Dialect().leave("red"))
    assert messages == ()
    with pytest.raises(NotImplementedError, match="override `say`"):
        Dialect().say("red", "hello")


@pytest.mark.parametrize(("form", "name"), [("room-{number}", "room-7"), ("{a{number}}", "{a7}"), ("lobby", "lobby")])
def test_the_room_of_a_number_has_the_name_that_the_dialect_requires(form: str, name: str) -> None:
    class Named(Dialect):
        room_name = form

    assert Named().name_room(7) == name


def test_a_dialect_without_state_is_its_own_conversation_and_needs_nothing_in_the_upgrade_request() -> None:
    dialect = Acme()
    assert dialect.converse({"user": "ann"}, ["red"]) is dialect
    assert dialect.request({"user": "ann"}, ["red"]) == UpgradeRequest()
    assert list(dialect.split(b"one")) == [b"one"]
