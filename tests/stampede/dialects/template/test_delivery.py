"""Deliveries: the hot path finds those that are certain, and leaves the others to the conversation."""

from __future__ import annotations

import json

import pytest

from stampede.dialects.events import Delivery
from stampede.ledger import stamp
from tests.stampede.dialects.template.files import FIELDS, SAY, STAMP, dialect_of

# Each rule, a delivery, and messages with a stamp that are none; then whether the hot path finds the delivery.
RULES = {
    "": (f"x {STAMP} y", [], True),
    'match = {prefix = "Client"}': (f"Client says: {STAMP}", [f"You wrote: {STAMP}"], True),
    'match = {prefix = "Client"}\n[echo]\nprivate = {prefix = "You"}': (
        f"Client says: {STAMP}",
        [f"You wrote: {STAMP}"],
        True,
    ),
    '[echo]\nprivate = {prefix = "You"}': (f"Client says: {STAMP}", [f"You wrote: {STAMP}"], True),
    'match = {contains = "says"}': (f"Client says: {STAMP}", [f"You wrote: {STAMP}"], True),
    'match = {regex = "^#[0-9]+ says"}': (f"#7 says: {STAMP}", [f"He said: #7 says: {STAMP}"], True),
    'match = {op = "msg"}': (
        json.dumps({"op": "msg", "text": STAMP}),
        [json.dumps({"op": "own", "text": STAMP, "x": "msg"}), STAMP],
        True,
    ),
    'match = {a.b = "msg"}': (
        json.dumps({"a": {"b": "msg"}, "text": STAMP}),
        [json.dumps({"a": "msg", "t": STAMP})],
        True,
    ),
    'match = {"0" = "msg", "1.room" = "*"}': (
        json.dumps(["msg", {"room": None, "text": STAMP}]),
        [json.dumps(["msg", {"text": STAMP}]), json.dumps(["msg"]) + STAMP],
        True,
    ),
    "match = {n = 1, ok = true}": (
        json.dumps({"n": 1, "ok": True, "text": STAMP}),
        [json.dumps({"n": "1", "ok": True, "text": STAMP}), json.dumps({"n": 1, "ok": 1, "text": STAMP})],
        True,
    ),
    'text = "data.body"': (
        json.dumps({"quoted": STAMP.replace("A", "B"), "data": json.dumps({"body": STAMP})}),
        [json.dumps({"data": STAMP}), json.dumps({"data": {"body": "no stamp"}, "text": STAMP})],
        True,
    ),
    '[echo]\nprivate = {op = "own"}': (
        json.dumps({"op": "msg", "text": STAMP}),
        [json.dumps({"text": STAMP, "op": "own"})],
        True,
    ),
    '[echo]\nprivate = {from = "{user}"}': (
        json.dumps({"from": "bob", "text": STAMP}),
        [json.dumps({"from": "ann", "text": STAMP})],
        False,
    ),
    'match = {to = "{user}"}': (
        json.dumps({"to": "ann", "text": STAMP}),
        [json.dumps({"to": "bob", "text": STAMP})],
        False,
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_only_deliveries_count(rule: str) -> None:
    delivery, others, is_certain = RULES[rule]
    dialect = dialect_of(f"{SAY}\n{'' if rule.startswith('[') else '[receive]'}\n{rule}")
    talk = dialect.converse({"user": "ann"}, ["red"])
    assert dialect.find_stamp(delivery.encode()) == (FIELDS if is_certain else None)
    (event,) = talk.receive(delivery.encode())
    assert isinstance(event, Delivery)
    assert event.fields == FIELDS
    for other in others:
        assert dialect.find_stamp(other.encode()) is None
        assert not any(isinstance(event, Delivery) for event in talk.receive(other.encode()))


def test_a_text_that_mentions_the_private_copy_is_still_a_delivery() -> None:
    dialect = dialect_of(f'{SAY}\n[echo]\nprivate = {{op = "own"}}')
    delivery = json.dumps({"op": "msg", "text": STAMP, "tags": ["own"]}).encode()
    assert dialect.find_stamp(delivery) is None, "the hot path is not certain"
    assert isinstance(dialect.converse({}, []).receive(delivery)[0], Delivery)


def test_the_hot_path_is_the_search_alone_where_nothing_else_has_a_stamp() -> None:
    assert dialect_of(SAY).find_stamp is stamp.search
    certain = f'{SAY}\nack = {{op = "ok"}}\n[receive]\nmatch = {{op = "msg"}}'
    ack = json.dumps({"op": "ok", "text": STAMP}).encode()
    assert dialect_of(certain).find_stamp(ack) is None


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff", b"[1]", b"null", b'"text"', b"{}" * 1000, b"[" * 100_000])
def test_any_other_message_is_no_delivery(payload: bytes) -> None:
    for rule in RULES:
        dialect = dialect_of(f"{SAY}\n{'' if rule.startswith('[') else '[receive]'}\n{rule}")
        assert dialect.find_stamp(payload) is None
        (event,) = dialect.converse({"user": "ann"}, []).receive(payload)
        assert not isinstance(event, Delivery)
        assert event.message is not None
