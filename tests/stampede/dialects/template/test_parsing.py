"""Files that describe a dialect: what they declare, and one line for each mistake."""

from __future__ import annotations

import pytest

from stampede.dialects.base import Feature
from stampede.dialects.template.dialect import TemplateDialect
from stampede.dialects.template.errors import TemplateError
from stampede.dialects.template.parsing import parse_template
from tests.stampede.dialects.template.files import COMPLETE, SAY, dialect_of


def test_a_complete_file_declares_all_features() -> None:
    dialect = dialect_of(COMPLETE)
    assert (dialect.name, dialect.subprotocols) == ("acme", ("acme.v2",))
    assert dialect.room_is_in_request
    assert dialect.rooms_per_connection == 1
    assert dialect.confirms_opening
    assert dialect.acknowledges_joins
    assert not dialect.acknowledges_leaves
    assert dialect.acknowledges_messages
    assert dialect.echoes is False
    assert dialect.features == {Feature.TYPING}
    assert (dialect.keepalive_seconds, dialect.max_message_bytes) == (25, 32768)
    assert dialect.splits_frames
    assert dialect.notices == (b'{"op":"presence"',)
    assert dialect.metrics == {"connections": "acme_connections"}
    assert dialect.places_token


def test_the_smallest_file_has_only_a_message() -> None:
    dialect = dialect_of(SAY)
    assert (dialect.name, dialect.path, dialect.room_name) == ("acme", "/", "room-{number}")
    assert not dialect.room_is_in_request
    assert dialect.rooms_per_connection is None
    assert not (dialect.confirms_opening)
    assert not (dialect.acknowledges_joins)
    assert not (dialect.acknowledges_messages)
    assert dialect.echoes is None
    assert (dialect.keepalive_seconds, dialect.features, dialect.http_steps) == (None, frozenset(), None)


@pytest.mark.parametrize(
    ("path", "own", "in_request"),
    [
        ("/ws", "/ws", False),
        ("/ws?v=2", "/ws", False),
        ("/ws?token={token}", "/ws", False),
        ("/ws?room={room}", "/ws", True),
        ("/ws/{user}", "/", False),
        ("/ws/{room}/", "/", True),
    ],
)
def test_the_room_may_be_in_the_path(path: str, own: str, *, in_request: bool) -> None:
    dialect = dialect_of(f'path = "{path}"\n{SAY}')
    assert (dialect.path, dialect.room_is_in_request) == (own, in_request)


def test_values_in_the_request_are_escaped_for_their_place() -> None:
    dialect = dialect_of(f'path = "/ws/{{room}}?user={{user}}"\n[headers]\nX-User = "{{user}}"\n{SAY}')
    request = dialect.request({"user": "Ann\r\nX: & Bob"}, ["a/ü"])
    assert (request.path, request.query) == ("/ws/a%2F%C3%BC", "user=Ann%0D%0AX%3A%20%26%20Bob")
    assert request.headers == {"X-User": "Ann X: & Bob"}


@pytest.mark.parametrize("table", ["[open]", "[[open]]"])
def test_a_single_step_may_be_a_table(table: str) -> None:
    assert dialect_of(f"{SAY}\n{table}\nexpect = {{a = 1}}").confirms_opening


