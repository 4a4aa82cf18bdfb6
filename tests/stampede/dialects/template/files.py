"""Files that describe a dialect, and what tests do with them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from stampede.dialects.template.dialect import TemplateDialect
from stampede.dialects.template.parsing import parse_template
from stampede.ledger import stamp

if TYPE_CHECKING:
    from stampede.dialects.base import Conversation

SAY = '[say]\nsend = \'{"data":"{text}"}\''
COMPLETE = r"""
name = "acme"
path = "/ws/chat/{room}/"
subprotocols = ["acme.v2"]
separator = "\u001e"
frame = "text"

[headers]
Authorization = "Bearer {token}"

[[open]]
expect = {type = "welcome"}
[[open]]
send = '{"op":"auth","token":"{token}"}'
expect = {op = "auth_ok"}
refuse = {op = "error"}
reason = "message"

[[join]]
send = '{"op":"sub","channel":"{room}"}'
expect = {op = "subscribed", channel = "{room}"}

[say]
send = '{"op":"pub","id":{n},"channel":"{room}","data":"{text}"}'
ack = {op = "published", id = "{n}"}

[receive]
match = {op = "msg"}
text = "data.body"
ignore = ['{"op":"presence"']

[typing]
send = '{"op":"typing","channel":"{room}"}'

[leave]
send = '{"op":"unsub","channel":"{room}"}'

[keepalive]
every = 25
send = '{"op":"ping"}'
answer = [{match = {op = "ping"}, send = '{"op":"pong","id":"{id}"}', save = {id = "id"}}]

[echo]
self = "no"
private = {op = "own"}

[error]
match = {op = "error"}
label = "code"

[limits]
message_bytes = 32768

[metrics]
connections = "acme_connections"
"""
FIELDS = (1, 2**64 - 1, 3, 4, 5, 6)
PREFIX = stamp.make(*FIELDS)
STAMP = stamp.for_any_server(PREFIX).decode()
VALUES = {"user": 'Ann "A"', "number": "7", "token": "secret"}


def dialect_of(content: str) -> TemplateDialect:
    """Return the dialect of a file; its uuids are `uuid-1`, `uuid-2` and so on."""
    numbers = itertools.count(1)
    dialect = parse_template(content, "acme.toml", lambda: f"uuid-{next(numbers)}")
    assert isinstance(dialect, TemplateDialect)
    return dialect


def conversation_of(content: str, *rooms: str) -> Conversation:
    """Return a new conversation of a file."""
    return dialect_of(content).converse(VALUES, rooms or ["red"])
