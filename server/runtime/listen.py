"""Sockets to listen on: IPv4 and IPv6 alike, all addresses of a host on one port."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import Final

from server.errors import SettingsError

_ATTEMPTS: Final = 20
"""How often to look for a port that is free on all addresses of a host."""

_NO_SUCH_ADDRESS: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_ALL: Final = "::"
_ALL_IPV4: Final = "0.0.0.0"  # noqa: S104 - what a person asks for with an empty host, where there is no IPv6

Address = tuple[int, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]
"""Family, and what `bind` takes."""


def bind(host: str, port: int, *, reuse_port: bool = False) -> list[socket.socket]:
    """Bind a socket to each address of a host, all on one port; none listens yet.

    `::` is every address, those of IPv4 included; an empty host is the same, and works without IPv6, too.

    Args:
        host: name or address.
        port: 0: any that is free on all addresses.
        reuse_port: whether others may bind the same port with this option.

    Raises:
        SettingsError: the host has no address here, or the port is taken.
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


def url_host(host: str, bound: socket.socket) -> str:
    """Return a host as it stands in a URL, by which clients reach a socket that was bound for it."""
    return bracket_ipv6(host or str(bound.getsockname()[0]))


def bracket_ipv6(host: str) -> str:
    """Return a host as it stands in a URL: an address of IPv6 in brackets, its zone escaped (RFC 6874)."""
    return f"[{host.replace('%', '%25')}]" if ":" in host else host


def _addresses(host: str, port: int) -> list[Address]:
    if not host:
        return [(socket.AF_INET6, (_ALL, port)), (socket.AF_INET, (_ALL_IPV4, port))]
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _bind_all(addresses: list[Address], port: int, *, reuse_port: bool) -> list[socket.socket]:
    """Bind to those addresses that this machine has; the first decides on the port.

    Raises:
        OSError: it has none of them, or the port is taken on one.
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
            if address[0] == _ALL and _takes_ipv4(sockets[-1]):
                break  # what follows is included
        if missing is not None and not sockets:
            raise missing
        stack.pop_all()
        return sockets


def _bind(family: int, address: tuple[object, ...], reuse_port: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT do not keep the port
        if reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            with contextlib.suppress(OSError):  # some systems keep the two apart
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != _ALL))
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _takes_ipv4(bound: socket.socket) -> bool:
    return bound.family == socket.AF_INET6 and not bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def error_text(error: OSError | UnicodeError) -> str:
    """Return the system's own words; a name that cannot be looked up has a number of its own."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower() if error.errno > 0 else str(error.strerror)
    return str(error)
