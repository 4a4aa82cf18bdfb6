"""The transport of a connection: a TCP socket that the reactor watches, with TLS if the target requires it."""

from __future__ import annotations

import os
import socket
from select import EPOLLIN, EPOLLOUT
from typing import TYPE_CHECKING

from stampede.websocket.errors import UnreachableError
from stampede.websocket.sockets import begin_connect, open_socket, reset_on_close
from stampede.websocket.tls import TlsSession
from stampede.websocket.write_buffer import WriteBuffer

if TYPE_CHECKING:
    from stampede.websocket.addresses import Address
    from stampede.websocket.reactor import Reactor, Watched
    from stampede.websocket.target import Target


class Transport:
    """One TCP connection.

    Attributes:
        fd: descriptor of the socket.
        tls: the TLS session; None without TLS.
        write_buffer: bytes that the kernel has not taken yet.
    """

    __slots__ = ("_reactor", "_socket", "fd", "tls", "write_buffer")

    def __init__(self, reactor: Reactor, target: Target, address: Address) -> None:
        self._reactor = reactor
        self._socket: socket.socket = open_socket(address.family)
        self.fd = self._socket.fileno()
        self.write_buffer = WriteBuffer(self.fd, reactor)
        self.tls = TlsSession(target.tls, target.uri.host) if target.tls else None

    def connect(self, address: Address, watched: Watched) -> None:
        """Start the TCP connect; `watched` is called when it has ended.

        Raises:
            UnreachableError: it cannot be started.
        """
        try:
            begin_connect(self._socket, address)
            self._reactor.add(self.fd, watched, EPOLLIN | EPOLLOUT)
        except OSError as error:
            raise UnreachableError.from_os(error) from error

    def complete_connect(self) -> None:
        """Handle the end of the TCP connect.

        Raises:
            UnreachableError: it failed.
        """
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise UnreachableError.from_os(OSError(code, os.strerror(code)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 1)
        self._reactor.change(self.fd, EPOLLIN)

    def write(self, data: bytes) -> None:
        """Write bytes, encrypted if there is TLS; keep what the kernel does not take."""
        self.write_buffer.write(data if self.tls is None else self.tls.encrypt(data))

    def decrypt(self, data: bytes) -> bytes:
        """Return the plain text of received bytes, and send what the TLS session itself must send.

        Raises:
            ssl.SSLError: the TLS handshake failed, or the stream was tampered with.
        """
        if self.tls is None:
            return data
        plain = self.tls.decrypt(data)
        answer = self.tls.data_to_send()
        if answer:
            self.write_buffer.write(answer)
        return plain

    def ignore(self) -> None:
        """Let the reactor report nothing more."""
        self._reactor.remove(self.fd)

    def close(self) -> None:
        """Close the socket."""
        self._reactor.remove(self.fd)
        self._socket.close()

    def reset_on_close(self) -> None:
        """Let `close` send a TCP reset, as when the network is cut."""
        reset_on_close(self._socket)
