"""Addresses of a server are checked and resolved."""

from __future__ import annotations

import pytest

from stampede.websocket.errors import TargetError, UnreachableError
from stampede.websocket.target import join_url, resolve


def test_an_unknown_host_is_reported() -> None:
    with pytest.raises(UnreachableError, match=r"^[^\n]+$"):
        resolve("ws://no.such.host.invalid/")


@pytest.mark.parametrize("host", ["http://a", "a:8080", "ws://", "ws://a:port", "ws://a:99999", ""])
def test_an_invalid_address_is_refused(host: str) -> None:
    with pytest.raises(TargetError, match=r"^--host "):
        join_url(host, "/")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("ws://a:1", "ws://a:1/chat"),
        ("ws://a:1/", "ws://a:1/chat"),
        ("wss://a/own?token=x", "wss://a/own?token=x"),
        ("ws://a?token=x", "ws://a/chat?token=x"),
    ],
)
def test_the_path_is_the_host_s_own_or_the_given_one(host: str, url: str) -> None:
    assert join_url(host, "/chat") == url
