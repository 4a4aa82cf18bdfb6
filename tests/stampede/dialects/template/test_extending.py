"""A file that extends a preset gives only the keys that differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stampede.dialects.template.errors import TemplateError
from stampede.dialects.template.extending import extended
from stampede.dialects.template.parsing import parse_template

if TYPE_CHECKING:
    from stampede.dialects.base import Dialect

PRESET = """
name = "preset"
path = "/preset"
[[join]]
send = '{"sub":"{room}"}'
[[join]]
send = '{"ready":"{room}"}'
[say]
send = '{"n":"{n}","data":"{text}"}'
ack = {done = "{n}"}
[echo]
self = "yes"
"""


def read(content: str) -> Dialect:
    """Return the dialect of a file that may extend the preset."""
    return parse_template(content, "acme.toml", str, {"preset": lambda: PRESET})


def test_a_file_may_extend_a_preset_without_a_change() -> None:
    dialect = read('extends = "preset"')
    assert (dialect.name, dialect.path, dialect.echoes) == ("acme", "/preset", True)
    assert [*dialect.converse({}, []).join("red")] == [b'{"sub":"red"}', b'{"ready":"red"}']


def test_a_file_replaces_keys_of_tables_and_whole_lists() -> None:
    dialect = read("""
        extends = "preset"
        path = "/acme"
        join = {send = "JOIN {room}"}
        [say]
        send = '{"id":"{n}","text":"{text}"}'
    """)
    conversation = dialect.converse({}, [])
    assert (dialect.path, dialect.acknowledges_messages) == ("/acme", True)
    assert [*conversation.join("red")] == [b"JOIN red"]
    assert conversation.say("red", "hello") == b'{"id":"2","text":"hello"}'


def test_a_file_may_send_messages_the_other_way_than_the_preset() -> None:
    over_http = {"http": "POST /messages", "body": "{text}"}
    over_the_connection = {"send": "{text}", "ack": {"done": "{n}"}}
    for own, inherited in ((over_http, over_the_connection), (over_the_connection, over_http)):
        assert extended({"extends": "preset", "say": own}, {"say": inherited}) == {"say": own}
    content = """extends = "preset"\nsay = {http = "POST /messages", body = '{"text":"{text}"}'}"""
    dialect = read(content)
    assert dialect.http_steps is not None
    assert dialect.http_steps.say is not None
    assert not dialect.acknowledges_messages


def test_the_preset_stays_as_it_is() -> None:
    preset = {"name": "preset", "say": {"send": "a", "ack": "b"}}
    assert extended({"extends": "preset", "say": {"send": "c"}}, preset) == {"say": {"send": "c", "ack": "b"}}
    assert preset == {"name": "preset", "say": {"send": "a", "ack": "b"}}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            'extends = "presset"',
            "acme.toml: extends: expected one of socketio, signalr, actioncable, stomp, mqtt, preset, not 'presset'",
        ),
        ("extends = 1", "acme.toml: extends: expected a text in quotes, not a whole number"),
        ('extends = ""', "acme.toml: extends: expected a text in quotes, not an empty one"),
        ('extends = "preset"\n[say]\nsnd = "a"', "acme.toml: say.snd: unknown key: did you mean send?"),
    ],
)
def test_a_mistake_ends_in_one_line(content: str, expected: str) -> None:
    with pytest.raises(TemplateError) as caught:
        read(content)
    assert str(caught.value) == expected
