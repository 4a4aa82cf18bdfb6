"""/ws/echo follows RFC 6455; a violation ends with the right close code and affects no other client."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from websockets.frames import Close, Frame, Opcode

from server.protocol.messages import MAX_FRAME_BYTES
from server.websocket.routes import MAX_ECHO_BYTES
from tests.clients import ChatClient, RawClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.processes import RunningServer


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


@pytest.fixture
def echo(shared: RunningServer) -> Iterator[RawClient]:
    """A raw connection to /ws/echo, beside a chat client that must not be affected."""
    with ChatClient(shared.url) as other:
        client = RawClient(shared.url, "/ws/echo")
        yield client
        client.close()
        other.until_pong()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, MAX_ECHO_BYTES])
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_messages_of_any_size_are_echoed(echo: RawClient, opcode: Opcode, size: int) -> None:
    echo.send(frame(opcode, b"x" * size))
    answer = echo.frame()
    assert (answer.opcode, answer.fin, len(answer.data)) == (opcode, True, size)


def test_fragments_with_control_frames_between_are_echoed_as_one_message(echo: RawClient) -> None:
    text = "grüße 🦬".encode()
    echo.send(frame(Opcode.TEXT, text[:3], fin=False))
    echo.send(frame(Opcode.PING, b"between"))
    echo.send(frame(Opcode.CONT, b"", fin=False))
    echo.send(frame(Opcode.CONT, text[3:], fin=True))
    assert (echo.frame().opcode, echo.frame().data) == (Opcode.PONG, text)


@pytest.mark.parametrize("cut", range(1, 11))
def test_text_may_be_split_inside_a_character(echo: RawClient, cut: int) -> None:
    text = "é€🦬x".encode()
    echo.send(frame(Opcode.TEXT, text[:cut], fin=False) + frame(Opcode.CONT, text[cut:]))
    assert echo.frame().data == text


def test_pings_are_answered_with_the_same_payload(echo: RawClient) -> None:
    echo.send(frame(Opcode.PING, b"") + frame(Opcode.PING, b"x" * 125) + frame(Opcode.PONG, b"unasked"))
    assert [(f.opcode, f.data) for f in (echo.frame(), echo.frame())] == [(Opcode.PONG, b""), (Opcode.PONG, b"x" * 125)]


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        pytest.param(b"\x83\x80mask", 1002, id="reserved opcode"),
        pytest.param(b"\xc1\x80mask", 1002, id="reserved bit"),
        pytest.param(b"\x81\x01x", 1002, id="not masked"),
        pytest.param(frame(Opcode.CONT, b"x"), 1002, id="continuation of nothing"),
        pytest.param(
            frame(Opcode.TEXT, b"a", fin=False) + frame(Opcode.TEXT, b"b"), 1002, id="message inside a message"
        ),
        pytest.param(b"\x09\x80mask", 1002, id="fragmented ping"),
        pytest.param(b"\x89\xfe\x00\x7emask" + b"x" * 126, 1002, id="ping too long"),
        pytest.param(frame(Opcode.CLOSE, b"x"), 1002, id="half a close code"),
        pytest.param(frame(Opcode.CLOSE, struct.pack("!H", 1005)), 1002, id="close code 1005"),
        pytest.param(frame(Opcode.CLOSE, struct.pack("!H", 999)), 1002, id="close code 999"),
        pytest.param(frame(Opcode.CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007, id="close reason not UTF-8"),
        pytest.param(frame(Opcode.TEXT, b"\xff"), 1007, id="text not UTF-8"),
        pytest.param(frame(Opcode.TEXT, "é".encode()[:1]), 1007, id="text ends inside a character"),
        pytest.param(frame(Opcode.TEXT, b"\xed\xa0\x80"), 1007, id="surrogate"),
        pytest.param(
            frame(Opcode.TEXT, b"a", fin=False) + frame(Opcode.CONT, b"\xff", fin=False),
            1007,
            id="not UTF-8 before the end",
        ),
        pytest.param(b"\x81\xff" + struct.pack("!Q", MAX_ECHO_BYTES + 1), 1009, id="too long by its header"),
        pytest.param(b"\x82\xff" + struct.pack("!Q", 2**63 - 1), 1009, id="length of 2**63 - 1"),
        pytest.param(
            frame(Opcode.TEXT, b"x" * MAX_ECHO_BYTES, fin=False) + frame(Opcode.CONT, b"x"),
            1009,
            id="too long in total",
        ),
    ],
)
def test_a_protocol_violation_is_closed_with_the_right_code(echo: RawClient, broken: bytes, code: int) -> None:
    echo.send(broken)
    assert echo.close_code() == code


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1008, 1011, 1012, 1013, 3000, 4999])
def test_a_close_frame_is_answered_with_its_own_code(echo: RawClient, code: int) -> None:
    echo.send(frame(Opcode.CLOSE, Close(code, "bye").serialize()))
    assert echo.close_code() == code


def test_an_empty_close_frame_is_answered(echo: RawClient) -> None:
    echo.send(frame(Opcode.CLOSE))
    assert echo.close_code() == 1005


def test_messages_after_a_close_frame_are_ignored(server: RunningServer) -> None:
    client = RawClient(server.url, "/ws/echo")
    client.send(frame(Opcode.CLOSE) + frame(Opcode.TEXT, b"late"))
    assert client.close_code() == 1005
    assert server.closed() == {"client": 1}
    assert server.samples()['chat_messages_received_total{type="echo"}'] == 0


def test_a_half_closed_connection_is_closed(start: Callable[..., RunningServer]) -> None:
    server = start("--heartbeat-interval", "0")  # a ping would be received before the end of the stream
    client = RawClient(server.url, "/ws/echo")
    client.send(b"\x81")
    client.half_close()
    assert client.rest() == b""
    client.close()
    assert server.closed() == {"vanished": 1}


def test_a_chat_message_above_the_frame_limit_closes_with_1009(shared: RunningServer) -> None:
    client = RawClient(shared.url)
    client.send(frame(Opcode.TEXT, b" " * (MAX_FRAME_BYTES + 1)))
    assert client.close_code() == 1009


def test_frames_sent_with_the_handshake_are_not_lost(shared: RunningServer) -> None:
    client = RawClient(shared.url, "/ws/echo", early=frame(Opcode.TEXT, b"early"))
    assert client.frame().data == b"early"
    client.close()
