"""Bind sockets to all addresses of a host, IPv4 and IPv6, on one port."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import Final

from server.errors import SettingsError

_ATTEMPTS: Final = 20
"""Attempts to find a port that is free on all addresses of a host."""

_NO_SUCH_ADDRESS: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
ACCEPTS: Final = 16
"""Connections that one iteration of the event loop can accept on one address."""

_ALL: Final = "::"
_ALL_IPV4: Final = "0.0.0.0"  # noqa: S104 - the meaning of an empty host where IPv6 is missing

Address = tuple[int, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]
"""Address family, and the argument of `socket.bind`."""


def bind(host: str, port: int, *, reuse_port: bool = False) -> list[socket.socket]:
    """Bind a socket to each address of a host, all on one port. The sockets do not listen yet.

    The host `::` means every address, including IPv4. An empty host means the same and also works without IPv6.

    Args:
        host: name or address.
        port: port number; 0: any port that is free on all addresses.
        reuse_port: set SO_REUSEPORT, so that other processes can bind the same port.

    Raises:
        SettingsError: the host has no address on this machine, or the port is in use.
    """
    try:
        addresses = _addresses(host, port)
        for _ in range(_ATTEMPTS - 1):
            try:
                return _bind_all(addresses, port, reuse_port=reuse_port)
            except OSError as error:
                if port or error.errno != errno.EADDRINUSE:
                    raise
        return _bind_all(addresses, port, reuse_port=reuse_port)
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"cannot listen on {bracket_ipv6(host)}:{port}: {error_text(error)}") from None


def acceptors(bound: socket.socket) -> list[socket.socket]:
    """Return a bound socket and up to `ACCEPTS` - 1 others on its address; the kernel spreads connections over them.

    libuv accepts one connection from a socket in an iteration of the event loop. With one socket, each connection of a
    storm costs an iteration of its own, and a server whose iterations take 50 ms accepts 20 clients per second.
    """
    address = bound.getsockname()
    sockets = [bound]
    with contextlib.suppress(OSError):  # some systems do not support it
        # Only now: the first socket must not share its port with another process.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        while len(sockets) < ACCEPTS:
            sockets.append(_bind(bound.family, address, reuse_port=True))
    return sockets


def url_host(host: str, bound: socket.socket) -> str:
    """Return the host for the URL of a bound socket."""
    return bracket_ipv6(host or str(bound.getsockname()[0]))


def bracket_ipv6(host: str) -> str:
    """Return a host as written in a URL: an IPv6 address in brackets, its zone escaped (RFC 6874)."""
    return f"[{host.replace('%', '%25')}]" if ":" in host else host


def _addresses(host: str, port: int) -> list[Address]:
    if not host:
        return [(socket.AF_INET6, (_ALL, port)), (socket.AF_INET, (_ALL_IPV4, port))]
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _bind_all(addresses: list[Address], port: int, *, reuse_port: bool) -> list[socket.socket]:
    """Bind to those addresses that this machine has; all use the port of the first one.

    Raises:
        OSError: the machine has none of the addresses, or the port is in use on one of them.
    """
    with contextlib.ExitStack() as stack:
        sockets: list[socket.socket] = []
        missing: OSError | None = None
        for family, address in addresses:
            try:
                sockets.append(stack.enter_context(_bind(family, (address[0], port, *address[2:]), reuse_port)))
            except OSError as error:
                if error.errno not in _NO_SUCH_ADDRESS:
                    raise
                missing = missing or error
                continue
            port = sockets[0].getsockname()[1]
            if address[0] == _ALL and _accepts_ipv4(sockets[-1]):
                break  # this socket accepts IPv4 too
        if missing is not None and not sockets:
            raise missing
        stack.pop_all()
        return sockets


def _bind(family: int, address: tuple[object, ...], reuse_port: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT must not block the port
        if reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            with contextlib.suppress(OSError):  # some systems do not support it
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != _ALL))
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _accepts_ipv4(bound: socket.socket) -> bool:
    return bound.family == socket.AF_INET6 and not bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def error_text(error: OSError | UnicodeError) -> str:
    """Return the operating system's message; errors of name resolution have negative numbers and carry theirs."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"{os.strerror(error.errno).lower()}; choose another port"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower() if error.errno > 0 else str(error.strerror)
    return str(error)
