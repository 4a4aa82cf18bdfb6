"""The chat protocol of the bundled server, and of servers that follow its guide."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stampede.dialects.base import Dialect
from stampede.ledger import stamp
from stampede.measure import request_names

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_RETRY_SECONDS: Final = 120.0
"""Longest wait that a server may request before a reconnect."""

CHUNK_BYTES: Final = 64 * 1024
"""Bytes of file content in each chunk but the last."""

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
    acknowledges_joins = True
    notices = tuple(
        f'{{"type":"{name}"'.encode()
        for name in ("userJoined", "userLeft", "userTyping", "roomPresence", "fileShared", "fileProgress")
    )
    has_typing = has_ping = has_upload = True

    find_stamp = staticmethod(stamp.from_payload)

    def hello(self, username: str) -> Sequence[bytes]:
        """Return the message that sets the user's name."""
        return (_encode({"type": "setUsername", "username": username}),)

    def join(self, room: str) -> Sequence[bytes]:
        """Return the message that joins a room."""
        return (_encode({"type": "joinRoom", "room": room}),)

    def leave(self, room: str) -> Sequence[bytes]:
        """Return the message that leaves the room."""
        return (_LEAVE_ROOM,)

    def say(self, room: str, text: str) -> bytes:
        """Return a chat message."""
        return _encode({"type": "chatMessage", "text": text})

    def escape(self, text: str) -> bytes:
        """Return a text escaped for a JSON string, without the quotes."""
        return _encode(text)[1:-1]

    def say_stamped(self, room: str, prefix: bytes, text: bytes) -> bytes:
        """Return a chat message; a stamp needs no escape in JSON."""
        return b'{"type":"chatMessage","text":"%b%b"}' % (prefix, text)

    def typing(self, room: str) -> bytes:
        """Return a typing notice."""
        return _TYPING

    def ping(self, number: int) -> bytes:
        """Return a `ping`; the server repeats its timestamp in the `pong`."""
        return b'{"type":"ping","timestamp":%d}' % number

    def decode(self, payload: bytes) -> dict[str, Any]:
        """Return a message.

        Raises:
            ValueError: it is no JSON object with a `type`.
        """
        try:
            message: dict[str, Any] = _decode(payload)
            message["type"]
        except (msgspec.DecodeError, TypeError, KeyError):
            raise ValueError("not a chat server: no JSON object with a type") from None
        return message

    def stamp_in(self, message: dict[str, Any]) -> stamp.Fields | None:
        """Return the stamp at the start of a chat message's text, or None."""
        text = message.get("text") if message["type"] == "chatMessage" else None
        return stamp.from_text(text) if isinstance(text, str) else None

    def confirms_join(self, message: dict[str, Any], room: str) -> bool:
        """Return whether the message is a `roomJoined`."""
        return bool(message["type"] == "roomJoined")

    def confirms_leave(self, message: dict[str, Any], room: str) -> bool:
        """Return whether the message is a `roomLeft`."""
        return bool(message["type"] == "roomLeft")

    def pong(self, message: dict[str, Any]) -> int | None:
        """Return the timestamp of a `pong`."""
        timestamp = message.get("timestamp") if message["type"] == "pong" else None
        return timestamp if isinstance(timestamp, int) else None

    def is_error(self, message: dict[str, Any]) -> bool:
        """Return whether the message is an `error`, except one that says that the token sets the user's name."""
        return bool(message["type"] == "error" and message.get("code") != _NAME_FIXED)

    def request_of(self, error: dict[str, Any]) -> str | None:
        """Return the request that an `error` is about."""
        return _REQUEST_OF.get(str(error.get("about")))

    def label_of(self, error: dict[str, Any]) -> str:
        """Return the code of an `error`, or its message."""
        code = error.get("code")
        return f"error: {code}" if isinstance(code, str) else f"error: {str(error.get('message'))[:100]}"

    def is_error_about(self, message: dict[str, Any], kind: str) -> bool:
        """Return whether the message is an `error` about a message of this type."""
        return bool(message["type"] == "error" and message.get("about") == kind)

    def retry_after(self, close_reason: str) -> float | None:
        """Return the seconds of a `retry_ms` in a close reason; None without one."""
        found = _RETRY_MS.search(close_reason)
        return min(int(found[1]) / 1000, MAX_RETRY_SECONDS) if found else None
