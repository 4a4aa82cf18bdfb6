"""What a login adds to the upgrade request."""

from __future__ import annotations

from stampede.client.credentials import Credentials
from stampede.websocket.target import resolve


def test_token_headers_and_cookies_are_added_to_those_of_the_run() -> None:
    target = resolve("ws://127.0.0.1:1/chat", headers=(("X-Key", "k"),))
    made = Credentials("t", {"X-User": "ann"}, {"id": "7", "lang": "en"}).apply(target)
    assert made.headers == (
        ("X-Key", "k"),
        ("X-User", "ann"),
        ("Authorization", "Bearer t"),
        ("Cookie", "id=7; lang=en"),
    )
    assert made.addresses is target.addresses
    assert target.headers == (("X-Key", "k"),)


def test_query_parameters_are_escaped_and_follow_those_of_the_address() -> None:
    made = Credentials(query={"token": "a b&c"}).apply(resolve("ws://127.0.0.1:1/chat?v=2"))
    assert made.uri.resource_name == "/chat?v=2&token=a+b%26c"
    assert Credentials(query={"t": "1"}).apply(resolve("ws://127.0.0.1:1/")).uri.resource_name == "/?t=1"
    assert Credentials().apply(resolve("ws://127.0.0.1:1/chat?v=2")).uri.resource_name == "/chat?v=2"


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(Credentials("secret", {"a": "secret"}, {"b": "secret"}, {"c": "secret"}))
