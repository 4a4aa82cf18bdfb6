"""Connections to real servers: the bundled one, and scripted ones that violate the protocol."""

from __future__ import annotations

import select
import socket
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import gevent
import pytest

from stampede.websocket.errors import HandshakeError, UnreachableError
from stampede.websocket.frames import text_frame
from tests.stampede.connections import TIMEOUT, RecordingReceiver, open_at, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.processes import ServerProcess
    from stampede.websocket.reactor import Reactor
    from tests.processes import RunningServer
    from tests.stampede.websocket.scripted_server import ScriptedServer


# --- conversations ---


def test_an_echo_returns_messages_of_every_length_encoding(reactor: Reactor, server: RunningServer) -> None:
    receiver = RecordingReceiver()
    connection = open_at(reactor, f"{server.url}/ws/echo", receiver)
    sent = [b"x" * size for size in (0, 1, 125, 126, 65535, 65536, 200_000)]
    for message in sent:
        until(partial(connection.send_message, message))
    until(lambda: len(receiver.messages) == len(sent))
    assert receiver.messages == sent
    assert receiver.times == sorted(receiver.times)


def test_a_close_handshake_ends_after_all_earlier_messages(reactor: Reactor, server: RunningServer) -> None:
    receiver = RecordingReceiver()
    connection = open_at(reactor, f"{server.url}/ws/echo", receiver)
    for number in range(100):
        assert connection.send_message(str(number).encode())
    assert connection.close(TIMEOUT)
    assert receiver.messages == [str(number).encode() for number in range(100)]
    assert receiver.error is None
    assert len(reactor) == 0
    assert not connection.send_message(b"too late")


def test_no_message_is_sent_after_the_close_frame(reactor: Reactor, server: RunningServer) -> None:
    class Replying(RecordingReceiver):
        def message_received(self, payload: bytes, now: int) -> None:
            super().message_received(payload, now)
            assert not connection.send_message(b"reply")

    receiver = Replying()
    connection = open_at(reactor, f"{server.url}/ws/echo", receiver)
    assert connection.send_message(b"last")
    assert connection.close(TIMEOUT)
    assert receiver.messages == [b"last"]


def test_the_close_code_of_a_server_that_stops_is_reported(reactor: Reactor, server: RunningServer) -> None:
    receiver = RecordingReceiver()
    open_at(reactor, f"{server.url}/ws/echo", receiver)
    server.stop()
    until(lambda: receiver.error)
    assert receiver.error is not None
    assert receiver.error.code in (1001, 1012)
    assert receiver.error.label == f"connection lost: {receiver.error.code}"
    assert len(reactor) == 0


def test_a_reset_ends_the_connection_without_a_close_frame(reactor: Reactor, server: RunningServer) -> None:
    open_at(reactor, f"{server.url}/").reset()
    until(lambda: server.closed().get("vanished") == 1)


def test_the_handshake_works_with_another_server(reactor: Reactor, plain_peer: ServerProcess) -> None:
    receiver = RecordingReceiver()
    connection = open_at(reactor, f"{plain_peer.url}/", receiver)
    connection.send_message(b'{"type":"setUsername","username":"one"}')
    until(lambda: any(b"usernameSet" in message for message in receiver.messages))
    assert connection.close(TIMEOUT)


# --- handshakes ---


def test_a_port_without_a_listener_refuses_the_connection(reactor: Reactor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UnreachableError, match=r"^connection refused$"):
        open_at(reactor, f"ws://127.0.0.1:{port}/")


def test_a_server_that_never_answers_times_out(reactor: Reactor, scripted: Callable[..., ScriptedServer]) -> None:
    with pytest.raises(HandshakeError, match=r"^connect timed out$"):
        open_at(reactor, scripted(hold=True).url, timeout=0.05)
    assert len(reactor) == 0


# --- segments and frames ---


