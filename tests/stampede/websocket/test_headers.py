"""Headers that options add to the upgrade request: the allowed ones, and that they arrive."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest

from stampede.client.credentials import Credentials
from stampede.locust.settings import OptionError, read_settings
from stampede.websocket.connect import connect
from stampede.websocket.endpoint import parse_endpoints
from stampede.websocket.headers import all_headers, parse_header
from stampede.websocket.target import resolve
from tests.stampede.connections import TIMEOUT, RecordingReceiver
from tests.stampede.locust.test_preflight import answering

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.sync.server import ServerConnection

    from stampede.websocket.reactor import Reactor
    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust

ORIGIN = "https://chat.example.org"
FLAGS = ("ChattingUser", "-u", "4", "-r", "4", "-t", "2s", "--room-size", "4")


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("Cookie: id=7; theme=dark", ("Cookie", "id=7; theme=dark")),
        ("X-Api-Key:secret", ("X-Api-Key", "secret")),
        ("X-Empty:", ("X-Empty", "")),
        ("X-Time: 12:30", ("X-Time", "12:30")),
    ],
)
def test_a_header_is_written_as_in_a_request(text: str, header: tuple[str, str]) -> None:
    assert parse_header(text) == header


@pytest.mark.parametrize("text", ["", "geheim", ": geheim", "X Y: geheim", "X: geheim\r\nEvil: 1", "X: geheim\x00"])
def test_an_invalid_header_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match="not a header of the form 'Name: value'") as refused:
        parse_header(text)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("name", ["Host", "upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol"])
def test_headers_of_the_handshake_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"^the handshake sets {name}"):
        parse_header(f"{name}: x")


def test_a_header_that_is_set_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="Origin is set twice"):
        all_headers(["origin: a"], "b", has_token=False)
    with pytest.raises(ValueError, match="Authorization is set twice"):
        all_headers(["authorization: Basic x"], None, has_token=True)
    parsed = argparse.Namespace(header=["Origin: https://a"], origin="https://b")
    with pytest.raises(OptionError, match=r"^--header: Origin is set twice"):
        read_settings(parsed)


def test_every_header_arrives_as_often_as_it_is_given(reactor: Reactor) -> None:
    came: list[tuple[str, str]] = []

    def note(connection: ServerConnection) -> None:
        assert connection.request is not None
        came.extend(connection.request.headers.raw_items())

    headers = all_headers(["Cookie: a=1", "Cookie: b=2", "X-Key: k"], ORIGIN, has_token=True)
    with answering(note) as url:
        target = Credentials("t").apply(resolve(f"{url}/", headers=headers))
        connect(reactor, target, RecordingReceiver(), timeout=TIMEOUT).close(TIMEOUT)
    expected = [*headers, ("Authorization", "Bearer t")]
    assert [header for header in came if header in expected] == expected


def test_the_host_header_is_that_of_the_url_at_any_address(reactor: Reactor) -> None:
    came: list[str] = []

    def note(connection: ServerConnection) -> None:
        assert connection.request is not None
        came.extend([*connection.request.headers.get_all("Host"), connection.request.path])

    with answering(note) as url:
        connect_to = parse_endpoints(url.removeprefix("ws://"))
        target = resolve("ws://chat.invalid:81/chat", connect_to=connect_to)
        connect(reactor, target, RecordingReceiver(), timeout=TIMEOUT).close(TIMEOUT)
    assert came == ["chat.invalid:81", "/chat"]


def test_a_header_replaces_the_one_from_the_url(reactor: Reactor) -> None:
    came: list[str] = []

    def note(connection: ServerConnection) -> None:
        assert connection.request is not None
        came.extend(connection.request.headers.get_all("Authorization"))

    with answering(note) as url:
        target = resolve(f"{url.replace('//', '//user:secret@')}/", headers=(("Authorization", "Key x"),))
        connect(reactor, target, RecordingReceiver(), timeout=TIMEOUT).close(TIMEOUT)
    assert came == ["Key x"]


@pytest.mark.parametrize("processes", [(), ("--processes", "2", "--rooms", "2")], ids=["one process", "two workers"])
def test_an_origin_is_sent_to_a_server_that_checks_it(
    locust: Callable[..., Locust], start: Callable[..., RunningServer], processes: tuple[str, ...]
) -> None:
    server = start("--allowed-origin", ORIGIN, "--require-origin", "yes")
    flags = ("--headless", "--host", server.url, *(FLAGS if not processes else FLAGS[:-2]), *processes)
    refused = locust(*flags).wait()
    assert refused.code == 2
    assert "HTTP 403" in refused.log
    ended = locust(*flags, "--origin", ORIGIN, "--header", "X-Key: geheim", "--header", "Cookie: a=geheim").wait()
    assert ended.ended_with(0), ended.out + ended.log
    assert ended.requests()["connect"] == (4, 0)
    assert "geheim" not in ended.out + ended.log
