"""The library's part of a connection completes messages, and says why the peer may send no more."""

from __future__ import annotations

import gc
import weakref

import pytest
from websockets.frames import Frame, Opcode

from server.errors import CloseReason
from server.websocket.library import LibraryProtocol, Message, pong_payload


def frame(opcode: Opcode, payload: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin=fin).serialize(mask=True)


@pytest.mark.parametrize("payload", [b"", b"stampede", b"x" * 125])
def test_the_payload_of_a_pong_is_read_without_the_library(payload: bytes) -> None:
    assert pong_payload(frame(Opcode.PONG, payload)) == payload


@pytest.mark.parametrize(
    "data",
    [
        frame(Opcode.PING, b"p"),
        frame(Opcode.CLOSE, b""),
        frame(Opcode.BINARY, b"p"),
        bytes((0x0A, 0x81)) + b"mask" + b"p",
        bytes((0xCA, 0x81)) + b"mask" + b"p",
        Frame(Opcode.PONG, b"p").serialize(mask=False),
        bytes((0x8A, 0xFE, 0, 126)) + b"mask" + b"x" * 126,
    ],
    ids=["ping", "close", "binary", "fragment", "reserved bit", "not masked", "too long"],
)
def test_any_other_frame_is_left_to_the_library(data: bytes) -> None:
    assert pong_payload(data) is None


@pytest.fixture
def protocol() -> LibraryProtocol:
    return LibraryProtocol(max_size=1000)


def test_whole_binary_messages_and_pongs_are_returned_at_once(protocol: LibraryProtocol) -> None:
    assert list(protocol.receive(frame(Opcode.BINARY, b"\x00\xff"))) == [Message(Opcode.BINARY, b"\x00\xff")]
    assert list(protocol.receive(frame(Opcode.PONG, b"p"))) == [Message(Opcode.PONG, b"p")]
    assert protocol.data_to_send() == []


@pytest.mark.parametrize("kind", [Opcode.TEXT, Opcode.BINARY])
def test_fragments_are_joined_although_control_frames_come_between_them(
    protocol: LibraryProtocol, kind: Opcode
) -> None:
    assert list(protocol.receive(frame(kind, "é".encode()[:1], fin=False))) == []
    assert list(protocol.receive(frame(Opcode.PING, b"now"))) == []
    assert protocol.data_to_send() == [Frame(Opcode.PONG, b"now").serialize(mask=False)]
    assert list(protocol.receive(frame(Opcode.CONT, "é".encode()[1:]))) == [Message(kind, "é".encode())]
    assert protocol.end is None


def test_fragmented_text_that_is_not_utf8_raises_as_early_as_possible(protocol: LibraryProtocol) -> None:
    with pytest.raises(UnicodeDecodeError):
        list(protocol.receive(frame(Opcode.TEXT, b"\xff", fin=False)))


@pytest.mark.parametrize(
    ("received", "end"),
    [
        (frame(Opcode.CLOSE, b"\x03\xe8"), CloseReason.CLIENT),
        (frame(Opcode.CONT, b"continues nothing"), CloseReason.PROTOCOL),
        (frame(Opcode.BINARY, bytes(1001)), CloseReason.TOO_BIG),
    ],
    ids=["close frame", "continues nothing", "too big"],
)
def test_a_close_frame_or_an_invalid_one_ends_the_stream_and_is_answered(
    protocol: LibraryProtocol, received: bytes, end: CloseReason
) -> None:
    assert list(protocol.receive(received)) == []
    assert protocol.end is end
    close, eof = protocol.data_to_send()
    assert close[0] == 0x80 | Opcode.CLOSE
    assert eof == b""


def test_a_close_of_our_own_ends_when_the_peer_answers(protocol: LibraryProtocol) -> None:
    protocol.close(CloseReason.DRAIN, "deploy")
    (sent,) = protocol.data_to_send()
    assert sent.endswith(b"deploy")
    assert protocol.end is None
    list(protocol.receive(frame(Opcode.CLOSE, b"\x03\xe8")))
    assert protocol.end is CloseReason.CLIENT


def test_a_released_protocol_is_freed_without_the_cycle_collector(protocol: LibraryProtocol) -> None:
    list(protocol.receive(b"\x83\x80...."))
    inner = weakref.ref(protocol._protocol)
    gc.disable()
    try:
        protocol.release()
        del protocol._protocol
        assert inner() is None
    finally:
        gc.enable()
