"""A WebSocket client connection for thousands in one gevent process, independent of Locust and the chat.

websockets' Sans-I/O protocol does the handshake, control frames and the close handshake. `stampede.websocket.frames`
splits the received bytes, so text messages do not go through the library's parser. The reactor watches all sockets and
calls `on_readable` and `on_writable` in gevent's hub. Nothing in these callbacks may block or switch greenlets.

The opening of a connection is a chain of four steps: `open` starts the TCP connect, `_tcp_connected` starts TLS or
sends the upgrade request, `_receive_tls` does the TLS handshake, `_receive_response` reads the HTTP response.
"""

from __future__ import annotations

import os
import socket
import ssl
from select import EPOLLIN, EPOLLOUT
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Final

from gevent.event import Event
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from stampede.generator_faults import kind_of
from stampede.websocket.errors import ConnectError, HandshakeError, LostError, TlsError, UnreachableError
from stampede.websocket.frames import FrameSplitter, masked_binary_frame, masked_text_frame
from stampede.websocket.handshake import Handshake
from stampede.websocket.sockets import begin_connect, open_socket, reset_on_close
from stampede.websocket.state import CLOSED, CLOSING, CONNECTING, HANDSHAKE, OPEN
from stampede.websocket.tls import TlsSession
from stampede.websocket.write_buffer import WriteBuffer

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.websocket.addresses import Address
    from stampede.websocket.reactor import Reactor
    from stampede.websocket.receiver import Receiver
    from stampede.websocket.target import Target

MAX_MESSAGE_BYTES: Final = 1 << 20
MAX_BUFFERED_BYTES: Final = 64 * 1024
"""Bytes in the write buffer above which `send_message` refuses a message."""

_READ_BYTES: Final = 64 * 1024
_FINAL_TEXT: Final = 0x81  # first byte of a text frame that is a whole message
_LENGTH_16: Final = 126  # the length is in the next two bytes; RFC 6455, section 5.2
_MAX_HEADER: Final = 4


