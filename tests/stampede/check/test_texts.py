"""Messages and addresses in the report of a check."""

from __future__ import annotations

from stampede.check.result import Logged
from stampede.check.texts import address_of, came_instead, show
from stampede.websocket.target import resolve


def test_a_message_is_one_short_line_without_secrets() -> None:
    assert show(b'{"token":"abcdefgh"}\x1e\n') == '{"token":"***"}\\x1e\\n'
    assert show(b"my-secret is out", ("my-secret",)) == "*** is out"
    assert show(b"x" * 200, length=5) == "xxxxx..."
    assert show(b"\xff\x00") == r"b'\xff\x00'"
    assert show("grüße".encode()) == "grüße"


def test_an_address_has_its_path_and_no_secrets() -> None:
    assert address_of(resolve("ws://127.0.0.1:81/ws?room=1&token=abc")) == "ws://127.0.0.1:81/ws?room=1&token=***"
    assert address_of(resolve("wss://[::1]/ws/abcdefgh"), ("abcdefgh",)) == "wss://[::1]:443/ws/***"


def test_what_came_instead_is_the_last_message_or_that_none_came() -> None:
    assert came_instead([], 0, ()) == "the server sent nothing"
    assert came_instead([], 2, ()) == "the server sent 2 binary messages, which the dialect ignores"
    received = [Logged(1, sent=False, payload=b"one"), Logged(1, sent=False, payload=b"two", meaning="joined")]
    assert came_instead(received, 0, ()) == "the last message of the server was 'two' (joined)"
