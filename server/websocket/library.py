"""The library's part of a connection: control frames, fragments, and the close handshake.

websockets' Sans-I/O protocol checks these frames as RFC 6455 demands, and answers pings and close frames. The object is
created for the first frame that only the library can handle: most connections never send one, and it is half the memory
of an idle connection. A pong is the only control frame that most clients send, so `pong_payload` reads it without the
object.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.speedups import apply_mask

from server.errors import REASON_BY_SENT_CODE, CloseReason
from server.protocol.assembler import MessageAssembler

if TYPE_CHECKING:
    from collections.abc import Iterator

_quiet = logging.getLogger("stampede.websockets")  # the library's lines for each connection would repeat ours
_quiet.setLevel(logging.ERROR)

_KINDS: Final = (Opcode.TEXT, Opcode.BINARY)
_MASKED: Final = 0x80
_MAX_CONTROL_BYTES: Final = 125  # RFC 6455, section 5.5

PONG: Final = 0x80 | Opcode.PONG
"""First byte of a pong frame."""


class Message(NamedTuple):
    """A pong, or a whole text or binary message; `kind` is its opcode."""

    kind: Opcode
    payload: bytes


def pong_payload(frame: bytes) -> bytes | None:
    """Return the payload of a whole and valid pong frame; None for any other frame, which the library must check."""
    if frame[0] != PONG or not _MASKED <= frame[1] <= _MASKED + _MAX_CONTROL_BYTES:
        return None
    return apply_mask(frame[6:], frame[2:6])


class LibraryProtocol:
    """websockets' protocol of one connection that is open.

    Args:
        max_size: size limit of a message in bytes, all fragments together.
    """

    __slots__ = ("_assembler", "_protocol")

    def __init__(self, max_size: int) -> None:
        self._protocol = ServerProtocol(state=State.OPEN, max_size=max_size, logger=_quiet)
        self._assembler: MessageAssembler | None = None  # of the fragmented message that is arriving

    def receive(self, frame: bytes) -> Iterator[Message]:
        """Handle a frame, or bytes of an invalid stream; yield the pongs and whole messages that it completes.

        Raises:
            UnicodeDecodeError: a fragmented text message is not UTF-8.
        """
        self._protocol.receive_data(frame)
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and (message := self._complete(event)) is not None:
                yield message

    def _complete(self, frame: Frame) -> Message | None:
        """Return the message that a valid frame completes; the library has already answered pings and close frames."""
        if frame.opcode is Opcode.PONG or (frame.opcode is Opcode.BINARY and frame.fin):
            return Message(frame.opcode, bytes(frame.data))
        if frame.opcode in _KINDS:
            self._assembler = MessageAssembler(is_text=frame.opcode is Opcode.TEXT)
        elif frame.opcode is not Opcode.CONT:
            return None
        assembler = cast("MessageAssembler", self._assembler)  # the library refuses a fragment that continues nothing
        assembler.add(bytes(frame.data), final=frame.fin)
        if not frame.fin:
            return None
        self._assembler = None
        return Message(Opcode.TEXT if assembler.is_text else Opcode.BINARY, assembler.message())

    @property
    def end(self) -> CloseReason | None:
        """Why the peer may send no more: it sent a close frame, or a frame that the library refused; else None."""
        protocol = self._protocol
        if protocol.parser_exc is not None:
            sent = protocol.close_sent.code if protocol.close_sent is not None else 0
            return REASON_BY_SENT_CODE.get(sent, CloseReason.INTERNAL)
        return CloseReason.CLIENT if protocol.close_rcvd is not None else None

    def close(self, reason: CloseReason, text: str) -> None:
        """Begin the close handshake."""
        self._protocol.send_close(reason.code, text)

    def fail(self, reason: CloseReason, text: str) -> None:
        """Fail the connection (RFC 6455, section 7.1.7)."""
        self._protocol.fail(reason.code, text)

    def data_to_send(self) -> list[bytes]:
        """Return the frames that are to be sent; an empty one stands for the end of the stream."""
        return self._protocol.data_to_send()

    def release(self) -> None:
        """Break reference cycles: thousands of connections that end at once would wait for the cycle collector."""
        self._protocol.parser.close()
        error = self._protocol.parser_exc
        if error is not None:
            error.__traceback__ = error.__context__ = error.__cause__ = None
