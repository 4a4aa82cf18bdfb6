"""Sockets of the load generator, as many as this machine allows."""

from __future__ import annotations

import errno
import os
import resource
from typing import TYPE_CHECKING, Final

from gevent.monkey import get_original

from stampede.websocket.target import UnreachableError

if TYPE_CHECKING:
    import socket

RESERVED_FILES: Final = 32
"""Descriptors that connections leave to Locust's pages, to reports and to files: without them nothing could be told."""


def open_socket(family: int) -> socket.socket:
    """Return a non-blocking TCP socket.

    The system hands out the lowest free descriptor, so a high number means that nearly all of them are in use.

    Raises:
        UnreachableError: this machine allows no further one; its `fault` says why.
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
