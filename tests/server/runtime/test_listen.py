"""The addresses and the port that a host is bound to, and the conditions under which the port is in use."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import uvloop

from server.errors import SettingsError
from server.runtime.listen import ACCEPTS, acceptors, bind, bracket_ipv6
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ANY = "0.0.0.0"  # noqa: S104 - the case under test
IPV4, IPV6 = "127.0.0.1", "::1"


@pytest.fixture
def bound(request: pytest.FixtureRequest) -> Iterator[list[socket.socket]]:
    """Listening sockets of a host."""
    sockets = bind(request.param, 0)
    for each in sockets:
        each.listen()
    yield sockets
    for each in sockets:
        each.close()


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """What a test opens."""
    with ExitStack() as stack:
        yield stack


def reachable(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        return probe.connect_ex((address, port)) == 0


def addresses_of(*answers: str) -> object:
    """Return a fake resolver for a name with several addresses."""

    def resolve(_host: str, port: int, **_: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        families = [socket.AF_INET6 if ":" in answer else socket.AF_INET for answer in answers]
        return [
            (family, socket.SOCK_STREAM, 6, "", (answer, port))
            for family, answer in zip(families, answers, strict=True)
        ]

    return resolve


@pytest.mark.parametrize(
    ("bound", "reached"),
    [(IPV4, {IPV4}), (ANY, {IPV4}), (IPV6, {IPV6}), ("::", {IPV4, IPV6}), ("", {IPV4, IPV6})],
    indirect=["bound"],
)
def test_a_host_is_reachable_at_all_its_addresses(bound: list[socket.socket], reached: set[str]) -> None:
    (port,) = {each.getsockname()[1] for each in bound}
    assert {address for address in (IPV4, IPV6) if reachable(address, port)} == reached


def test_all_addresses_of_a_name_share_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", addresses_of(IPV6, IPV4, IPV4))
    sockets = bind("a-name", 0)
    assert [each.getsockname()[0] for each in sockets] == [IPV6, IPV4]
    assert len({each.getsockname()[1] for each in sockets}) == 1
    for each in sockets:
        each.close()


def test_an_address_that_this_machine_lacks_is_skipped_if_there_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", addresses_of("2001:db8::1", IPV4))
    (only,) = bind("a-name", 0)
    assert only.getsockname()[0] == IPV4
    only.close()
    monkeypatch.setattr(socket, "getaddrinfo", addresses_of("2001:db8::1"))
    with pytest.raises(SettingsError, match="cannot listen on a-name:0: cannot assign requested address"):
        bind("a-name", 0)


def test_an_empty_host_works_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ipv4Only(socket.socket):
        def __init__(self, family: int, kind: int) -> None:
            if family == socket.AF_INET6:
                raise OSError(97, "Address family not supported by protocol")
            super().__init__(family, kind)

    monkeypatch.setattr(socket, "socket", Ipv4Only)
    (only,) = bind("", 0)
    assert only.getsockname()[0] == ANY
    only.close()


def test_a_port_in_use_on_one_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((IPV4, 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(socket, "getaddrinfo", addresses_of(IPV6, IPV4))
        with pytest.raises(SettingsError, match=f"cannot listen on a-name:{port}: address already in use"):
            bind("a-name", port)


@pytest.mark.parametrize("reuse_port", [False, True])
def test_connections_in_time_wait_do_not_block_the_port(reuse_port: bool) -> None:
    port = free_port()
    (first,) = bind(IPV4, port)
    first.listen()
    with socket.create_connection((IPV4, port)) as client:
        accepted, _ = first.accept()
        accepted.close()  # the side that closes first stays in TIME_WAIT
        assert client.recv(1) == b""
    first.close()
    (second,) = bind(IPV4, port, reuse_port=reuse_port)
    second.close()


@pytest.mark.parametrize(
    ("host", "shown"), [(IPV4, IPV4), ("a.name", "a.name"), (IPV6, "[::1]"), ("fe80::1%eth0", "[fe80::1%25eth0]")]
)
def test_a_host_is_written_in_a_url_with_brackets_and_an_escaped_zone(host: str, shown: str) -> None:
    assert bracket_ipv6(host) == shown


def test_the_port_of_several_acceptors_is_in_use_for_other_processes(closing: ExitStack) -> None:
    sockets = acceptors(bind(IPV4, 0)[0])
    assert len(sockets) == ACCEPTS
    for each in sockets:
        closing.enter_context(each).listen()
    address, port = sockets[0].getsockname()
    with pytest.raises(SettingsError, match="address already in use"):
        bind(address, port)


def test_all_acceptors_belong_to_the_group_of_the_workers_of_a_port(closing: ExitStack) -> None:
    first = bind(IPV4, 0, reuse_port=True)
    second = bind(IPV4, first[0].getsockname()[1], reuse_port=True)
    for each in (*acceptors(first[0]), *acceptors(second[0])):
        closing.enter_context(each).listen()


def test_one_iteration_of_the_event_loop_accepts_many_connections(closing: ExitStack) -> None:
    clients = 20 * ACCEPTS
    sockets = acceptors(bind(IPV4, 0)[0])

    async def accepted_by_iteration() -> list[int]:
        loop = asyncio.get_running_loop()
        accepted = 0

        def accept() -> asyncio.Protocol:
            nonlocal accepted
            accepted += 1
            return asyncio.Protocol()

        for each in sockets:
            closing.callback((await loop.create_server(accept, sock=each, backlog=clients)).close)
        for _ in range(clients):
            closing.enter_context(socket.create_connection(sockets[0].getsockname()))
        counts = [accepted]
        while accepted < clients:
            await asyncio.sleep(0)
            counts.append(accepted)
        closing.close()
        return counts

    counts = uvloop.run(accepted_by_iteration())
    # The kernel chooses a socket by a hash of the addresses: with 320 clients each has some.
    assert max(after - before for before, after in pairwise(counts)) == ACCEPTS
