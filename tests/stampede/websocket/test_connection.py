"""Connections to real servers: the bundled one, and small ones that misbehave on purpose."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from websockets.utils import accept_key

from server.protocol.frames import text_frame
from stampede.websocket.connection import MAX_BUFFERED_BYTES
from stampede.websocket.errors import ConnectError, NotWebSocketError, RefusedError, TargetError, UnreachableError
from stampede.websocket.target import join_url, resolve
from tests.stampede.connections import PATIENCE, RecordingReceiver, open_at, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.processes import ServerProcess
    from stampede.websocket.reactor import Reactor
    from tests.processes import RunningServer

ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


def accepted(request: bytes) -> bytes:
    """Return the response that accepts a handshake."""
    key = re.findall(rb"Sec-WebSocket-Key: (\S+)", request)[0].decode()
    return ACCEPTED + f"Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n".encode()


class Scripted:
    """A TCP server that answers one connection with scripted bytes, after the head of the request."""

    def __init__(self, *answers: bytes, hold: bool = False, accepts: bool = False, pause: float = 0.0) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._socket.getsockname()[1]}/"
        self._answers = answers
        self._accepts = accepts
        self._pause = pause
        self._hold = threading.Event()
        if not hold:
            self._hold.set()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        client, _ = self._socket.accept()
        with client:
            request = b""
            while b"\r\n\r\n" not in request:
                request += client.recv(4096)
            if self._accepts:
                client.sendall(accepted(request))
            for answer in self._answers:
                client.sendall(answer)
                time.sleep(self._pause)
            self._hold.wait(PATIENCE)

    def close(self) -> None:
        self._hold.set()
        self._thread.join()
        self._socket.close()


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    made: list[Scripted] = []

    def start(*answers: bytes, **how: Any) -> Scripted:
        made.append(Scripted(*answers, **how))
        return made[-1]

    yield start
    for server in made:
        server.close()


# --- conversations ---


def test_an_echo_returns_messages_of_every_length_encoding(reactor: Reactor, server: RunningServer) -> None:
    box = RecordingReceiver()
    connection = open_at(reactor, f"{server.url}/ws/echo", box)
    sent = [b"x" * size for size in (0, 1, 125, 126, 65535, 65536, 200_000)]
    for message in sent:
        until(partial(connection.send_text, message))
    until(lambda: len(box.messages) == len(sent))
    assert box.messages == sent
    assert box.times == sorted(box.times)


def test_a_close_handshake_ends_after_all_earlier_messages(reactor: Reactor, server: RunningServer) -> None:
    box = RecordingReceiver()
    connection = open_at(reactor, f"{server.url}/ws/echo", box)
    for number in range(100):
        assert connection.send_text(str(number).encode())
    assert connection.close(PATIENCE)
    assert box.messages == [str(number).encode() for number in range(100)]
    assert box.error is None
    assert len(reactor) == 0
    assert not connection.send_text(b"too late")


def test_the_close_code_of_a_server_that_stops_is_reported(reactor: Reactor, server: RunningServer) -> None:
    box = RecordingReceiver()
    open_at(reactor, f"{server.url}/ws/echo", box)
    server.stop()
    until(lambda: box.error)
    assert box.error is not None
    assert box.error.code in (1001, 1012)
    assert box.error.label == f"connection lost: {box.error.code}"
    assert len(reactor) == 0


def test_a_reset_ends_the_connection_without_a_close_frame(reactor: Reactor, server: RunningServer) -> None:
    open_at(reactor, f"{server.url}/").reset()
    until(lambda: server.closed().get("vanished") == 1)


def test_the_handshake_works_with_another_server(reactor: Reactor, plain_peer: ServerProcess) -> None:
    box = RecordingReceiver()
    connection = open_at(reactor, f"{plain_peer.url}/", box)
    connection.send_text(b'{"type":"setUsername","username":"one"}')
    until(lambda: any(b"usernameSet" in message for message in box.messages))
    assert connection.close(PATIENCE)


# --- handshakes ---


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\ncome back", RefusedError, "HTTP 503 come back"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", RefusedError, "HTTP 403 Forbidden"),
        (b"HTTP/1.1 401 No\r\nConnection: close\r\n\r\nfor members\nonly", RefusedError, "HTTP 401 for members only"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", NotWebSocketError, "the server does not speak HTTP"),
        (ACCEPTED + b"Sec-WebSocket-Accept: wrong\r\n\r\n", NotWebSocketError, "not a WebSocket server: invalid Sec"),
        (b"", NotWebSocketError, "closed during handshake|does not speak HTTP"),
        (b"x" * 100_000, NotWebSocketError, "the answer is not an HTTP response|does not speak HTTP"),
    ],
)
def test_a_failed_handshake_has_a_type_and_the_reason_of_the_server(
    reactor: Reactor, scripted: Callable[..., Scripted], answer: bytes, kind: type[ConnectError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        open_at(reactor, scripted(answer).url)
    assert len(reactor) == 0


def test_a_port_without_a_listener_refuses_the_connection(reactor: Reactor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UnreachableError, match=r"^connection refused$"):
        open_at(reactor, f"ws://127.0.0.1:{port}/")


def test_a_server_that_never_answers_times_out(reactor: Reactor, scripted: Callable[..., Scripted]) -> None:
    with pytest.raises(UnreachableError, match="timed out"):
        open_at(reactor, scripted(hold=True).url, timeout=0.05)
    assert len(reactor) == 0


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


# --- misbehaving servers ---


def test_frames_that_arrive_with_the_handshake_or_in_pieces_are_read(reactor: Reactor, server: RunningServer) -> None:
    """The greeting of a chat server may arrive in one segment with the response."""
    for _ in range(20):
        box = RecordingReceiver()
        connection = open_at(reactor, f"{server.url}/", box)
        until(partial(getattr, box, "messages"))
        assert b'"connected"' in box.messages[0]
        connection.abort()


def test_a_receiver_that_raises_ends_only_its_own_connection(
    reactor: Reactor, server: RunningServer, faults: list[Exception]
) -> None:
    class Broken(RecordingReceiver):
        def message_received(self, payload: bytes, now: int) -> None:
            raise ZeroDivisionError

    good = RecordingReceiver()
    healthy = open_at(reactor, f"{server.url}/ws/echo", good)
    broken = open_at(reactor, f"{server.url}/ws/echo", Broken())
    broken.send_text(b"boom")
    until(lambda: faults)
    healthy.send_text(b"fine")
    until(lambda: good.messages)
    assert isinstance(faults[0], ZeroDivisionError)
    assert len(reactor) == 1


def test_a_server_that_stops_reading_fills_a_bounded_write_buffer(reactor: Reactor, server: RunningServer) -> None:
    """The echo server stops reading when its echoes are not read; then sends are refused, and nothing blocks."""
    box = RecordingReceiver()
    connection = open_at(reactor, f"{server.url}/ws/echo", box)
    reactor._epoll.modify(connection._fd, 0)  # never readable again
    sent = 0
    while connection.send_text(b"x" * 60_000):
        sent += 60_000
        assert sent < 1 << 30
    assert connection.congested
    assert box.resumes == 0
    assert len(connection._write_buffer) <= MAX_BUFFERED_BYTES + 70_000
    connection.abort()


def test_messages_to_a_server_that_does_not_read_wait_in_the_write_buffer_not_in_the_kernel(reactor: Reactor) -> None:
    """A message that counts as sent has left the process: the kernel alone would buffer megabytes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken: list[socket.socket] = []

        def accept() -> None:
            client, _ = listening.accept()
            taken.append(client)
            request = b""
            while b"\r\n\r\n" not in request:
                request += client.recv(4096)
            client.sendall(accepted(request))

        thread = threading.Thread(target=accept)
        thread.start()
        box = RecordingReceiver()
        connection = open_at(reactor, f"ws://127.0.0.1:{listening.getsockname()[1]}/", box)
        thread.join()
        with taken[0] as client:
            sent = 0
            while not connection.congested:
                assert connection.send_text(b"x" * 1000)
                sent += 1008
            window = client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            assert sent < 2 * window
            client.setblocking(False)

            def writing_resumed() -> bool:
                with contextlib.suppress(BlockingIOError):
                    client.recv(1 << 16)
                return box.resumes > 0

            until(writing_resumed)
            connection.abort()


