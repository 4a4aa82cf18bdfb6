"""The chat protocol of the bundled server, and of servers that follow its guide."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stampede.dialects.base import Conversation, Dialect, Feature
from stampede.dialects.events import Event, Joined, Left, Pong, Refused, chat_message
from stampede.ledger import stamp
from stampede.measure import request_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_RETRY_SECONDS: Final = 120.0
"""Longest wait that a server may request before a reconnect."""

_NAME_FIXED: Final = "name_fixed"
_RETRY_MS: Final = re.compile(r"\bretry_ms=(\d{1,9})\b")
_REQUEST_OF: Final = {
    "setUsername": request_names.JOIN,
    "joinRoom": request_names.JOIN,
    "leaveRoom": request_names.JOIN,
    "chatMessage": request_names.SEND,
    "typing": request_names.TYPING,
    "ping": request_names.PING,
    "fileStart": request_names.UPLOAD,
    "fileChunk": request_names.UPLOAD,
    "fileEnd": request_names.UPLOAD,
}
_TYPING: Final = b'{"type":"typing"}'
_LEAVE_ROOM: Final = b'{"type":"leaveRoom"}'

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


class StampedeDialect(Dialect):
    """One room per connection; JSON messages with a `type`."""

    name = "stampede"
    rooms_per_connection = 1
    acknowledges_joins = acknowledges_leaves = True
    keeps_order = True
    receives_binary = False
    notices = tuple(
        f'{{"type":"{name}"'.encode()
        for name in ("userJoined", "userLeft", "userTyping", "roomPresence", "fileShared", "fileProgress")
    )
    features = frozenset(Feature)

    find_stamp = staticmethod(stamp.from_payload)

    def converse(self, values: Mapping[str, str], rooms: Sequence[str]) -> Conversation:
        """Return the conversation of a user with a name."""
        return StampedeConversation(values["user"])

    def escape(self, text: str) -> bytes:
        """Return a text escaped for a JSON string, without the quotes."""
        return _encode(text)[1:-1]

    def retry_after(self, close_code: int, close_reason: str) -> float | None:
        """Return the seconds of a `retry_ms` in a close reason; None without one."""
        found = _RETRY_MS.search(close_reason)
        return min(int(found[1]) / 1000, MAX_RETRY_SECONDS) if found else None


class StampedeConversation(Conversation):
    """The messages of one user; only its name is needed, which sets the name in the chat."""

    __slots__ = ("_username",)

    def __init__(self, username: str) -> None:
        self._username = username

    def open(self) -> Sequence[bytes]:
        """Return the message that sets the user's name."""
        return (_encode({"type": "setUsername", "username": self._username}),)

    def join(self, room: str) -> Sequence[bytes]:
        """Return the message that joins a room."""
        return (_encode({"type": "joinRoom", "room": room}),)

    def leave(self, room: str) -> Sequence[bytes]:
        """Return the message that leaves the room."""
        return (_LEAVE_ROOM,)

    def say(self, room: str, text: str) -> bytes:
        """Return a chat message."""
        return _encode({"type": "chatMessage", "text": text})

    def say_stamped(self, room: str, prefix: bytes, text: bytes) -> bytes:
        """Return a chat message; a stamp needs no escape in JSON."""
        return b'{"type":"chatMessage","text":"%b%b"}' % (prefix, text)

    def typing(self, room: str) -> bytes:
        """Return a typing notice."""
        return _TYPING

    def ping(self, number: int) -> bytes:
        """Return a `ping`; the server repeats its timestamp in the `pong`."""
        return b'{"type":"ping","timestamp":%d}' % number

    def receive(self, payload: bytes) -> Sequence[Event]:
        """Return what a message means.

        Raises:
            ValueError: it is no JSON object with a `type`.
        """
        try:
            message: dict[str, Any] = _decode(payload)
            kind = message["type"]
        except (msgspec.DecodeError, TypeError, KeyError):
            raise ValueError("not a chat server: no JSON object with a type") from None
        if kind == "chatMessage":
            text = message.get("text")
            fields = stamp.from_text(text) if isinstance(text, str) else None
            return (chat_message(fields, message),)
        if kind == "roomJoined":
            return (Joined(message=message),)
        if kind == "roomLeft":
            return (Left(message=message),)
        if kind == "pong" and isinstance(message.get("timestamp"), int):
            return (Pong(message["timestamp"], message=message),)
        if kind == "error" and message.get("code") != _NAME_FIXED:
            return (_refusal(message),)
        return (Event(message=message),)


def _refusal(error: dict[str, Any]) -> Refused:
    """Return what an `error` means. One that says that the token sets the user's name is none."""
    code, about = error.get("code"), str(error.get("about"))
    label = f"error: {code}" if isinstance(code, str) else f"error: {error.get('message')}"
    return Refused(label, _REQUEST_OF.get(about), about, message=error)