MISTAKES = {
    "name": ("not TOML: Expected '=' after a key in a key/value pair (at line 1, column 5)",),
    'nmae = "a"': ("nmae: unknown key: did you mean name?",),
    "xyz = 1": ("xyz: unknown key: expected one of escape, login, setup, path, open, join, say, receive,",),
    "name = 1": ("name: expected a text in quotes, not a whole number",),
    'name = ""': ("name: expected a text in quotes, not an empty one",),
    "name = 2020-01-01": ("name: expected a text in quotes, not a date or a time",),
    'escape = "html"': ("escape: expected 'json', 'json2', 'xml', 'url' or 'raw', not 'html'",),
    "escape = true": ("escape: expected 'json', 'json2', 'xml', 'url' or 'raw', not true or false",),
    'frame = "bytes"': ("frame: expected 'text' or 'binary', not 'bytes'",),
    'path = "ws"': ("path: expected a path such as /ws/{room}",),
    'path = "/a b"': ("path: expected a path such as /ws/{room}, with special characters percent-encoded",),
    'path = "//host/"': ("path: expected a path such as /ws/{room}, without a host and without #",),
    'path = "/{text}"': ("path: {text} has a value in [say] only",),
    'room_name = "room"': ("room_name: expected a name with {number} once, such as room-{number}",),
    'subprotocols = "a"': ("subprotocols: expected a list of texts, not a text in quotes",),
    "subprotocols = [1]": ("subprotocols: expected a list of texts, such as ['a', 'b']",),
    'subprotocols = ["a b"]': ("subprotocols: 'a b' is not the name of a subprotocol, such as acme.v2",),
    "[defaults]\na = 1": ("defaults.a: expected a text in quotes, not a whole number",),
    '[defaults]\nroom = "a"': ("defaults.room: expected the name of a placeholder that an account or a step may give",),
    "ends_with_separator = false": ("ends_with_separator: needs `separator`",),
    'headers = "a"': ("headers: expected a table [headers], not a text in quotes",),
    "[headers]\nA = 1": ("headers.A: expected a text in quotes, not a whole number",),
    '[headers]\n"A b" = "1"': ("headers.A b: expected the name of a header",),
    "open = 1": ("open: expected tables [[open]], not a whole number",),
    "open = [1]": ("open: expected tables [[open]], not a list with a whole number",),
    "[[open]]": ("open[1]: expected send, expect or both",),
    '[[open]]\nsend = "a"\n[[open]]\nexpct = {a = 1}': ("open[2].expct: unknown key: did you mean expect?",),
    '[open]\nsend = "a"\nrefuse = {a = 1}': ("open.refuse: needs `expect`, the answer that ends the step",),
    '[open]\nsend = "a"\nsave = {b = "c"}': ("open.save: needs `expect`, the answer that ends the step",),
    '[open]\nexpect = {a = 1}\nreason = "b"': ("open.reason: needs `refuse`, the message that contains it",),
    '[open]\nexpect = "a"': ('open.expect: expected a match such as {op = "message"} or {prefix = "Hello"}, not',),
    "[open]\nexpect = {}": ("open.expect: expected a match such as",),
    "[open]\nexpect = {a = []}": ("open.expect.a: expected a text, a number, true or false, not a list",),
    "[open]\nexpect = {a = {}}": ("open.expect.a: expected a text, a number, true or false, not a table",),
    '[open]\nexpect = {"a..b" = 1}': ("open.expect.a..b: expected a path such as a.b or 1.event",),
    "[open]\nexpect = {prefix = 1}": ("open.expect.prefix: expected a text, not a whole number",),
    '[open]\nexpect = {prefix = ""}': ("open.expect.prefix: expected a text, not an empty one",),
    '[open]\nexpect = {regex = "("}': ("open.expect.regex: expected a regular expression: missing ), unterminated",),
    '[open]\nexpect = {a = "{text}"}': ("open.expect.a: {text} has a value in [say] only",),
    '[open]\nexpect = {a = 1}\nsave = {"b c" = "d"}': (
        "open.save.b c: expected a name of letters, digits and underscores",
    ),
    '[open]\nexpect = {a = 1}\nsave = {n = "d"}': ("open.save.n: {n} has a value already: expected another name",),
    '[open]\nexpect = {a = 1}\nsave = {b = "d."}': ("open.save.b: expected a path such as a.b or 1.event, not 'd.'",),
    "[open]\nsend = '{\"a\":1'": ("open.send: expected JSON: expecting ',' delimiter at the end; is it escape",),
    '[open]\nsend = \'{"a":"{user}",}\'': (
        "open.send: expected JSON: illegal trailing comma before end of object before '",
        "open.send: expected JSON: expecting property name enclosed in double quotes before '}'; is it escape",
    ),
    "[open]\nsend = '{\"a\":{user}}'": ('open.send: {user} must stand in quotes: "{user}"',),
    '[say]\nsend = "a"': ("say.send: expected {text} once, the text of the chat message",),
    '[say]\nsend = "{text}{text}"': ("say.send: expected {text} once, the text of the chat message",),
    '[headers]\nA = "{n}"': ("headers.A: {n} has no value here",),
    "[say]": ("say.send: missing: expected a message with {text}",),
    "say = 1": ("say: expected a table [say], not a whole number",),
    '[say]\nsend = "{text}"\nackk = 1': ("say.ackk: unknown key: did you mean ack?",),
    '[say]\nsend = "{text}"\nack = {prefix = "OK {room}"}': (
        "say.ack: expected no placeholders but {n} and {uuid} in the text of an acknowledgement",
    ),
    '[say]\nhttp = "POST /a"': ("say.body: expected {text} in it, the text of the chat message",),
    '[say]\nhttp = "POST a"': ("say.http: expected a method and a path such as POST /api/login, not 'POST a'",),
    '[say]\nhttp = "POST /a"\nbody = "{text}"\nack = {a = 1}': ("say.ack: unknown key: expected one of http,",),
    "[say]\nhttp = 'POST /a'\nbody = '{\"a\":{text}}'": ("say.body: {text} must stand in quotes",),
    "[[login]]": ("login[1].http: missing: expected a method and a path such as POST /api/login",),
    '[login]\nhttp = "POST /a"\nexpires = "1h"': ("login.expires: expected a number above 0, not a text in quotes",),
    '[login]\nhttp = "POST /a"\nsend = "a"': ("login.send: unknown key: did you mean headers?", "login.send: unknown"),
    '[setup]\nhttp = "POST /a"\nexpires = 1': ("setup.expires: unknown key: did you mean expect?",),
    '[[join]]\nsend = "a"\n[[join]]\nhttp = "POST /a"': (
        "join[2].http: HTTP requests come first: put this [[join]] before those with `send`",
    ),
    "[receive]\nignore = 'a'": ("receive.ignore: expected a list of texts, not a text in quotes",),
    '[receive]\nmatch = {a = "{room}"}': ("receive.match.a: {room} has no value here",),
    '[receive]\ntext = "a..b"': ("receive.text: expected a path such as a.b or 1.event, not 'a..b'",),
    "[typing]": ("typing.send: missing: expected a message such as",),
    "[keepalive]\nevery = 25": ("keepalive.send: missing: `every` and `send` belong together",),
    '[keepalive]\nsend = "a"': ("keepalive.every: missing: `every` and `send` belong together",),
    '[keepalive]\nevery = 0\nsend = "a"': ("keepalive.every: expected a number above 0, not 0",),
    '[keepalive]\nevery = true\nsend = "a"': ("keepalive.every: expected a number above 0, not true or false",),
    "[keepalive]\nanswer = [{match = {a = 1}}]": (
        "keepalive.answer[1].send: missing: an answer has `match` and `send`",
    ),
    "[echo]\nself = true": ("echo.self: expected 'yes', 'no' or 'discover', not true or false",),
    "[echo]\nself = 'maybe'": ("echo.self: expected 'yes', 'no' or 'discover', not 'maybe'",),
    '[[error]]\nmatch = {a = 1}\nlabels = "a"': ("error[1].labels: unknown key: did you mean label?",),
    '[error]\nlabel = "a"': ('error.match: missing: expected a match such as {op = "error"}',),
    "[limits]\nmessage_bytes = 1.5": ("limits.message_bytes: expected a whole number above 0, not a number",),
    "[limits]\nmessage_byte = 1": ("limits.message_byte: unknown key: did you mean message_bytes?",),
    "[metrics]\nconnections = 1": ("metrics.connections: expected a text in quotes, not a whole number",),
    '[metrics]\nconection = "clients"': ("metrics.conection: unknown key: did you mean connections?",),
    '[metrics]\nusers = "clients"': ("metrics.users: unknown key: expected one of connections, messages_received, ",),
    "[metrics]\nconnections = 'sum(up)'": (
        "metrics.connections: 'sum(up)' is not a series such as acme_messages_total{type=\"chat\"}",
    ),
}