# --- segments and frames ---


def test_an_end_of_stream_with_the_last_data_is_noticed(reactor: Reactor, scripted: Callable[..., Scripted]) -> None:
    """The kernel reports each change once: data and the end of stream in one event."""
    for size in (10, 200, 70_000, 131_072 - 10):
        box = RecordingReceiver()
        words = text_frame(b"x" * size)
        script = scripted(words, accepts=True)
        connection = open_at(reactor, script.url, box)
        script.close()
        until(lambda box=box: box.error)  # type: ignore[misc]
        assert [len(message) for message in box.messages] == [size]
        assert not connection.is_open
    assert len(reactor) == 0


def test_frames_are_split_wherever_the_stream_is_cut(reactor: Reactor, scripted: Callable[..., Scripted]) -> None:
    frames = [text_frame(b"a" * size) for size in (0, 1, 2, 125, 126, 65_535, 65_536)]
    fragments = [b"\x01\x02he", b"\x00\x01l", b"\x80\x02lo"]
    whole = b"".join([*frames, *fragments, b"\x89\x00", *frames])
    cuts = sorted(Random(4).sample(range(len(whole)), 40))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    box = RecordingReceiver()
    open_at(reactor, scripted(*pieces, accepts=True, pause=0.002, hold=True).url, box)
    sizes = [0, 1, 2, 125, 126, 65_535, 65_536]
    until(lambda: len(box.messages) == 2 * len(sizes) + 1)
    assert [len(message) for message in box.messages] == [*sizes, len(b"hello"), *sizes]
