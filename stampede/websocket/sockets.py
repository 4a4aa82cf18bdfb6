"""Opening the sockets of the load generator, within the limits of this machine."""

from __future__ import annotations

import errno
import os
import resource
import socket
import struct
from typing import TYPE_CHECKING, Final

from gevent.monkey import get_original

from stampede.websocket import local_ports
from stampede.websocket.errors import UnreachableError

if TYPE_CHECKING:
    from stampede.websocket.addresses import Address

RESERVED_FILES: Final = 32
"""Descriptors left to Locust's web page, to reports and to files, so that the results of a run can be written."""

_NO_LINGER: Final = struct.pack("ii", 1, 0)  # of SO_LINGER: discard what is unsent, and reset


def open_socket(family: int) -> socket.socket:
    """Return a non-blocking TCP socket.

    The system assigns the lowest free descriptor, so a high number means that nearly all are in use.

    Raises:
        UnreachableError: this machine allows no further socket; its `fault` names the limit.
    """
    try:
        made: socket.socket = get_original("socket", "socket")(family)
    except OSError as error:
        raise UnreachableError.from_os(error) from error
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and made.fileno() >= limit - RESERVED_FILES:
        made.close()
        raise UnreachableError.from_os(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
    made.setblocking(False)
    return made


def begin_connect(opened: socket.socket, address: Address) -> None:
    """Begin a TCP connect.

    Raises:
        OSError: it failed at once.
    """
    is_restricted = local_ports.restrict(opened)
    code = opened.connect_ex(address.sockaddr)
    if code == errno.EADDRNOTAVAIL and is_restricted:
        local_ports.unrestrict(opened)
        code = opened.connect_ex(address.sockaddr)
    if code not in (0, errno.EINPROGRESS):
        raise OSError(code, os.strerror(code))


def reset_on_close(opened: socket.socket) -> None:
    """Let the close of a socket send a TCP reset, as when the network is cut."""
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
