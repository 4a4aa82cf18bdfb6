"""A WebSocket client for thousands of connections in one gevent process; knows neither Locust nor the chat.

websockets' Sans-I/O protocol does handshake, control frames and close; `server.protocol.frames` splits the received
bytes, so that text never goes through the library's parser. All sockets hang in ONE nested `select.epoll`, itself
watched by one watcher of the hub, whose callback reads whatever is ready. Nothing in that callback may block or switch
greenlets.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import struct
from select import EPOLLIN, EPOLLOUT
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Final

from gevent.event import Event
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from server.protocol.frames import FrameSplitter, masked_text_frame
from stampede.generator_faults import kind_of
from stampede.websocket.handshake import Handshake
from stampede.websocket.sockets import open_socket
from stampede.websocket.target import ConnectError, LostError, TlsError, UnreachableError
from stampede.websocket.tls import Tls

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stampede.websocket.addresses import Address
    from stampede.websocket.headers import Header
    from stampede.websocket.reactor import Reactor
    from stampede.websocket.receiver import Receiver
    from stampede.websocket.target import Target

MAX_MESSAGE_BYTES: Final = 1 << 20
BUFFER_BYTES: Final = 64 * 1024
"""What a connection keeps when the kernel takes no more; a message beyond it is refused to the sender."""

_READ_BYTES: Final = 64 * 1024
_FINAL_TEXT: Final = 0x81
_TWO_BYTES_MORE: Final = 126  # for the length, in the byte that else is the length; RFC 6455, section 5.2
_LONGEST_HEADER: Final = 4
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Connection:
    """One WebSocket connection; `stampede.websocket.connect` makes it.

    Attributes:
        receiver: who gets the messages.
        reached: whether there was a TCP connection.
    """

    __slots__ = (
        "_closed",
        "_failure",
        "_fd",
        "_fragments",
        "_handshake",
        "_pending",
        "_progress",
        "_protocol",
        "_reactor",
        "_simple",
        "_socket",
        "_splitter",
        "_tls",
        "reached",
        "receiver",
    )

    def __init__(
        self, reactor: Reactor, target: Target, address: Address, receiver: Receiver, headers: Sequence[Header]
    ) -> None:
        self.receiver = receiver
        self.reached = False
        self._reactor = reactor
        self._protocol = ClientProtocol(target.uri, max_size=MAX_MESSAGE_BYTES)
        self._splitter = FrameSplitter(masked=False, max_size=MAX_MESSAGE_BYTES)
        self._simple = False  # whether what comes next is the beginning of an unencrypted frame of a message of its own
        self._handshake: Handshake | None = Handshake(self._protocol, headers)  # until it has succeeded
        self._fragments: list[bytes] | None = None
        self._pending = b""
        self._failure: ConnectError | None = None
        self._closed = False
        self._progress: Event | None = None  # set when whoever waits should look again
        self._tls = Tls(target.tls, target.uri.host) if target.tls else None
        self._socket: socket.socket = open_socket(address.family)
        self._fd = self._socket.fileno()

    # --- life ---

    def open(self, address: Address, timeout: float, attempt_timeout: float) -> None:
        """Connect and shake hands in `timeout` seconds at most, and in `attempt_timeout` of them to have TCP's answer.

        Other greenlets run meanwhile.

        Raises:
            ConnectError: with a leaf that says what went wrong.
        """
        code = self._socket.connect_ex(address.sockaddr)
        if code not in (0, errno.EINPROGRESS):
            self._socket.close()
            raise UnreachableError.from_os(OSError(code, os.strerror(code)))
        try:
            self._reactor.add(self._fd, self, EPOLLIN | EPOLLOUT)
        except OSError as error:
            self._socket.close()
            raise UnreachableError.from_os(error) from error
        deadline = monotonic() + timeout
        try:
            answered = self._wait(self._has_answer, attempt_timeout)
            if not answered and self.reached:
                answered = self._wait(self._has_answer, deadline - monotonic())
        except BaseException:
            self.abort()
            raise
        if self._failure is None and not answered:
            self._failure = UnreachableError("connect timed out")
        if self._failure is not None:
            self.abort()
            raise self._failure

    def _has_answer(self) -> bool:
        """Whether the handshake has ended, one way or the other."""
        return self._failure is not None or self._handshake is None

    def _wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Let other greenlets run until `condition` holds or `timeout` seconds are over; return whether it holds."""
        deadline = monotonic() + timeout
        while not condition() and monotonic() < deadline:
            self._progress = Event()
            self._progress.wait(deadline - monotonic())
        self._progress = None
        return condition()

    def _wake(self) -> None:
        if self._progress is not None:
            self._progress.set()

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return not self._closed and self._protocol.state is State.OPEN

    def close(self, timeout: float) -> bool:
        """Say goodbye and wait for the answer, `timeout` seconds at most; return whether it came.

        With it the server has handled all that was sent, and all that it sent before has been received.
        """
        if self.is_open:
            self._protocol.send_close(1000)
            self._flush_protocol()
            self._wait(lambda: self._closed, timeout)
        self.abort()
        return self._protocol.close_rcvd is not None

    def abort(self) -> None:
        """Close the socket at once, without a close frame."""
        if not self._closed:
            self._closed = True
            self._reactor.remove(self._fd)
            self._socket.close()
            self._wake()

    def reset(self) -> None:
        """Vanish like a cut line: the server gets a reset in place of an orderly end."""
        if not self._closed:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.abort()

    # --- sending ---

    @property
    def congested(self) -> bool:
        """Whether the system takes nothing at the moment, so that what is sent now would only wait here."""
        return bool(self._pending)

    def send_text(self, payload: bytes) -> bool:
        """Send a text message without ever blocking; return False when it does not fit into the buffer any more."""
        if len(self._pending) > BUFFER_BYTES or not self.is_open:
            return False
        self._write(masked_text_frame(payload, self._reactor.rng.randbytes(4)))
        return True

    def send_binary(self, payload: bytes) -> None:
        """Send a binary message, however much that keeps in the buffer: wait for `drained` between large ones."""
        if self.is_open:
            self._protocol.send_binary(payload)
            self._flush_protocol()

    def drained(self, timeout: float) -> bool:
        """Wait until the kernel has taken everything, `timeout` seconds at most; return whether it has."""
        self._wait(lambda: not self._pending or self._closed, timeout)
        return not self._pending and not self._closed

    def _flush_protocol(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._write(data)

    def _write(self, data: bytes) -> None:
        if self._tls is not None:
            data = self._tls.encrypt(data)
        self._write_raw(data)

    def _write_raw(self, data: bytes) -> None:
        if self._pending:
            self._pending += data
            return
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:
            written = 0
        except OSError:
            return  # the reading side will notice and say so
        if written < len(data):
            self._pending = data[written:]
            self._reactor.change(self._fd, EPOLLIN | EPOLLOUT)

    def on_writable(self) -> None:
        """Go on with what did not fit; called by the reactor."""
        if not self._pending:
            self._begin()
            return
        try:
            self._pending = self._pending[os.write(self._fd, self._pending) :]
        except BlockingIOError:
            return
        except OSError:
            self._pending = b""
        if not self._pending:
            self._reactor.change(self._fd, EPOLLIN)
            self._wake()
            self.receiver.relieved()

    def _begin(self) -> None:
        """Take the result of the TCP connect, and say hello."""
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(UnreachableError.from_os(OSError(code, os.strerror(code))))
            return
        self.reached = True
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 1)
        self._reactor.change(self._fd, EPOLLIN)
        if self._tls is not None:
            self._advance_tls(b"")
        else:
            self._say_hello()

    def _say_hello(self) -> None:
        if self._handshake is not None:
            self._handshake.begin()
            self._flush_protocol()

    def _fail(self, error: ConnectError) -> None:
        """Give up the handshake; the first cause counts."""
        if self._failure is None:
            self._failure = error
            self._reactor.remove(self._fd)
            self._wake()

    # --- receiving ---

    def on_readable(self) -> bool:
        """Read once and hand on what is complete; return whether there may be more. Called by the reactor."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self._end(error)
            return False
        now = monotonic_ns()
        length = len(data)
        if self._simple and _LONGEST_HEADER < length < _READ_BYTES and data[0] == _FINAL_TEXT:
            # One whole text frame is what nearly every read brings. All of it stands here: thousands of connections
            # are cold, and each further object that is looked at is waited for.
            size, start = data[1], 2
            if size == _TWO_BYTES_MORE:
                size, start = data[2] << 8 | data[3], 4
            if size + start == length and data[1] <= _TWO_BYTES_MORE:
                self.receiver.take(data[start:], now)
                return True
        self._take(data, now)
        if length == _READ_BYTES:
            self._reactor.change(self._fd, EPOLLIN | EPOLLOUT if self._pending else EPOLLIN)
        return True

    def _take(self, data: bytes, now: int) -> None:
        """Hand on what is complete, whatever came."""
        if not data:
            self._end(None)
            return
        if self._tls is not None:
            data = self._advance_tls(data)
        if self._handshake is not None:
            data = self._shake(self._handshake, data)
        if not data:
            return
        take = self.receiver.take
        for item in self._splitter.split(data):
            if item.__class__ is bytes:
                take(item, now)
            else:
                self._judge(item, now)
            if self._closed:
                return
        self._simple = self._tls is None and self._splitter.is_idle

    def _advance_tls(self, data: bytes) -> bytes:
        tls = self._tls
        assert tls is not None  # noqa: S101 # both callers have looked
        was_open = tls.open
        try:
            plain = tls.feed(data)
        except ssl.SSLCertVerificationError as error:
            text = f"certificate not trusted: {error.verify_message}"
            self._fail(TlsError("certificate not trusted", text, kind_of(error)))
            return b""
        except ssl.SSLError as error:
            if was_open:
                self._finish()
                return b""
            self._fail(TlsError("TLS handshake failed", f"TLS handshake failed: {error.reason}"))
            return b""
        out = tls.outgoing()
        if out:
            self._write_raw(out)
        if tls.open and not was_open:
            self._say_hello()
        return plain

    def _shake(self, handshake: Handshake, data: bytes) -> bytes:
        """Go on with the handshake; return the bytes of frames that came with its end."""
        try:
            data = handshake.take(data)
        except ConnectError as error:
            self._fail(error)
            return b""
        if handshake.done:
            self._handshake = None
            self._wake()
        return data

    def _judge(self, frame: bytes, now: int) -> None:
        """Let the protocol deal with everything that is not a plain text frame."""
        protocol = self._protocol
        protocol.receive_data(frame)
        for event in protocol.events_received():
            if isinstance(event, Frame):
                self._reassemble(event, now)
        self._flush_protocol()
        if protocol.close_rcvd is not None or protocol.parser_exc is not None:
            self._finish()

    def _reassemble(self, frame: Frame, now: int) -> None:
        if frame.opcode is Opcode.TEXT:
            self._fragments = []
        if frame.opcode not in (Opcode.TEXT, Opcode.CONT) or self._fragments is None:
            return
        self._fragments.append(bytes(frame.data))
        if frame.fin:
            payload = b"".join(self._fragments)
            self._fragments = None
            self.receiver.take(payload, now)

    def _end(self, error: OSError | None) -> None:
        """React to the end of the stream."""
        if self._handshake is None:
            self._finish()
        elif error is not None:
            self._fail(UnreachableError.from_os(error))
        else:
            try:
                self._handshake.end()
            except ConnectError as problem:
                self._fail(problem)

    def _finish(self) -> None:
        """Close, and tell the receiver unless it was our own goodbye that has been answered."""
        protocol = self._protocol
        self.abort()
        if protocol.parser_exc is not None:
            self.receiver.lost(LostError(1002, f"the server broke the protocol: {protocol.parser_exc}"))
        elif protocol.close_rcvd is None:
            self.receiver.lost(LostError(1006))
        elif protocol.close_rcvd_then_sent:
            self.receiver.lost(LostError(protocol.close_rcvd.code, protocol.close_rcvd.reason))
