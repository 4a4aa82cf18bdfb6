"""The write buffer is bounded, and the receiver is notified when it is empty."""

from __future__ import annotations

import contextlib
import socket
import threading
from select import EPOLLIN, EPOLLOUT
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from stampede.websocket.connection import MAX_BUFFERED_BYTES
from stampede.websocket.write_buffer import WriteBuffer
from tests.stampede.connections import RecordingReceiver, open_at, until
from tests.stampede.websocket.scripted_server import accepted

if TYPE_CHECKING:
    from stampede.websocket.reactor import Reactor
    from tests.processes import RunningServer


def test_a_server_that_stops_reading_fills_a_bounded_write_buffer(reactor: Reactor, server: RunningServer) -> None:
    """The echo server stops reading when its echoes are not read; then sends are refused, and no call blocks."""
    receiver = RecordingReceiver()
    connection = open_at(reactor, f"{server.url}/ws/echo", receiver)
    reactor._epoll.modify(connection._fd, 0)  # never readable again
    sent = 0
    while connection.send_message(b"x" * 60_000):
        sent += 60_000
        assert sent < 1 << 30
    assert connection.congested
    assert receiver.resumes == 0
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
        receiver = RecordingReceiver()
        connection = open_at(reactor, f"ws://127.0.0.1:{listening.getsockname()[1]}/", receiver)
        thread.join()
        with taken[0] as client:
            sent = 0
            while not connection.congested:
                assert connection.send_message(b"x" * 1000)
                sent += 1008
            window = client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            assert sent < 2 * window
            client.setblocking(False)

            def writing_resumed() -> bool:
                with contextlib.suppress(BlockingIOError):
                    client.recv(1 << 16)
                return receiver.resumes > 0

            until(writing_resumed)
            connection.abort()


def test_bytes_beyond_what_the_kernel_takes_wait_in_order() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        changes: list[int] = []
        reactor = SimpleNamespace(change=lambda _, events: changes.append(events))
        buffer = WriteBuffer(ours.fileno(), cast("Reactor", reactor))
        sent = bytearray()
        while not buffer:
            piece = bytes([len(sent) % 251]) * 5000
            buffer.write(piece)
            sent += piece
        buffer.write(b"the end")
        sent += b"the end"
        assert changes == [EPOLLIN | EPOLLOUT]
        received = bytearray()
        emptied = False
        while not emptied:
            received += theirs.recv(1 << 20)
            emptied = buffer.flush()
        received += theirs.recv(1 << 20)
        assert received == sent
        assert (len(buffer), changes[-1], buffer.events) == (0, EPOLLIN, EPOLLIN)
