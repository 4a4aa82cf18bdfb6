"""Find the processes on this machine that listen at the address of a server."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from typing import Final
from urllib.parse import urlsplit

import psutil

_ANY: Final = frozenset({"0.0.0.0", "::", "*"})  # noqa: S104 - compared with, never bound to


def port_of(url: str) -> int:
    """Return the port of a WebSocket URL."""
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "wss" else 80)


def is_on_this_machine(url: str) -> bool:
    """Return whether the address of a WebSocket URL belongs to this machine."""
    own = {one.address.partition("%")[0] for found in psutil.net_if_addrs().values() for one in found}
    return any(address in own or ipaddress.ip_address(address).is_loopback for address in _addresses(url))


def find_listening(url: str) -> list[psutil.Process]:
    """Return the processes that listen at a WebSocket URL, each as the topmost one that has its socket.

    A master process that shares its socket with its children therefore stands for all of them. The list is empty if
    the server runs on another machine, or if this user may not see its process.
    """
    if not is_on_this_machine(url):
        return []
    addresses, port = _addresses(url), port_of(url)
    found: dict[int, psutil.Process] = {}
    with contextlib.suppress(psutil.Error):
        for one in psutil.net_connections("tcp"):  # names only one of the processes that share a socket
            if one.pid is None or one.status != psutil.CONN_LISTEN or not one.laddr or one.laddr.port != port:
                continue
            if one.laddr.ip in _ANY or one.laddr.ip.removeprefix("::ffff:") in addresses:
                top = _topmost(psutil.Process(one.pid), port)
                found[top.pid] = top
    return list(found.values())


def listens_at(process: psutil.Process, port: int) -> bool:
    """Return whether a process has a socket that listens at a port, as far as this user may see it."""
    with contextlib.suppress(psutil.Error):
        sockets = process.net_connections("tcp")
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in sockets)
    return False


def _topmost(process: psutil.Process, port: int) -> psutil.Process:
    """Return the topmost ancestor that has the listening socket, too."""
    while (parent := process.parent()) is not None and listens_at(parent, port):
        process = parent
    return process


def _addresses(url: str) -> set[str]:
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(urlsplit(url).hostname or "", port_of(url), type=socket.SOCK_STREAM)
        return {str(address[0]).partition("%")[0] for *_, address in found}
    return set()
