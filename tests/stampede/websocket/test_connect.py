"""Connecting to a server name with several addresses."""

from __future__ import annotations

import errno
import os
import socket
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from stampede.websocket.connect import connect
from stampede.websocket.connection import Connection
from stampede.websocket.errors import HandshakeError, RefusedError, UnreachableError
from stampede.websocket.target import resolve
from tests.ports import free_port
from tests.stampede.connections import TIMEOUT, RecordingReceiver
from tests.stampede.name_resolution import resolve_everywhere, resolve_to

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stampede.websocket.addresses import Address
    from stampede.websocket.reactor import Reactor
    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust
    from tests.stampede.websocket.scripted_server import ScriptedServer

FLAGS = ("ChattingUser", "-u", "20", "-r", "20", "-t", "3s", "--room-size", "10")


def test_a_server_is_reached_at_its_next_address_when_the_first_refuses(
    reactor: Reactor, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example `localhost`, when it means `::1` first and the server listens on IPv4."""
    resolve_to(monkeypatch, "::1", "127.0.0.1")
    target = resolve(server.url.replace("127.0.0.1", "localhost") + "/")
    for _ in range(4):
        assert connect(reactor, target, RecordingReceiver(), timeout=TIMEOUT).close(TIMEOUT)
    assert [(use.address, use.connections) for use in target.addresses.uses()] == [("::1", 0), ("127.0.0.1", 4)]


REFUSED, NO_PORT = (OSError(code, os.strerror(code)) for code in (errno.ECONNREFUSED, errno.EADDRNOTAVAIL))


@pytest.mark.parametrize(
    ("answered", "errors", "label"),
    [
        (["127.0.0.1"], {"127.0.0.1": REFUSED, "::1": NO_PORT}, "connection refused"),
        (["127.0.0.1"], {"127.0.0.1": NO_PORT, "::1": REFUSED}, "load generator: local ports"),
        ([], {"::1": NO_PORT, "127.0.0.1": REFUSED}, "connection refused"),
        ([], {"127.0.0.1": REFUSED, "::1": NO_PORT}, "connection refused"),
        ([], {"127.0.0.1": NO_PORT, "::1": NO_PORT}, "load generator: local ports"),
    ],
    ids=["server gone", "ports gone", "no IPv6, not listening", "not listening, no IPv6", "ports gone at once"],
)
def test_an_address_that_never_answered_does_not_hide_the_error_of_another(
    reactor: Reactor,
    monkeypatch: pytest.MonkeyPatch,
    answered: list[str],
    errors: dict[str, OSError],
    label: str,
) -> None:
    """On a machine without IPv6, connecting to `::1` fails with the error for a lack of local ports."""

    def fail(connection: Connection, address: Address, *_timeouts: float) -> None:
        connection.abort()
        raise UnreachableError.from_os(errors[address.host])

    resolve_to(monkeypatch, *errors)
    monkeypatch.setattr(Connection, "open", fail)
    target = resolve("ws://several.test:80/")
    for address in target.addresses.order():
        if address.host in answered:
            target.addresses.opened(address)
    with pytest.raises(UnreachableError) as raised:
        connect(reactor, target, RecordingReceiver(), timeout=TIMEOUT)
    assert raised.value.label == label


def test_an_ipv6_address_is_used_as_given(reactor: Reactor, start: Callable[..., RunningServer]) -> None:
    server = start("--host", "::1")
    target = resolve(f"ws://[::1]:{server.url.rpartition(':')[2]}/")
    assert connect(reactor, target, RecordingReceiver(), timeout=TIMEOUT).close(TIMEOUT)


def test_connections_are_distributed_over_all_addresses_of_a_name(
    reactor: Reactor, start: Callable[..., RunningServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start("--host", "0.0.0.0")  # noqa: S104 - of this machine's loopback, several addresses
    hosts = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
    resolve_to(monkeypatch, *hosts)
    target = resolve(f"ws://several.test:{server.url.rpartition(':')[2]}/")
    reached = Counter[str]()
    for _ in range(9):
        connection = connect(reactor, target, RecordingReceiver(), timeout=TIMEOUT)
        reached[connection._transport._socket.getpeername()[0]] += 1
    assert reached == dict.fromkeys(hosts, 3)
    assert {use.address: use.connections for use in target.addresses.uses()} == reached


def test_a_connection_fails_when_no_address_answers(reactor: Reactor, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "127.0.0.1", "127.0.0.2")
    target = resolve(f"ws://several.test:{free_port()}/")
    with pytest.raises(UnreachableError, match=r"^connection refused$"):
        connect(reactor, target, RecordingReceiver(), timeout=TIMEOUT)
    assert [use.failures for use in target.addresses.uses()] == [1, 1]
    assert len(reactor) == 0


def test_a_silent_address_does_not_use_up_the_time_of_the_others(
    reactor: Reactor, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with full_backlog(int(server.url.rpartition(":")[2])):
        monkeypatch.setattr("stampede.websocket.connect.ATTEMPT_SECONDS", 0.05)
        resolve_to(monkeypatch, "127.0.0.9", "127.0.0.1")
        target = resolve(f"ws://several.test:{server.url.rpartition(':')[2]}/")
        assert connect(reactor, target, RecordingReceiver(), timeout=TIMEOUT).close(TIMEOUT)
    silent, answers = target.addresses.uses()
    assert (silent.connections, silent.why, answers.connections) == (0, "connect timed out", 1)


class full_backlog:  # noqa: N801 - used as a context manager
    """A listener on 127.0.0.9 with a full queue that accepts nothing: the kernel drops further connects."""

    def __init__(self, port: int) -> None:
        self._sockets = [socket.create_server(("127.0.0.9", port), backlog=0)]
        self._port = port

    def __enter__(self) -> None:
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.9", self._port))
            self._sockets.append(client)

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            one.close()


def test_a_refused_upgrade_is_not_retried_at_the_next_address(
    reactor: Reactor, start: Callable[..., RunningServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start("--host", "0.0.0.0")  # noqa: S104 - of this machine's loopback, several addresses
    resolve_to(monkeypatch, "127.0.0.1", "127.0.0.2")
    target = resolve(f"ws://several.test:{server.url.rpartition(':')[2]}/nowhere")
    with pytest.raises(RefusedError, match="HTTP 404"):
        connect(reactor, target, RecordingReceiver(), timeout=TIMEOUT)
    assert [use.failures for use in target.addresses.uses()] == [0, 0]


def test_a_timeout_in_the_handshake_is_not_retried_at_the_next_address(
    reactor: Reactor, scripted: Callable[..., ScriptedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, "127.0.0.1", "127.0.0.2")
    target = resolve(scripted(hold=True).url.replace("127.0.0.1", "several.test"))
    with pytest.raises(HandshakeError, match=r"^connect timed out$"):
        connect(reactor, target, RecordingReceiver(), timeout=0.05)
    assert [use.failures for use in target.addresses.uses()] == [0, 0]
    assert len(reactor) == 0


# --- whole runs ---


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["one process", "two workers"])
def test_a_run_is_valid_when_the_first_address_refuses(
    locust: Callable[..., Locust],
    server: RunningServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    processes: tuple[str, ...],
) -> None:
    resolve_everywhere(monkeypatch, tmp_path, "localhost", "::1", "127.0.0.1")
    url = server.url.replace("127.0.0.1", "localhost")
    ended = locust("--headless", "--host", url, *FLAGS, *processes).wait()
    assert ended.ended_with(0), ended.out + ended.log
    assert ended.requests()["connect"] == (20, 0)
    assert "1 of 2 addresses loaded: 127.0.0.1 (20 connections)" in ended.out
    assert "::1: connection refused" in ended.out


def test_a_run_loads_and_reports_all_addresses_of_a_name(
    locust: Callable[..., Locust], start: Callable[..., RunningServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start("--host", "0.0.0.0")  # noqa: S104 - of this machine's loopback, several addresses
    resolve_everywhere(monkeypatch, tmp_path, "several.test", "127.0.0.1", "127.0.0.2")
    url = f"ws://several.test:{server.url.rpartition(':')[2]}"
    ended = locust("--headless", "--host", url, *FLAGS, "--processes", "2").wait()
    assert ended.ended_with(0), ended.out + ended.log
    assert "2 of 2 addresses loaded: 127.0.0.1 (10 connections), 127.0.0.2 (10 connections)" in ended.out


def test_a_run_connects_to_the_given_addresses_in_place_of_those_of_the_name(
    locust: Callable[..., Locust], start: Callable[..., RunningServer]
) -> None:
    server = start("--host", "0.0.0.0")  # noqa: S104 - of this machine's loopback, several addresses
    port = server.url.rpartition(":")[2]
    given = ("--host", "ws://chat.invalid", "--connect-to", f"127.0.0.1:{port},127.0.0.2:{port}")
    ended = locust("--headless", *given, *FLAGS, "--processes", "2").wait()
    assert ended.ended_with(0), ended.out + ended.log
    assert "2 of 2 addresses loaded: 127.0.0.1 (10 connections), 127.0.0.2 (10 connections)" in ended.out


def test_an_unknown_name_to_connect_to_ends_in_one_line(locust: Callable[..., Locust]) -> None:
    ended = locust("--headless", "--connect-to", "no.such.host.invalid:80", *FLAGS).wait()
    assert ended.ended_with(2)
    assert "no.such.host.invalid:80: name or service not known" in ended.log


def test_a_single_address_is_not_reported(locust: Callable[..., Locust], server: RunningServer) -> None:
    ended = locust("--headless", "--host", server.url, *FLAGS).wait()
    assert "addresses loaded" not in ended.out