@pytest.mark.parametrize("content", MISTAKES)
def test_a_mistake_is_one_line_with_file_key_and_what_is_expected(content: str) -> None:
    if "say" not in content:
        content += f"\n{SAY}"
    with pytest.raises(TemplateError) as error:
        parse_template(content, "folder/acme.toml", str)
    text = str(error.value)
    assert "\n" not in text
    expected = MISTAKES[content.removesuffix(f"\n{SAY}")]
    assert any(text.startswith(f"folder/acme.toml: {one}") for one in expected), text


def test_a_file_without_a_message_is_a_mistake() -> None:
    with pytest.raises(TemplateError, match=r"say: missing: expected a table \[say\] with `send` or `http`"):
        parse_template("", "acme.toml", str)


@pytest.mark.parametrize(
    ("placeholder", "problem"),
    [
        ("rooom", "say.send: {rooom} has no value: did you mean {room}?"),
        ("token", "say.send: {token} has no value: give --token, --token-file or a column token of --credentials, or "),
        ("password", "say.send: {password} has no value: give a column password of --credentials, or save it in"),
        ("tenant", "say.send: {tenant} has no value: give a column tenant of --credentials, or save it in a step"),
    ],
)
def test_a_placeholder_without_a_value_is_a_mistake(placeholder: str, problem: str) -> None:
    content = f'[say]\nsend = \'{{"a":"{{text}}{{{placeholder}}}"}}\''
    dialect = dialect_of(content)
    with pytest.raises(TemplateError) as error:
        dialect.check_columns(["user"])
    assert str(error.value).startswith(f"acme.toml: {problem}")
    dialect.check_columns([placeholder])
    dialect_of(f'{content}\n[open]\nexpect = {{a = 1}}\nsave = {{{placeholder} = "b"}}').check_columns([])


def test_user_room_and_numbers_always_have_values() -> None:
    dialect = dialect_of('[say]\nsend = \'{"a":"{user} {number} {room} {text} {n} {uuid}"}\'')
    assert isinstance(dialect, TemplateDialect)
    dialect.check_columns([])
