"""The conversation of a client with a STOMP broker; pure.

client  CONNECT accept-version host login passcode
server  CONNECTED                                   or ERROR
client  SUBSCRIBE id destination receipt
server  RECEIPT receipt-id
client  SEND destination
server  MESSAGE subscription destination message-id
client  UNSUBSCRIBE id receipt
client  DISCONNECT
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stampede.dialects.base import Conversation
from stampede.dialects.events import Event, Opened, Refused, chat_message
from stampede.dialects.outgoing import Outgoing
from stampede.dialects.requests import Requests
from stampede.dialects.stomp_frames import HEARTBEAT, NOT_STOMP, Frame, FrameSplitter, decode, encode, head
from stampede.ledger import stamp
from stampede.measure import request_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stampede.dialects.stomp import StompDialect

_DISCONNECT: Final = encode("DISCONNECT", {})


class StompConversation(Conversation):
    """The state of STOMP on one connection."""

    __slots__ = ("_dialect", "_heads", "_opened", "_outgoing", "_requests", "_splitter", "_subscriptions", "_values")

    def __init__(self, dialect: StompDialect, values: Mapping[str, str]) -> None:
        self._dialect = dialect
        self._values = values
        self._outgoing = Outgoing(dialect.outgoing, values)
        self._requests = Requests()
        self._splitter = FrameSplitter()
        self._subscriptions: dict[str, int] = {}  # their identifiers by room
        self._heads: dict[str, bytes] = {}  # of SEND by room
        self._opened = False

    @property
    def awaited(self) -> str:
        """What the client waits for until the conversation is open."""
        return "the frame CONNECTED; is this a STOMP server?"

    # --- messages to send ---

    def open(self) -> Sequence[bytes]:
        """Return the frame that asks for a session."""
        return (encode("CONNECT", {name: value.fill(self._values) for name, value in self._dialect.connect.items()}),)

    def join(self, room: str) -> Sequence[bytes]:
        """Return the frame that subscribes to a room."""
        number = self._subscriptions.setdefault(room, len(self._subscriptions) + 1)
        destination = self._dialect.subscribe.fill({**self._values, "room": room})
        receipt = self._requests.join(room) if self._dialect.acknowledges_joins else None
        return (encode("SUBSCRIBE", {"id": str(number), "destination": destination, **_receipt(receipt)}),)

    def leave(self, room: str) -> Sequence[bytes]:
        """Return the frame that ends the subscription of a room."""
        number = self._subscriptions.get(room)
        if number is None:
            return ()
        receipt = self._requests.leave(room) if self._dialect.acknowledges_leaves else None
        return (encode("UNSUBSCRIBE", {"id": str(number), **_receipt(receipt)}),)

    def say(self, room: str, text: str) -> bytes:
        """Return the frame of a chat message, for which the server sends no receipt."""
        return self._send(room, None, self._dialect.escape(text))

    def say_stamped(self, room: str, prefix: bytes, text: bytes) -> bytes:
        """Return the frame of a chat message."""
        receipt = self._requests.say() if self._dialect.acknowledges_messages else None
        return self._send(room, receipt, stamp.for_any_server(prefix) + text)

    def keepalive(self) -> Sequence[bytes]:
        """Return a heartbeat."""
        return (HEARTBEAT,)

    def close(self) -> Sequence[bytes]:
        """Return the frame that ends the session."""
        return (_DISCONNECT,)

    def _send(self, room: str, receipt: int | None, text: bytes) -> bytes:
        start = self._heads.get(room)
        if start is None:
            destination = self._dialect.send.fill({**self._values, "room": room})
            start = self._heads[room] = head("SEND", {"destination": destination})
        body = self._outgoing.message("say", room, text)
        wanted = b"" if receipt is None else b"receipt:%d\n" % receipt
        return b"%b%bcontent-length:%d\n\n%b\0" % (start, wanted, len(body), body)

    # --- received messages ---

    def split(self, payload: bytes) -> Sequence[bytes]:
        """Return the STOMP frames that a WebSocket frame completes."""
        return self._splitter.split(payload)

    def receive(self, payload: bytes) -> Sequence[Event]:
        """Return what a frame means.

        Raises:
            ValueError: it is no frame of a STOMP server.
        """
        try:
            frame = decode(payload)
        except ValueError:
            if self._opened:
                raise
            return (Refused(NOT_STOMP, request_names.CONNECT),)
        message = {"type": frame.command, **frame.headers, "body": frame.body.decode(errors="replace")}
        if frame.command == "CONNECTED":
            self._opened = True
            return (Opened(message=message),)
        if frame.command == "MESSAGE":
            fields = stamp.search(frame.body)
            return (chat_message(fields, message),)
        if frame.command == "RECEIPT":
            return (self._requests.confirm(_number(frame.headers.get("receipt-id")), message, None),)
        return (self._refusal(frame, message),)

    def _refusal(self, frame: Frame, message: dict[str, str]) -> Event:
        """Return what a frame ERROR means. It names a request only if that was sent with a receipt, and not always."""
        error = frame.headers.get("message") or "no reason given"
        if not self._opened:
            detail, _, _ = message["body"].strip().partition("\n")
            reason = f"refused: {error}: {detail}" if detail else f"refused: {error}"
            return Refused(reason, request_names.CONNECT, message=message)
        number = _number(frame.headers.get("receipt-id"))
        event = self._requests.confirm(number, message, error)
        return event if isinstance(event, Refused) else Refused(f"error: {error}", message=message)


def _receipt(number: int | None) -> dict[str, str]:
    return {} if number is None else {"receipt": str(number)}


def _number(text: str | None) -> int:
    """Return the number of a request, or one that no request has."""
    return int(text) if text and text.isdecimal() else 0