class Connection:
    """One WebSocket connection, created by `stampede.websocket.connect`.

    Attributes:
        receiver: the owner, which gets the messages.
        address: label of the address of the server, see `Addresses`.
        ignored: how many binary messages were ignored, because the target does not receive them.
    """

    __slots__ = (
        "_encode_frame",
        "_failure",
        "_fd",
        "_fragments",
        "_handshake",
        "_progress",
        "_protocol",
        "_reactor",
        "_receives_binary",
        "_socket",
        "_splitter",
        "_state",
        "_tls",
        "_whole_frames",
        "_write_buffer",
        "address",
        "ignored",
        "receiver",
    )

    def __init__(self, reactor: Reactor, target: Target, address: Address, receiver: Receiver) -> None:
        self.receiver = receiver
        self.address = target.addresses.label(address)
        self.ignored = 0
        self._state = CONNECTING
        self._reactor = reactor
        offered = [Subprotocol(name) for name in target.subprotocols]
        self._protocol = ClientProtocol(target.uri, subprotocols=offered or None, max_size=MAX_MESSAGE_BYTES)
        self._receives_binary = target.receives_binary
        self._splitter = FrameSplitter(masked=False, max_size=MAX_MESSAGE_BYTES, binary=target.receives_binary)
        self._encode_frame = masked_binary_frame if target.sends_binary else masked_text_frame
        # Whether the next bytes begin an unencrypted frame, outside a fragmented message. This is a position in the
        # stream, not a state of the connection. Each read checks it, and a call of the splitter would cost more.
        self._whole_frames = False
        self._handshake: Handshake | None = Handshake(self._protocol, target.headers)  # until it has succeeded
        self._fragments: list[bytes] | None = None  # of a fragmented message
        self._failure: ConnectError | None = None  # why the connection could not be opened
        self._progress: Event | None = None  # set when a waiting greenlet must check its condition
        self._tls = TlsSession(target.tls, target.uri.host) if target.tls else None
        self._socket: socket.socket = open_socket(address.family)
        self._fd = self._socket.fileno()
        self._write_buffer = WriteBuffer(self._fd, reactor)

    # --- opening ---

    def open(self, address: Address, timeout: float, attempt_timeout: float) -> None:
        """Connect, and do the handshakes of TLS and WebSocket. Other greenlets run meanwhile.

        Args:
            address: where to connect.
            timeout: seconds for everything.
            attempt_timeout: seconds for the TCP connect.

        Raises:
            ConnectError: the connection was not opened; the subclass names the reason.
        """
        try:
            begin_connect(self._socket, address)
            self._reactor.add(self._fd, self, EPOLLIN | EPOLLOUT)
        except OSError as error:
            self.abort()
            raise UnreachableError.from_os(error) from error
        deadline = monotonic() + timeout
        try:
            ended = self._wait(self._opening_ended, attempt_timeout)
            if not ended and self._state is HANDSHAKE:
                ended = self._wait(self._opening_ended, deadline - monotonic())
        except BaseException:
            self.abort()
            raise
        if self._failure is None and not ended:
            kind = UnreachableError if self._state is CONNECTING else HandshakeError
            self._failure = kind("connect timed out")
        if self._failure is not None:
            self.abort()
            raise self._failure

    def _opening_ended(self) -> bool:
        return self._failure is not None or self._handshake is None  # an opened connection may be CLOSED already

    def _tcp_connected(self) -> None:
        """Handle the result of the TCP connect, then start the TLS handshake or send the upgrade request."""
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(UnreachableError.from_os(OSError(code, os.strerror(code))))
            return
        self._state = HANDSHAKE
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 1)
        self._reactor.change(self._fd, EPOLLIN)
        if self._tls is not None:
            self._receive_tls(self._tls, b"")
        else:
            self._send_request()

    def _send_request(self) -> None:
        if self._handshake is not None:
            self._handshake.send_request()
            self._send_protocol_data()

    def _receive_tls(self, tls: TlsSession, data: bytes) -> bytes:
        """Handle encrypted bytes; return their plain text."""
        was_established = tls.established
        try:
            plain = tls.decrypt(data)
        except ssl.SSLCertVerificationError as error:
            text = f"certificate not trusted: {error.verify_message}"
            self._fail(TlsError("certificate not trusted", text, kind_of(error)))
            return b""
        except ssl.SSLError as error:
            if was_established:
                self._finish()
                return b""
            self._fail(TlsError("TLS handshake failed", f"TLS handshake failed: {error.reason}"))
            return b""
        answer = tls.data_to_send()
        if answer:
            self._write_buffer.write(answer)
        if tls.established and not was_established:
            self._send_request()
        return plain

    def _receive_response(self, handshake: Handshake, data: bytes) -> bytes:
        """Handle bytes of the HTTP response; return the bytes of frames that follow it."""
        try:
            data = handshake.receive_data(data)
        except ConnectError as error:
            self._fail(error)
            return b""
        if handshake.succeeded:
            self._handshake = None
            self._state = OPEN
            self._wake()
        return data

    def _fail(self, error: ConnectError) -> None:
        """Give up opening the connection. The first error counts."""
        if self._failure is None:
            self._failure = error
            self._reactor.remove(self._fd)
            self._wake()

    # --- waiting ---

    def _wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Let other greenlets run until `condition` holds, `timeout` seconds at most; return whether it holds."""
        deadline = monotonic() + timeout
        while not condition() and monotonic() < deadline:
            self._progress = Event()
            self._progress.wait(deadline - monotonic())
        self._progress = None
        return condition()

    def _wake(self) -> None:
        if self._progress is not None:
            self._progress.set()

    # --- closing ---

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._state is OPEN

    def close(self, timeout: float) -> bool:
        """Do the close handshake, `timeout` seconds at most; return whether the server's close frame arrived.

        If it did, the server has handled everything sent before, and everything that it sent has been received.
        """
        if self._state is OPEN:
            self._state = CLOSING
            self._protocol.send_close(1000)
            self._send_protocol_data()
            self._wait(lambda: self._state is CLOSED, timeout)
        self.abort()
        return self._protocol.close_rcvd is not None

    def abort(self) -> None:
        """Close the socket without a close handshake."""
        if self._state is not CLOSED:
            self._state = CLOSED
            self._reactor.remove(self._fd)
            self._socket.close()
            self._wake()

    def reset(self) -> None:
        """Close the socket with a TCP reset, as when the network is cut."""
        if self._state is not CLOSED:
            reset_on_close(self._socket)
            self.abort()

    def _end(self, error: OSError | None) -> None:
        """Handle the end of the stream."""
        if self._handshake is None:
            self._finish()
        elif error is not None:
            self._fail(HandshakeError.from_os(error))
        else:
            try:
                self._handshake.receive_eof()
            except ConnectError as problem:
                self._fail(problem)

    def _finish(self) -> None:
        """Close the socket, and notify the receiver unless this is the end of our own close handshake."""
        protocol = self._protocol
        self.abort()
        if protocol.parser_exc is not None:
            self.receiver.connection_lost(LostError(1002, f"protocol error of the server: {protocol.parser_exc}"))
        elif protocol.close_rcvd is None:
            self.receiver.connection_lost(LostError(1006))
        elif protocol.close_rcvd_then_sent:
            self.receiver.connection_lost(LostError(protocol.close_rcvd.code, protocol.close_rcvd.reason))

    # --- sending ---

    @property
    def congested(self) -> bool:
        """Whether bytes wait in the write buffer, because the kernel accepts no more at the moment."""
        return bool(self._write_buffer)

    def send_message(self, payload: bytes) -> bool:
        """Send a message without blocking; return False when the write buffer is full."""
        if len(self._write_buffer) > MAX_BUFFERED_BYTES or self._state is not OPEN:
            return False
        self._write(self._encode_frame(payload, self._reactor.rng.randbytes(4)))
        return True

    def send_ping(self, payload: bytes) -> bool:
        """Send a ping frame without blocking; return False when the write buffer is full."""
        if len(self._write_buffer) > MAX_BUFFERED_BYTES or self._state is not OPEN:
            return False
        self._protocol.send_ping(payload)
        self._send_protocol_data()
        return True

    def send_binary(self, payload: bytes) -> None:
        """Send a binary message, even if the write buffer is full. Call `drain` between large messages."""
        if self._state is OPEN:
            self._protocol.send_binary(payload)
            self._send_protocol_data()

    def drain(self, timeout: float) -> bool:
        """Wait until the write buffer is empty, `timeout` seconds at most; return whether it is."""
        self._wait(lambda: not self._write_buffer or self._state is CLOSED, timeout)
        return not self._write_buffer and self._state is not CLOSED

    def _send_protocol_data(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._write(data)

    def _write(self, data: bytes) -> None:
        self._write_buffer.write(data if self._tls is None else self._tls.encrypt(data))

    def on_writable(self) -> None:
        """Go on with opening or writing; called by the reactor."""
        if self._state is CONNECTING:
            self._tcp_connected()
        elif self._write_buffer and self._write_buffer.flush():
            self._wake()
            self.receiver.resume_writing()

    # --- receiving ---

    def on_readable(self) -> bool:
        """Read once and handle the complete messages; return whether there may be more. Called by the reactor."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self._end(error)
            return False
        now = monotonic_ns()
        length = len(data)
        if self._whole_frames and _MAX_HEADER < length < _READ_BYTES and data[0] == _FINAL_TEXT:
            # Nearly every read brings one whole text frame. Parsing it inline saves cache misses.
            size, start = data[1], 2
            if size == _LENGTH_16:
                size, start = data[2] << 8 | data[3], 4
            if size + start == length and data[1] <= _LENGTH_16:
                self.receiver.message_received(data[start:], now)
                return True
        self._receive(data, now)
        if length == _READ_BYTES:
            self._reactor.change(self._fd, self._write_buffer.events)
        return True

    def _receive(self, data: bytes, now: int) -> None:
        """Handle received bytes of any kind."""
        if not data:
            self._end(None)
            return
        if self._tls is not None:
            data = self._receive_tls(self._tls, data)
        if self._handshake is not None:
            data = self._receive_response(self._handshake, data)
        if not data:
            return
        message_received = self.receiver.message_received
        for item in self._splitter.split(data):
            if item.__class__ is bytes:
                message_received(item, now)
            else:
                self._receive_frame(item, now)
            if self._state is CLOSED:
                return
        self._whole_frames = self._tls is None and self._splitter.is_idle

    def _receive_frame(self, frame: bytes, now: int) -> None:
        """Let the protocol handle a frame that is not a whole message."""
        protocol = self._protocol
        protocol.receive_data(frame)
        for event in protocol.events_received():
            if isinstance(event, Frame):
                if event.opcode is Opcode.PONG:
                    self.receiver.pong_received(bytes(event.data), now)
                else:
                    self._reassemble(event, now)
        self._send_protocol_data()
        if protocol.close_rcvd is not None or protocol.parser_exc is not None:
            self._finish()

    def _reassemble(self, frame: Frame, now: int) -> None:
        """Add a fragment to its message. Binary messages are ignored, unless the target sends its messages so."""
        if frame.opcode is Opcode.TEXT or (frame.opcode is Opcode.BINARY and self._receives_binary):
            self._fragments = []
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT) or self._fragments is None:
            self.ignored += frame.opcode is Opcode.BINARY
            return
        self._fragments.append(bytes(frame.data))
        if frame.fin:
            payload = b"".join(self._fragments)
            self._fragments = None
            self.receiver.message_received(payload, now)
