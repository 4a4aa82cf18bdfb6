"""Blocking clients for tests: raw frames, chat messages, and upgrade requests."""

from __future__ import annotations

import itertools
import json
import socket
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.sync.client import ClientConnection, connect
from websockets.uri import parse_uri

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

SECONDS = 60


class RawClient:
    """A connection that sends only the bytes that a test gives it."""

    def __init__(self, url: str, path: str = "/ws/chat", early: bytes = b"") -> None:
        host, port = url.removeprefix("ws://").rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=SECONDS)
        self._protocol = ClientProtocol(parse_uri(url + path), max_size=None)
        request = self._protocol.connect()
        self._protocol.send_request(request)
        self._socket.sendall(b"".join(self._protocol.data_to_send()) + early)
        self._frames: list[Frame] = []
        events: list[object] = []
        while not events:
            self._protocol.receive_data(self._socket.recv(65536))
            events += self._protocol.events_received()
        assert self._protocol.state is State.OPEN, self._protocol.handshake_exc
        self._frames += [event for event in events if isinstance(event, Frame)]

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def frame(self) -> Frame:
        """Return the next frame of any kind; pings and close frames are not answered."""
        while not self._frames:
            data = self._socket.recv(65536)
            assert data, "the server closed the connection without another frame"
            self._protocol.receive_data(data)
            self._frames += [event for event in self._protocol.events_received() if isinstance(event, Frame)]
            self._protocol.data_to_send()
        return self._frames.pop(0)

    def close_code(self) -> int:
        """Read until the server's close frame and the end of the stream; return the close code."""
        while (frame := self.frame()).opcode is not Opcode.CLOSE:
            pass
        while self._socket.recv(65536):
            pass
        self.close()
        return int(Close.parse(frame.data).code)

    def half_close(self) -> None:
        """Close the sending side of the TCP connection."""
        self._socket.shutdown(socket.SHUT_WR)

    def rest(self) -> bytes:
        """Return all bytes until the end of the stream."""
        received = b""
        while data := self._socket.recv(65536):
            received += data
        return received

    def close(self) -> None:
        self._socket.close()


class ChatClient:
    """A chat client. `received_bytes` and `sent_bytes` count bytes of WebSocket frames."""

    _marks = itertools.count(1)

    def __init__(self, url: str, path: str = "/ws/chat") -> None:
        self._stack = ExitStack()
        self.socket: ClientConnection = self._stack.enter_context(
            connect(
                url + path,
                compression=None,
                open_timeout=SECONDS,
                close_timeout=SECONDS,
                ping_interval=None,
                max_size=None,
                max_queue=None,  # with a limit, closing would wait for unread messages until the timeout
            )
        )
        self.received_bytes = 0
        self.sent_bytes = 0
        self.received: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Send a close frame, and wait for the end of the connection."""
        self._stack.close()

    def abort(self) -> None:
        """Close the socket without a close frame."""
        self.socket.socket.shutdown(socket.SHUT_RDWR)
        self.close()

    def send(self, type_: str, **fields: Any) -> None:
        self.send_raw(json.dumps({"type": type_, **fields}))

    def send_raw(self, message: str | bytes) -> None:
        self.socket.send(message)
        size = len(message.encode() if isinstance(message, str) else message)
        self.sent_bytes += size + header_bytes(size) + 4

    def receive(self) -> dict[str, Any]:
        text = self.socket.recv(timeout=SECONDS)
        assert isinstance(text, str)
        size = len(text.encode())
        self.received_bytes += size + header_bytes(size)
        message = json.loads(text)
        assert isinstance(message, dict)
        self.received.append(message)
        return message

    def expect(self, type_: str) -> dict[str, Any]:
        message = self.receive()
        assert message["type"] == type_, message
        return message

    def until_pong(self) -> list[dict[str, Any]]:
        """Send a ping, and return all messages before its pong: those that were sent before."""
        mark = next(self._marks)
        self.send("ping", timestamp=mark)
        seen: list[dict[str, Any]] = []
        while True:
            message = self.receive()
            if message["type"] == "pong" and message["timestamp"] == mark:
                return seen
            seen.append(message)


@dataclass(frozen=True, slots=True)
class Handshake:
    """The response to an upgrade request; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@contextmanager
def open_handshake(url: str, path: str = "/ws/chat", **headers: str) -> Iterator[Handshake]:
    """Send an upgrade request with further headers; stay connected in the context."""
    host, port = url.removeprefix("ws://").rsplit(":", 1)
    fields = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
        **headers,
    }
    request = f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    with socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS) as connection:
        connection.sendall(request.encode())
        received = b""
        while b"\r\n\r\n" not in received:
            data = connection.recv(65536)
            assert data, f"the server ended after {received!r}"
            received += data
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        status = int(first.split(" ", 2)[1])
        while status != 101 and (data := connection.recv(65536)):
            body += data
        answered = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        yield Handshake(status, answered, body)


def handshake(url: str, path: str = "/ws/chat", **headers: str) -> Handshake:
    """Send an upgrade request, read the response, and disconnect."""
    with open_handshake(url, path, **headers) as answer:
        return answer


def header_bytes(size: int) -> int:
    """Return the size of an unmasked frame's header (RFC 6455, section 5.2)."""
    if size < 126:
        return 2
    return 4 if size < 65536 else 10
