"""The addresses of `--connect-to`."""

from __future__ import annotations

import pytest

from stampede.websocket.endpoint import Endpoint, parse_endpoints


def test_endpoints_are_names_or_addresses_with_a_port() -> None:
    assert parse_endpoints("10.0.0.1:8081, chat-2.test:80,[2001:db8::1]:443") == (
        Endpoint("10.0.0.1", 8081),
        Endpoint("chat-2.test", 80),
        Endpoint("2001:db8::1", 443),
    )
    assert str(Endpoint("2001:db8::1", 443)) == "[2001:db8::1]:443"
    assert parse_endpoints("") == ()


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1",
        "10.0.0.1:",
        ":80",
        "a:0",
        "a:65536",
        "a:b",
        "2001:db8::1:80",
        "ws://a:80",
        "a:80/x",
        "u@a:80",
        "a:80,",
    ],
)
def test_a_text_that_is_no_endpoint_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not HOST:PORT, such as 10\.0\.0\.1:8080 or \[2001:db8::1\]:8080"):
        parse_endpoints(text)
