"""The opening of a connection whose server speaks first."""

from __future__ import annotations

import socket
from threading import Thread

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from stampede import LoadGenerator
from stampede.dialects.socketio import SocketIoDialect, SocketIoOptions
from tests.stampede.fixtures import TIMEOUT

CONNECT = b"40"
EXPECTED = [CONNECT, b'42["join","red"]']


def serve_once(listener: socket.socket, received: list[bytes]) -> None:
    """Serve one client of Socket.IO; the open packet comes in one segment with the handshake response."""
    protocol = ServerProtocol()
    sock, _ = listener.accept()
    with sock:
        sock.settimeout(TIMEOUT)
        while data := sock.recv(1 << 16):
            protocol.receive_data(data)
            for event in protocol.events_received():
                if isinstance(event, Request):
                    protocol.send_response(protocol.accept(event))
                    protocol.send_text(b'0{"sid":"1"}')
                elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    received.append(bytes(event.data))
                    if received == [CONNECT]:
                        protocol.send_text(b'40{"sid":"2"}')
            sock.sendall(b"".join(protocol.data_to_send()))


def test_an_answer_to_what_came_with_the_handshake_response_is_sent_once_the_connection_is_open() -> None:
    received: list[bytes] = []
    dialect = SocketIoDialect(SocketIoOptions(echo=False))  # nothing to discover with a check before
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Thread(target=serve_once, args=(listener, received))
        server.start()
        with LoadGenerator(f"ws://127.0.0.1:{listener.getsockname()[1]}", dialect=dialect) as generator:
            generator.join("red")
        server.join(TIMEOUT)
    assert received[:2] == EXPECTED
