"""The messages of SignalR's JSON protocol on one connection; pure.

Each message is a JSON object and ends with the byte 0x1E. A frame may contain several messages, or a part of one; some
servers send binary frames. After the handshake, messages have a `type`: 1 invocation, 3 completion, 6 ping, 7 close;
2, 4 and 5 belong to streams.

    client  {"protocol":"json","version":1}                                      handshake
    server  {}                                                                   or {"error":".."}
    client  {"type":1,"invocationId":"1","target":"AddToGroup","arguments":["red"]}
    server  {"type":3,"invocationId":"1"}                                        or with an "error"
    server  {"type":1,"target":"ReceiveMessage","arguments":["red","hello"]}
    both    {"type":6}                                                           ping, without an answer
    server  {"type":7,"error":".."}                                              close
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stampede.dialects.base import Conversation
from stampede.dialects.events import Answer, Closed, Event, Opened, Refused, chat_message
from stampede.dialects.outgoing import Outgoing
from stampede.dialects.requests import Requests, text_of
from stampede.ledger import stamp
from stampede.measure import request_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stampede.dialects.signalr import SignalRDialect

SEPARATOR: Final = b"\x1e"
INVOCATION: Final = b'{"type":1,'
"""Begin of an invocation, as servers write it."""
PING: Final = b'{"type":6}'

_NUMBER: Final = re.compile("[0-9]{1,18}")
_HANDSHAKE: Final = b'{"protocol":"json","version":1}' + SEPARATOR
_NOT_SIGNALR: Final = "not a SignalR server: expected JSON objects with a type"
_NO_RESULT: Final = b'{"type":3,"invocationId":%b,"error":"this client returns no results"}' + SEPARATOR

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


class SignalRConversation(Conversation):
    """The state of SignalR on one connection."""

    __slots__ = ("_dialect", "_opened", "_outgoing", "_requests", "_rest")

    def __init__(self, dialect: SignalRDialect, values: Mapping[str, str]) -> None:
        self._dialect = dialect
        self._outgoing = Outgoing(dialect.outgoing, values)
        self._requests = Requests()
        self._rest = b""  # the begin of a message whose end has not come
        self._opened = False  # whether the server has accepted the handshake

    @property
    def awaited(self) -> str:
        """What the client waits for until the conversation is open."""
        return "the answer to the handshake ({} and 0x1E); is this a SignalR hub with the JSON protocol?"

    # --- messages to send ---

    def open(self) -> Sequence[bytes]:
        """Return the handshake."""
        return (_HANDSHAKE,)

    def join(self, room: str) -> Sequence[bytes]:
        """Return the invocation that joins a room."""
        if not self._dialect.options.targets.join:
            return ()
        return (
            self._invocation("join", room, self._requests.join(room) if self._dialect.acknowledges_joins else None),
        )

    def leave(self, room: str) -> Sequence[bytes]:
        """Return the invocation that leaves a room."""
        if not self._dialect.options.targets.leave:
            return ()
        number = self._requests.leave(room) if self._dialect.acknowledges_leaves else None
        return (self._invocation("leave", room, number),)

    def say(self, room: str, text: str) -> bytes:
        """Return the invocation for a chat message, without a number."""
        return self._invocation("say", room, None, self._dialect.escape(text))

    def say_stamped(self, room: str, prefix: bytes, text: bytes) -> bytes:
        """Return the invocation for a chat message, with a number if the server confirms it."""
        number = self._requests.say() if self._dialect.acknowledges_messages else None
        return self._invocation("say", room, number, stamp.for_any_server(prefix) + text)

    def typing(self, room: str) -> bytes:
        """Return the invocation for a typing notice."""
        return self._invocation("typing", room, None)

    def keepalive(self) -> Sequence[bytes]:
        """Return a ping: a server closes a client that is silent for half a minute."""
        return (PING + SEPARATOR,)

    def _invocation(self, kind: str, room: str, number: int | None, text: bytes = b"") -> bytes:
        begin = INVOCATION if number is None else b'%b"invocationId":"%d",' % (INVOCATION, number)
        return begin + self._outgoing.message(kind, room, text)

    # --- received messages ---

    def split(self, payload: bytes) -> Sequence[bytes]:
        """Return the complete messages, without their last byte."""
        if self._rest:
            payload = self._rest + payload
        messages = payload.split(SEPARATOR)
        self._rest = messages.pop()
        return messages

    def receive(self, payload: bytes) -> Sequence[Event]:
        """Return what a message means.

        Raises:
            ValueError: it is no JSON object, or has no type.
        """
        try:
            message = _decode(payload)
        except msgspec.DecodeError:
            message = None
        if not isinstance(message, dict):
            return self._malformed()
        if not self._opened:
            return (self._receive_handshake(message),)
        kind = message.get("type")
        if kind == 1:
            return self._receive_invocation(payload, message)
        if kind == 3:
            error = message.get("error")
            number = _NUMBER.fullmatch(str(message.get("invocationId")))
            decoded = {**message, "type": "completion"}
            text = None if error is None else text_of(error)
            return (self._requests.confirm(int(number[0]) if number else 0, decoded, text),)
        if kind == 7:
            return (Closed(f"closed by the server: {text_of(message.get('error'))}"),)
        return () if isinstance(kind, int) else self._malformed()

    def _receive_handshake(self, message: dict[str, Any]) -> Event:
        if message.get("error") is not None:
            return Refused(f"error: {text_of(message['error'])}", request_names.CONNECT)
        if "type" in message:  # the answer to the handshake has none
            return Refused(_NOT_SIGNALR, request_names.CONNECT)
        self._opened = True
        return Opened()

    def _receive_invocation(self, payload: bytes, message: dict[str, Any]) -> Sequence[Event]:
        target, number = str(message.get("target")), message.get("invocationId")
        decoded = {"type": target, "arguments": message.get("arguments")}
        is_delivery = target.casefold() == self._dialect.options.targets.receive.casefold()
        fields = stamp.search(payload) if is_delivery else None
        event = chat_message(fields, decoded)
        return (event,) if number is None else (Answer(_NO_RESULT % _encode(number)), event)

    def _malformed(self) -> Sequence[Event]:
        """Report a message that SignalR has not: during the opening, the server refuses; later, it is an error."""
        if self._opened:
            raise ValueError(_NOT_SIGNALR)
        return (Refused(_NOT_SIGNALR, request_names.CONNECT),)
