"""The opening handshake against real and scripted servers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from stampede.websocket.errors import ConnectError, NotWebSocketError, RefusedError
from tests.stampede.connections import RecordingReceiver, open_at, until
from tests.stampede.websocket.scripted_server import ACCEPTED, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.websocket.reactor import Reactor
    from tests.processes import RunningServer


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\ncome back", RefusedError, "HTTP 503 come back"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", RefusedError, "HTTP 403 Forbidden"),
        (b"HTTP/1.1 401 No\r\nConnection: close\r\n\r\nfor members\nonly", RefusedError, "HTTP 401 for members only"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", NotWebSocketError, "the server does not speak HTTP/1.1"),
        (b"HTTP/1.0 501 No\r\n\r\n", NotWebSocketError, "the server does not speak HTTP/1.1"),
        (ACCEPTED + b"Sec-WebSocket-Accept: wrong\r\n\r\n", NotWebSocketError, "not a WebSocket server: invalid Sec"),
        (b"", NotWebSocketError, "closed during handshake|does not speak HTTP"),
        (b"x" * 100_000, NotWebSocketError, "the answer is not an HTTP response|does not speak HTTP"),
    ],
)
def test_a_failed_handshake_has_a_type_and_the_reason_of_the_server(
    reactor: Reactor, scripted: Callable[..., ScriptedServer], answer: bytes, kind: type[ConnectError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        open_at(reactor, scripted(answer).url)
    assert len(reactor) == 0


def test_frames_that_arrive_with_the_handshake_or_in_pieces_are_read(reactor: Reactor, server: RunningServer) -> None:
    """The greeting of a chat server may arrive in one segment with the response."""
    for _ in range(20):
        receiver = RecordingReceiver()
        connection = open_at(reactor, f"{server.url}/", receiver)
        until(partial(getattr, receiver, "messages"))
        assert b'"connected"' in receiver.messages[0]
        connection.abort()
