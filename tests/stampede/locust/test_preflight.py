"""The check of the server before a run, and the verdict on a run in which no user joined."""

from __future__ import annotations

import argparse
import re
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from stampede.dialects.stampede import StampedeDialect
from stampede.locust import preflight
from stampede.locust.preflight import check_server
from stampede.locust.settings import read_settings
from stampede.websocket.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.processes import ServerProcess
    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust, WebLocust

QUESTION = "is this a Stampede server? For other servers use --dialect"


@contextmanager
def answering(conversation: Callable[[ServerConnection], None]) -> Iterator[str]:
    """Serve WebSockets in a thread; yield the URL."""
    with serve(conversation, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


def socket_io(connection: ServerConnection) -> None:
    """Act as an Engine.IO server (protocol 4): send a handshake packet, and close after an invalid packet."""
    connection.send('0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000}')
    _close_on_message(connection)


def silent_until_a_message(connection: ServerConnection) -> None:
    """Send no greeting, and close when a message arrives, as a broker of another protocol does."""
    _close_on_message(connection)


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


def closing(connection: ServerConnection) -> None:
    connection.close(1013, "full")


def _close_on_message(connection: ServerConnection) -> None:
    try:
        connection.recv()
    except ConnectionClosed:
        return
    connection.close(1002, "bad packet")


def check(url: str) -> None:
    check_server(url, read_settings(argparse.Namespace()), "/", StampedeDialect())


def test_our_server_and_a_plain_one_pass(server: RunningServer, plain_peer: ServerProcess) -> None:
    check(server.url)
    check(plain_peer.url)


@pytest.mark.parametrize(
    ("conversation", "words"),
    [
        (socket_io, r"sent '0\{\"sid\".*' in place of a greeting; "),
        (silent_until_a_message, r"sent no greeting within 0\.3 s; "),
        (echo, r"sent no greeting within 0\.3 s; "),
        (closing, r"closed the connection before any greeting \(1013 full\); "),
    ],
)
def test_a_server_without_the_greeting_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, conversation: Callable[[ServerConnection], None], words: str
) -> None:
    monkeypatch.setattr(preflight, "GREETING_SECONDS", 0.3)
    with answering(conversation) as url, pytest.raises(ClientError, match=rf"^{url}/ {words}{re.escape(QUESTION)}$"):
        check(url)


def test_the_server_has_five_seconds_for_the_greeting() -> None:
    assert preflight.GREETING_SECONDS == 5.0


def test_a_run_against_another_protocol_does_not_start(locust: Callable[..., Locust]) -> None:
    with answering(socket_io) as url:
        ended = locust("--headless", "--host", url, "ChattingUser", "-u", "2", "-t", "1s").wait()
    assert ended.code == 2
    assert QUESTION in ended.log


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["one process", "two workers"])
def test_a_run_in_which_no_user_joined_is_invalid(
    web_locust: Callable[..., WebLocust], processes: tuple[str, ...]
) -> None:
    """The web page starts a test without a check of the server."""
    with answering(socket_io) as url:
        web = web_locust("--host", url, "ChattingUser", *processes)
        web.post("/swarm", user_count=4, spawn_rate=4)
        web.until(lambda now: now["requests"]["WS connect"]["failures"] >= 4)
        web.locust.process.send_signal(signal.SIGTERM)
        ended = web.locust.wait()
    assert ended.code == 98, ended.out + ended.log
    assert "  INVALID     no user joined a room; most often: " in ended.out
    assert "verdict     valid" not in ended.out
