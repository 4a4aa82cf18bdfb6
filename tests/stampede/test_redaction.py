"""Displayed text contains no secrets."""

from __future__ import annotations

import pytest

from stampede.redaction import redact, redact_message


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ws://user:secret@chat.example:8080/ws", "ws://***@chat.example:8080/ws"),
        ("nats://token@10.0.0.1", "nats://***@10.0.0.1"),
        ("http://u:p/w?d#1@x:y@host/a", "http://***@host/a"),
        (
            "cannot connect to 'wss://u:secret@[::1]:1/a' and ws://v:other@b",
            "cannot connect to 'wss://***@[::1]:1/a' and ws://***@b",
        ),
        ("ws://x/ws/chat?token=eyJ.a-b_c.d&room=1", "ws://x/ws/chat?token=***&room=1"),
        ("GET /?room=1&ACCESS_TOKEN=a.b HTTP/1.1", "GET /?room=1&ACCESS_TOKEN=*** HTTP/1.1"),
        ("no server at ws://u:p@ss@host: refused", "no server at ws://***@host: refused"),
        ("http://host:9090/path, mail to me@example.org", "http://host:9090/path, mail to me@example.org"),
        ("wss://host/?a=1&my-api_key=x&b=2;sig=y", "wss://host/?a=1&my-api_key=***&b=2;sig=***"),
        ("deliver_p99<250ms", "deliver_p99<250ms"),
        ("http://host/path", "http://host/path"),
        ("ann@example.org wrote, room=1; tokens=2", "ann@example.org wrote, room=1; tokens=2"),
        ("?tokens=2&monkey=3", "?tokens=2&monkey=3"),
    ],
)
def test_users_passwords_and_tokens_are_removed_from_text(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('40{"token":"eyJ.a"}', '40{"token":"***"}'),
        ('{"data":"{\\"accessToken\\": \\"a.b\\"}"}', '{"data":"{\\"accessToken\\": \\"***\\"}"}'),
        ("CONNECT login:ann passcode:hidden-word", "CONNECT login:ann passcode:***"),
        ("/ws?x=hidden-word", "/ws?x=***"),
        ("/ws?x=p%2Fq%2Fr", "/ws?x=***"),
        ('{"tokens":"5","text":"a pie"}', '{"tokens":"5","text":"a pie"}'),
    ],
)
def test_known_and_named_secrets_are_removed_from_messages(text: str, shown: str) -> None:
    assert redact_message(text, ("pie", "hidden-word", "p/q/r")) == shown
