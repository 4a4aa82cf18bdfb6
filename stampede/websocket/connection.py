"""A WebSocket client connection for thousands in one gevent process, independent of Locust and the chat.

websockets' Sans-I/O protocol does the handshake, control frames and the close handshake. `stampede.websocket.frames`
splits the received bytes, so text messages do not go through the library's parser. The reactor watches all sockets and
calls `on_readable` and `on_writable` in gevent's hub. Nothing in these callbacks may block or switch greenlets.
"""

from __future__ import annotations

import os
import ssl
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from stampede.websocket.assembler import Assembler
from stampede.websocket.errors import LostError
from stampede.websocket.frames import FrameSplitter, masked_binary_frame, masked_text_frame
from stampede.websocket.opening import Opening
from stampede.websocket.progress import Progress
from stampede.websocket.state import CLOSED, CLOSING, OPEN, OPENING
from stampede.websocket.transport import Transport

if TYPE_CHECKING:
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
        is_watched: whether bytes are read as soon as they arrive, not only by `read_batch`.
    """

    __slots__ = (
        "_assembler",
        "_encode_frame",
        "_fd",
        "_opening",
        "_progress",
        "_protocol",
        "_reactor",
        "_splitter",
        "_state",
        "_transport",
        "_whole_frames",
        "_write_buffer",
        "address",
        "is_watched",
        "receiver",
    )

    def __init__(self, reactor: Reactor, target: Target, address: Address, receiver: Receiver) -> None:
        self.receiver = receiver
        self.address = target.addresses.label(address)
        self.is_watched = True
        self._state = OPENING
        self._reactor = reactor
        offered = [Subprotocol(name) for name in target.subprotocols]
        self._protocol = ClientProtocol(target.uri, subprotocols=offered or None, max_size=MAX_MESSAGE_BYTES)
        self._splitter = FrameSplitter(masked=False, max_size=MAX_MESSAGE_BYTES, binary=target.receives_binary)
        self._encode_frame = masked_binary_frame if target.sends_binary else masked_text_frame
        # Whether the next bytes begin an unencrypted frame, outside a fragmented message. This is a position in the
        # stream, not a state of the connection. Each read checks it, and a call of the splitter would cost more.
        self._whole_frames = False
        self._assembler = Assembler(receives_binary=target.receives_binary)
        self._progress = Progress()
        self._transport = Transport(reactor, target, address)
        self._fd = self._transport.fd
        self._write_buffer = self._transport.write_buffer
        self._opening: Opening | None = Opening(self._transport, self._protocol, target.headers)  # until it succeeds

    # --- opening ---

    def open(self, address: Address, timeout: float, attempt_timeout: float) -> None:
        """Open the connection, as `Opening.run` does; close it after a failure."""
        try:
            if self._opening is not None:
                self._opening.run(address, self, timeout, attempt_timeout)
        except BaseException:
            self.abort()
            raise

    @property
    def ignored(self) -> int:
        """How many binary messages were ignored, because the target does not receive them."""
        return self._assembler.ignored

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
            self.watch()
            self._protocol.send_close(1000)
            self._send_protocol_data()
            self._progress.wait(lambda: self._state is CLOSED, timeout)
        self.abort()
        return self._protocol.close_rcvd is not None

    def abort(self) -> None:
        """Close the socket without a close handshake."""
        if self._state is not CLOSED:
            self._state = CLOSED
            self._transport.close()
            self._progress.notify()

    def reset(self) -> None:
        """Close the socket with a TCP reset, as when the network is cut."""
        if self._state is not CLOSED:
            self._transport.reset_on_close()
            self.abort()

    def _end(self, error: OSError | None) -> None:
        """Handle the end of the stream."""
        if self._opening is None:
            self._finish()
        else:
            self._opening.end(error)

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
        if can_send := len(self._write_buffer) <= MAX_BUFFERED_BYTES and self._state is OPEN:
            self._transport.write(self._encode_frame(payload, self._reactor.rng.randbytes(4)))
        return can_send

    def send_ping(self, payload: bytes) -> bool:
        """Send a ping frame without blocking; return False when the write buffer is full."""
        if can_send := len(self._write_buffer) <= MAX_BUFFERED_BYTES and self._state is OPEN:
            self._protocol.send_ping(payload)
            self._send_protocol_data()
        return can_send

    def send_binary(self, payload: bytes) -> None:
        """Send a binary message, even if the write buffer is full. Call `drain` between large messages."""
        if self._state is OPEN:
            self._protocol.send_binary(payload)
            self._send_protocol_data()

    def drain(self, timeout: float) -> bool:
        """Wait until the write buffer is empty, `timeout` seconds at most; return whether it is."""
        self._progress.wait(lambda: not self._write_buffer or self._state is CLOSED, timeout)
        return not self._write_buffer and self._state is not CLOSED

    def _send_protocol_data(self) -> None:
        for data in filter(None, self._protocol.data_to_send()):
            self._transport.write(data)

    def on_writable(self) -> None:
        """Go on with opening or writing; called by the reactor."""
        if self._opening is not None and not self._opening.has_connected:
            self._opening.tcp_connected()
        elif self._write_buffer and self._write_buffer.flush():
            self.is_watched = True
            self._progress.notify()
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

    def watch(self) -> None:
        """Read as soon as bytes arrive, as at first."""
        if not self.is_watched and self._state is not CLOSED:
            self.is_watched = True
            self._reactor.change(self._fd, self._write_buffer.events)

    def unwatch(self) -> None:
        """Read only in `read_batch`; the end of the stream and errors are still noticed at once."""
        if self._state is OPEN and not self._write_buffer:
            self.is_watched = False
            self._reactor.change(self._fd, 0)

    def read_batch(self) -> int:
        """Read what has arrived, `_READ_BYTES` at most, and handle the complete messages; return how much it was."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._end(error)
            return 0
        now = monotonic_ns()
        if self._whole_frames and data:
            rest = self.receiver.frames_received(data)
            if rest:
                self._dispatch(self.receiver.batch_received(self._splitter.split(rest)), now)
                self._whole_frames = self._splitter.is_idle
        else:
            self._receive(data, now)
        return len(data)

    def _receive(self, data: bytes, now: int) -> None:
        """Handle received bytes of any kind."""
        if not data:
            self._end(None)
            return
        opening = self._opening
        try:
            data = self._transport.decrypt(data) if opening is None else opening.receive(data)
        except ssl.SSLError:
            self._finish()
            return
        if opening is not None and opening.has_succeeded:
            self._opening = None
            self._state = OPEN
        if data:
            self._dispatch(self._splitter.split(data), now)
            self._whole_frames = self._transport.tls is None and self._splitter.is_idle

    def _dispatch(self, items: list[bytes], now: int) -> None:
        """Handle whole messages, and frames that are not."""
        message_received = self.receiver.message_received
        for item in items:
            if item.__class__ is bytes:
                message_received(item, now)
            else:
                self._receive_frame(item, now)
            if self._state is CLOSED:
                return

    def _receive_frame(self, frame: bytes, now: int) -> None:
        """Let the protocol handle a frame that is not a whole message."""
        protocol = self._protocol
        protocol.receive_data(frame)
        for event in protocol.events_received():
            if isinstance(event, Frame):
                if event.opcode is Opcode.PONG:
                    self.receiver.pong_received(bytes(event.data), now)
                elif (payload := self._assembler.add(event)) is not None:
                    self.receiver.message_received(payload, now)
        self._send_protocol_data()
        if protocol.close_rcvd is not None or protocol.parser_exc is not None:
            self._finish()
