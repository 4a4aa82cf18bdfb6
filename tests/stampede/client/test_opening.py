"""The opening of a connection whose server speaks first."""

from __future__ import annotations

import socket
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from stampede import LoadGenerator
from stampede.dialects.socketio import SocketIoDialect, SocketIoOptions
from stampede.dialects.template.parsing import parse_template
from tests.stampede.fixtures import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stampede.dialects.base import Dialect

CONNECT = b"40"


def serve_once(listener: socket.socket, received: list[bytes], greeting: bytes, answers: Mapping[bytes, bytes]) -> None:
    """Serve one client; the greeting comes in one segment with the handshake response."""
    protocol = ServerProtocol()
    sock, _ = listener.accept()
    with sock:
        sock.settimeout(TIMEOUT)
        while data := sock.recv(1 << 16):
            protocol.receive_data(data)
            for event in protocol.events_received():
                if isinstance(event, Request):
                    protocol.send_response(protocol.accept(event))
                    protocol.send_text(greeting)
                elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    received.append(bytes(event.data))
                    if event.data in answers:
                        protocol.send_text(answers[bytes(event.data)])
            sock.sendall(b"".join(protocol.data_to_send()))


def join_at(dialect: Dialect, greeting: bytes, answers: Mapping[bytes, bytes]) -> list[bytes]:
    """Join a room of a server; return what the server has received."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Thread(target=serve_once, args=(listener, received, greeting, answers))
        server.start()
        with LoadGenerator(f"ws://127.0.0.1:{listener.getsockname()[1]}", dialect=dialect) as generator:
            generator.join("red")
        server.join(TIMEOUT)
    return received


def test_an_answer_to_what_came_with_the_handshake_response_is_sent_once_the_connection_is_open() -> None:
    dialect = SocketIoDialect(SocketIoOptions(echo=False))  # nothing to discover with a check before
    received = join_at(dialect, b'0{"sid":"1"}', {CONNECT: b'40{"sid":"2"}'})
    assert received[:2] == [CONNECT, b'42["join","red"]']


@pytest.mark.parametrize("first", ["", "send = 'hi'\n[[open]]\n"])
def test_what_came_with_the_handshake_response_may_be_what_the_first_step_awaits(first: str) -> None:
    """Each message is sent once, whether or not the greeting arrives before it."""
    steps = f"[[open]]\n{first}expect = {{prefix = 'hello'}}\n[[open]]\nsend = 'login'\nexpect = {{prefix = 'ok'}}\n"
    rest = "[[join]]\nsend = 'join {room}'\n[say]\nsend = '{text}'\n[echo]\nself = 'no'\n"
    dialect = parse_template(f"escape = 'raw'\n{steps}{rest}", "early.toml", lambda: "")
    received = join_at(dialect, b"hello", {b"login": b"ok"})
    assert received == [*([b"hi"] if first else []), b"login", b"join red"]
