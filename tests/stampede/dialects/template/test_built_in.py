"""Files that extend a built-in dialect: their keys are the fields of its options."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from stampede.dialect_registry import BUILT_IN
from stampede.dialects.actioncable import ActionCableDialect
from stampede.dialects.mqtt import MqttDialect
from stampede.dialects.signalr import SignalRDialect
from stampede.dialects.socketio import SocketIoDialect, SocketIoOptions
from stampede.dialects.stomp import StompDialect
from stampede.dialects.template.built_in import EXTENDABLE
from stampede.dialects.template.errors import TemplateError
from stampede.dialects.template.parsing import parse_template

if TYPE_CHECKING:
    from stampede.dialects.base import Dialect

EXAMPLES: dict[str, tuple[type, str, list[bytes]]] = {
    "socketio": (
        SocketIoDialect,
        """
        path = "/socket.io/"
        namespace = "/"
        auth = '{"token":"{token}"}'
        [events]
        join = "enter"
        say = "chat"
        receive = "chat"
        [payload]
        join = '{"room":"{room}"}'
        say = '{"room":"{room}","body":"{text}"}'
        [ack]
        join = true
        say = false
        """,
        [b'421["enter",{"room":"red"}]', b'42["chat",{"room":"red","body":"hi"}]'],
    ),
    "signalr": (
        SignalRDialect,
        """
        [targets]
        join = "Enter"
        say = "Send"
        receive = "Receive"
        [payload]
        say = '["{text}"]'
        [ack]
        join = false
        """,
        [
            b'{"type":1,"target":"Enter","arguments":["red"]}\x1e',
            b'{"type":1,"target":"Send","arguments":["hi"]}\x1e',
        ],
    ),
    "actioncable": (
        ActionCableDialect,
        """
        identifier = '{"channel":"RoomChannel","id":"{room}"}'
        [payload]
        say = '{"action":"say","body":"{text}"}'
        """,
        [b'"command":"subscribe"', b'"command":"message"'],
    ),
    "stomp": (
        StompDialect,
        """
        login = "{user}"
        passcode = "{password}"
        vhost = "chat"
        subscribe = "/exchange/{room}"
        send = "/exchange/{room}"
        body = '{"text":"{text}"}'
        heartbeat = 2.5
        [connect_headers]
        Authorization = "Bearer {token}"
        """,
        [b"destination:/exchange/red", b'{"text":"hi"}'],
    ),
    "mqtt": (
        MqttDialect,
        """
        username = "{user}"
        password = "{password}"
        topic = "rooms/{room}"
        qos = 1
        body = "{text}"
        """,
        [b"rooms/red", b"hi"],
    ),
}
VALUES = {"user": "ann", "password": "secret", "token": "t"}


def read(extends: str, content: str = "") -> Dialect:
    """Return the dialect of a file."""
    return parse_template(f'extends = "{extends}"\n{content}', "acme.toml", str)


def test_all_built_in_protocols_of_applications_can_be_extended() -> None:
    assert EXTENDABLE.keys() == BUILT_IN.keys() - {"stampede", "plain"} == EXAMPLES.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_without_keys_the_options_are_the_defaults(name: str) -> None:
    create, options = EXTENDABLE[name]
    dialect: Any = read(name)
    assert dialect.options == options()
    assert dialect.name == "acme"
    assert vars(dialect).keys() >= vars(create(options())).keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_option_of_a_dialect_is_a_key(name: str) -> None:
    kind, content, messages = EXAMPLES[name]
    assert isinstance(read(name, content), kind)
    dialect: Any = read(name, content)
    assert dialect.options != EXTENDABLE[name][1]()
    talk = dialect.converse(VALUES, ["red"])
    talk.open()
    sent = b"".join([*talk.join("red"), talk.say("red", "hi")])
    assert all(message in sent for message in messages), sent


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_key_for_each_field_is_known(name: str) -> None:
    """A key with a wrong type is reported as that, not as an unknown key."""
    for field in dataclasses.fields(EXTENDABLE[name][1]):
        if field.name != "echo":
            with pytest.raises(TemplateError, match=f"^acme.toml: {field.name}: expected "):
                read(name, f"{field.name} = 2020-01-01")


@pytest.mark.parametrize(("given", "echoes"), [("yes", True), ("no", False), ("discover", None)])
def test_the_echo_is_that_of_the_file(given: str, *, echoes: bool | None) -> None:
    for name in EXAMPLES:
        assert read(name, f'[echo]\nself = "{given}"').echoes is echoes
    assert read("mqtt", "[echo]").echoes is read("mqtt").echoes


def test_keys_of_all_files_hold_for_built_in_dialects() -> None:
    dialect = read(
        "mqtt",
        'name = "broker"\nroom_name = "r{number}"\n[limits]\nmessage_bytes = 99\n[metrics]\nconnections = "clients"\n'
        "[[login]]\nhttp = 'POST /login'\nsave = {token = 'token'}",
    )
    assert (dialect.name, dialect.room_name, dialect.max_message_bytes) == ("broker", "r{number}", 99)
    assert dialect.metrics == {"connections": "clients"}
    assert dialect.http_steps is not None
    assert [step.name for step in dialect.http_steps.login] == ["POST /login"]


MISTAKES = {
    ("socketio", 'nmespace = "/"'): "nmespace: unknown key: did you mean namespace?",
    ("socketio", 'namespace = "x"'): "namespace: expected a text that begins with /",
    ("socketio", "[events]\nsay = 1"): "events.say: expected a text in quotes, not a whole number",
    ("socketio", '[events]\nsy = "a"'): "events.sy: unknown key: did you mean say?",
    ("socketio", "[payload]\nsay = '{'"): "payload.say: expected JSON with placeholders",
    ("socketio", '[ack]\njoin = "yes"'): "ack.join: expected true or false, not a text in quotes",
    ("socketio", "ack = true"): "ack: expected a table [ack], not true or false",
    ("socketio", "[echo]\nself = true"): "echo.self: expected 'yes', 'no' or 'discover', not true or false",
    ("socketio", "[echo]\nprivate = {a = 1}"): "echo.private: unknown key: expected one of self",
    ("mqtt", "qos = 2"): "qos: expected 0 or 1",
    ("mqtt", "qos = true"): "qos: expected a whole number, not true or false",
    ("stomp", "connect_headers = {a = 1}"): "connect_headers.a: expected a text in quotes, not a whole number",
    ("mqtt", "[limits]\nbytes = 1"): "limits.bytes: unknown key: expected one of message_bytes",
    ("socketio", '[metrics]\nconection = "clients"'): "metrics.conection: unknown key: did you mean connections?",
    ("socketio", 'login = "{user}"'): "login: expected tables [[login]], not a text in quotes",
    ("stomp", "login = 1"): "login: expected a text in quotes, not a whole number",
    ("mqt", ""): "extends: expected one of socketio, signalr, actioncable, stomp, mqtt, not 'mqt'",
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake_is_one_line(mistake: tuple[str, str]) -> None:
    with pytest.raises(TemplateError) as error:
        read(*mistake)
    text = str(error.value)
    assert text.startswith(f"acme.toml: {MISTAKES[mistake]}")
    assert "\n" not in text


def test_login_may_be_a_name_of_a_broker_or_requests() -> None:
    assert read("stomp", 'login = "{user}"').http_steps is None
    requests = read("stomp", "[[login]]\nhttp = 'POST /login'\nsave = {token = 'token'}").http_steps
    assert requests is not None
    assert len(requests.login) == 1


def test_the_options_of_a_dialect_are_not_changed_by_a_file() -> None:
    read("socketio", 'path = "/chat/"')
    assert SocketIoDialect().options == SocketIoOptions()
