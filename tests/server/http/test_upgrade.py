"""The fast parser of upgrade requests accepts only what the library accepts, with the same response key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.http11 import Request
from websockets.server import ServerProtocol

from server.http.upgrade import accept_upgrade, read_upgrade

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
PLAIN = {
    "Host": "example.org",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}
BROWSER = {
    **PLAIN,
    "Connection": "keep-alive, Upgrade",
    "Pragma": "no-cache",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Origin": "https://example.org",
    "Accept-Language": "en-US,en;q=0.5",
    "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
    "Cookie": "a=b; c=d",
}


def head(headers: list[tuple[str, str]], line: str = "GET /chat?x=1 HTTP/1.1") -> bytes:
    return "\r\n".join([line, *(f"{name}: {value}" for name, value in headers), "", ""]).encode("latin-1")


def by_library(received: bytes) -> tuple[Request | None, str | None]:
    """Return the request as the library parses it, and the key of its response."""
    protocol = ServerProtocol()
    protocol.receive_data(received)
    events = protocol.events_received()
    if not events:
        return None, None
    assert isinstance(events[0], Request)
    return events[0], protocol.accept(events[0]).headers.get("Sec-WebSocket-Accept")


@pytest.mark.parametrize("headers", [PLAIN, BROWSER], ids=["library", "browser"])
def test_the_usual_upgrade_request_is_accepted_as_the_library_would(headers: dict[str, str]) -> None:
    request = read_upgrade(head([*headers.items()]))
    assert request is not None
    assert request.path == "/chat?x=1"
    assert request.key == KEY
    assert request.headers == {name.lower(): value for name, value in headers.items() if value != KEY}
    # The key and its answer are the example of RFC 6455, section 1.3.
    assert accept_upgrade(request) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )


@pytest.mark.parametrize("key", ["AAAAAAAAAAAAAAAAAAAAAA==", "+/+/+/+/+/+/+/+/+/+/+Q=="])
def test_heads_that_differ_only_in_the_key_have_their_own_keys(key: str) -> None:
    for each in (KEY, key):
        received = head([*{**PLAIN, "Sec-WebSocket-Key": each}.items()])
        request = read_upgrade(received)
        assert request is not None
        assert request.key == each
        _, accept = by_library(received)
        assert f"Sec-WebSocket-Accept: {accept}\r\n".encode() in accept_upgrade(request)


@pytest.mark.parametrize(
    "key", ["", "short", KEY[:-1], KEY + "=", "A" * 24, "\xe4" * 24, "A" * 11 + " " + "A" * 10 + "=="]
)
def test_a_malformed_key_is_left_to_the_library_though_the_rest_is_known(key: str) -> None:
    assert read_upgrade(head([*PLAIN.items()])) is not None
    assert read_upgrade(head([*{**PLAIN, "Sec-WebSocket-Key": key}.items()])) is None


names = st.sampled_from([*BROWSER, "sec-websocket-key", "UPGRADE", "X-Forwarded-For", "X_Y", "", "A B", "\xe4", "a\tb"])
odd_values = (
    "WebSocket",
    "h2c",
    "close",
    "upgrade,keep-alive",
    "8",
    "13 ",
    "AAAA",
    "=" * 24,
    " ",
    "\t13",
    "\x00",
    "a\rb",
)
values = st.one_of(
    st.sampled_from([*BROWSER.values(), *odd_values, "x" * 8000, "x" * 8190]),
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=8),
)
odd_lines = ("GET / HTTP/1.0", "GET  / HTTP/1.1", "GET /\x7f HTTP/1.1", "POST / HTTP/1.1")
lines = st.sampled_from([*["GET / HTTP/1.1"] * 6, *odd_lines])


@given(
    st.permutations([*BROWSER.items()]),
    st.lists(st.tuples(st.integers(0, len(BROWSER)), names, values, st.booleans()), max_size=3),
    lines,
)
def test_no_request_is_accepted_that_the_library_would_reject(
    headers: list[tuple[str, str]], changes: list[tuple[int, str, str, bool]], line: str
) -> None:
    for place, name, value, is_more in changes:
        headers[place : place if is_more else place + 1] = [(name, value)]
    received = head(headers, line)
    request = read_upgrade(received)
    if request is None:
        return
    expected, accept = by_library(received)
    assert expected is not None
    assert accept is not None
    assert request.path == expected.path
    fields = {name.lower(): value for name, value in expected.headers.raw_items()}
    assert request.key == fields.pop("sec-websocket-key")
    assert request.headers == fields
    assert f"Sec-WebSocket-Accept: {accept}\r\n".encode() in accept_upgrade(request)


@pytest.mark.parametrize("count", [100, 101, 128, 140])
def test_a_request_with_very_many_headers_is_left_to_the_library(count: int) -> None:
    received = head([*PLAIN.items(), *((f"X-{number}", "y") for number in range(count - len(PLAIN)))])
    assert (read_upgrade(received) is not None) == (count <= 100)