def test_an_end_of_stream_with_the_last_data_is_noticed(
    reactor: Reactor, scripted: Callable[..., ScriptedServer]
) -> None:
    """The kernel reports each change once: data and the end of stream in one event."""
    for size in (10, 200, 70_000, 131_072 - 10):
        receiver = RecordingReceiver()
        words = text_frame(b"x" * size)
        script = scripted(words, accepts=True)
        connection = open_at(reactor, script.url, receiver)
        script.close()
        until(lambda receiver=receiver: receiver.error)  # type: ignore[misc]
        assert [len(message) for message in receiver.messages] == [size]
        assert not connection.is_open
    assert len(reactor) == 0


def test_frames_are_split_wherever_the_stream_is_cut(reactor: Reactor, scripted: Callable[..., ScriptedServer]) -> None:
    frames = [text_frame(b"a" * size) for size in (0, 1, 2, 125, 126, 65_535, 65_536)]
    fragments = [b"\x01\x02he", b"\x00\x01l", b"\x80\x02lo"]
    whole = b"".join([*frames, *fragments, b"\x89\x00", *frames])
    cuts = sorted(Random(4).sample(range(len(whole)), 40))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    receiver = RecordingReceiver()
    open_at(reactor, scripted(*pieces, accepts=True, pause=0.002, hold=True).url, receiver)
    sizes = [0, 1, 2, 125, 126, 65_535, 65_536]
    until(lambda: len(receiver.messages) == 2 * len(sizes) + 1)
    assert [len(message) for message in receiver.messages] == [*sizes, len(b"hello"), *sizes]


# --- reading in batches ---


class Batching(RecordingReceiver):
    """Takes the messages of a batch that begin with a `d`."""

    def __init__(self) -> None:
        super().__init__()
        self.batched: list[bytes] = []

    def batch_received(self, payloads: list[bytes]) -> list[bytes]:
        self.batched += [payload for payload in payloads if payload.startswith(b"d")]
        return [payload for payload in payloads if not payload.startswith(b"d")]


def test_an_unwatched_connection_is_read_only_in_batches(reactor: Reactor, server: RunningServer) -> None:
    receiver = Batching()
    connection = open_at(reactor, f"{server.url}/ws/echo", receiver)
    assert connection.send_message(b"first")
    until(lambda: receiver.messages)
    connection.unwatch()
    for message in (b"d1", b"d2", b"other", b"d3"):
        assert connection.send_message(message)
    until(lambda: select.select([connection._fd], [], [], 0)[0])
    gevent.sleep(0)
    assert (receiver.batched, receiver.messages) == ([], [b"first"])
    until(lambda: connection.read_batch() == 0 and receiver.batched == [b"d1", b"d2", b"d3"])
    assert receiver.messages == [b"first", b"other"]
    connection.watch()
    assert connection.send_message(b"d4")
    until(lambda: receiver.messages == [b"first", b"other", b"d4"])


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_batch_may_end_inside_a_frame(reactor: Reactor, scripted: Callable[..., ScriptedServer], cut: int) -> None:
    frames = text_frame(b"d1") + text_frame(b"x" * 200) + text_frame(b"d2") + b"\x89\x00" + text_frame(b"d3")
    receiver = Batching()
    server = scripted(text_frame(b"first"), frames[:cut], frames[cut:], accepts=True, pause=0.1, hold=True)
    connection = open_at(reactor, server.url, receiver)
    until(lambda: receiver.messages)
    connection.unwatch()
    until(connection.read_batch)
    connection.watch()
    until(lambda: len(receiver.messages + receiver.batched) == 5)
    assert sorted(receiver.messages + receiver.batched) == [b"d1", b"d2", b"d3", b"first", b"x" * 200]
    connection.abort()


def test_the_end_of_an_unwatched_connection_is_noticed_at_once(
    reactor: Reactor, scripted: Callable[..., ScriptedServer]
) -> None:
    receiver = Batching()
    server = scripted(text_frame(b"d1"), accepts=True, hold=True)
    open_at(reactor, server.url, receiver).unwatch()
    server.close()
    until(lambda: receiver.error)
    assert receiver.messages + receiver.batched == [b"d1"]
