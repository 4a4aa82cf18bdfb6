"""The write buffer of a socket."""

from __future__ import annotations

import os
from select import EPOLLIN, EPOLLOUT
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stampede.websocket.reactor import Reactor


class WriteBuffer:
    """Writes to a non-blocking socket, and keeps the bytes that the kernel does not take."""

    __slots__ = ("_fd", "_pending", "_reactor")

    def __init__(self, fd: int, reactor: Reactor) -> None:
        self._fd = fd
        self._reactor = reactor
        self._pending = b""

    def __len__(self) -> int:
        """Return the number of bytes that wait."""
        return len(self._pending)

    @property
    def events(self) -> int:
        """The events that the connection must watch."""
        return EPOLLIN | EPOLLOUT if self._pending else EPOLLIN

    def write(self, data: bytes) -> None:
        """Write bytes, or append them to those that wait."""
        if self._pending:
            self._pending += data
            return
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:
            written = 0
        except OSError:
            return  # reading reports the error
        if written < len(data):
            self._pending = data[written:]
            self._reactor.change(self._fd, self.events)

    def flush(self) -> bool:
        """Write what waits; return whether this has emptied the buffer."""
        try:
            self._pending = self._pending[os.write(self._fd, self._pending) :]
        except BlockingIOError:
            return False
        except OSError:
            self._pending = b""  # reading reports the error
        if self._pending:
            return False
        self._reactor.change(self._fd, self.events)
        return True
