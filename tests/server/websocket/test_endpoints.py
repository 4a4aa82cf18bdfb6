"""The paths /ws/echo and /ws/notifications: how they are turned off, and the rate limit of the echo."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from websockets.frames import Frame, Opcode

from tests.clients import SECONDS, ChatClient, RawClient, handshake

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.processes import RunningServer


def frame(opcode: Opcode, data: bytes) -> bytes:
    return Frame(opcode, data).serialize(mask=True)


@pytest.mark.parametrize("path", ["/ws/notifications", "/ws/echo"])
def test_a_disabled_path_is_not_found(start: Callable[..., RunningServer], path: str) -> None:
    server = start(f"--{path.removeprefix('/ws/')}", "no")
    assert handshake(server.url, path).status == 404
    others = {"/", "/chat", "/ws/chat", "/ws/notifications", "/ws/echo"} - {path}
    assert {other: handshake(server.url, other).status for other in others} == dict.fromkeys(others, 101)
    assert server.samples()['chat_handshakes_rejected_total{reason="not_found"}'] == 1


def test_an_echo_above_its_rate_is_slowed_down_and_loses_no_message(start: Callable[..., RunningServer]) -> None:
    server = start("--echo-rate", "20", "--message-rate", "1")
    texts = [f"text {number}" for number in range(80)]
    with ChatClient(server.url, "/ws/echo") as client:
        began = time.monotonic()
        for text in texts:
            client.send_raw(text)
            assert client.socket.recv(timeout=SECONDS) == text
        # A burst of 40 at once, then one every twentieth of a second.
        assert time.monotonic() - began > 1.5
    assert server.samples()['chat_rate_limited_total{limit="messages"}'] > 0  # fewer, the slower the machine


@pytest.mark.parametrize("kind", ["large", "binary", "ping"])
def test_large_and_binary_messages_and_pings_count_on_the_echo_path(
    start: Callable[..., RunningServer], kind: str
) -> None:
    server = start("--echo-rate", "5")
    client = RawClient(server.url, "/ws/echo")
    sent = {
        "large": frame(Opcode.TEXT, b"x" * 1_000_000),
        "binary": frame(Opcode.BINARY, b"x") * 20,
        "ping": frame(Opcode.PING, b"x") * 20,
    }
    client.send(sent[kind] + frame(Opcode.TEXT, b"end"))
    while client.frame().data != b"end":
        pass
    client.close()
    samples = server.samples()
    assert samples['chat_rate_limited_total{limit="messages"}'] + samples['chat_rate_limited_total{limit="frames"}'] > 0


def test_an_echo_without_a_rate_is_not_slowed_down(start: Callable[..., RunningServer]) -> None:
    server = start("--echo-rate", "0")
    with ChatClient(server.url, "/ws/echo") as client:
        for number in range(3000):
            client.send_raw(str(number))
        assert [client.socket.recv(timeout=SECONDS) for _ in range(3000)] == [str(number) for number in range(3000)]
    assert not any(value for name, value in server.samples().items() if name.startswith("chat_rate_limited_total"))
