"""Connections begin at ports from all over the system's range, and fall back to any free one."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest

from stampede.websocket import local_ports
from stampede.websocket.addresses import Address
from stampede.websocket.sockets import begin_connect, open_socket

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@pytest.fixture(params=HOSTS)
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """Return a listening socket of each address family."""
    with socket.create_server((HOSTS[request.param], 0), family=request.param, backlog=512) as server:
        yield server


def connected(listener: socket.socket) -> socket.socket:
    """Return a socket that has connected to the listener."""
    made = open_socket(listener.family)
    begin_connect(made, Address(listener.family, listener.getsockname()))
    listener.accept()[0].close()
    return made


def test_ports_come_from_the_whole_range_odd_ones_too(listener: socket.socket) -> None:
    """Without a window, the kernel takes every second port until these are used up."""
    made = [connected(listener) for _ in range(64)]
    ports = {one.getsockname()[1] for one in made}
    for one in made:
        one.close()

    assert len(ports) == 64
    assert len({port % 2 for port in ports}) == 2
    assert max(ports) - min(ports) > 10 * local_ports.WINDOW_PORTS


def test_a_full_window_does_not_fail_the_connect(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """All sockets are sent to the same port, which only the first one can have."""
    with socket.socket(listener.family) as free:
        free.bind((HOSTS[listener.family], 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(local_ports, "WINDOW_PORTS", 1)
    monkeypatch.setattr(local_ports, "_system_range", lambda: (port, port + 1))
    monkeypatch.setattr(local_ports, "_rng", _LowestFirst())

    made = [connected(listener) for _ in range(3)]
    ports = [one.getsockname()[1] for one in made]
    for one in made:
        one.close()

    assert ports[0] == port
    assert len(set(ports)) == 3


def test_a_small_range_is_not_divided(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of the whole range would change nothing."""
    monkeypatch.setattr(local_ports, "_system_range", lambda: (40_000, 40_000 + local_ports.WINDOW_PORTS - 1))

    with open_socket(listener.family) as made:
        assert not local_ports.restrict(made)


@pytest.mark.parametrize("name", ["_system_range", "_set_range"])
def test_a_system_without_the_option_chooses_the_port(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Linux before 6.3 refuses the option; a container may lack /proc/sys."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOPROTOOPT, "refused")

    monkeypatch.setattr(local_ports, name, refuse)

    with connected(listener) as made:
        assert made.getsockname()[1] > 0


class _LowestFirst:
    def randint(self, lowest: int, _highest: int) -> int:
        """Return the lowest number."""
        return lowest
