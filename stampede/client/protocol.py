"""The client's side of the chat protocol: messages to send, messages to ignore, labels for errors; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stampede.measure import request_names

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_RETRY_SECONDS: Final = 120.0
"""Longest wait that a server may request before a reconnect."""

CHUNK_BYTES: Final = 64 * 1024
"""Bytes of file content in each chunk but the last."""

TYPING: Final = b'{"type":"typing"}'

SYNC_TIMESTAMP: Final = 0
"""Timestamp of a ping that is not timed; timed pings count from 1."""

# Notices that the server sends unasked. They are recognised by their first bytes: decoding every join would be costly.
NOTICES: Final = ("userJoined", "userLeft", "userTyping", "roomPresence", "fileShared", "fileProgress")
NOTICE_PREFIXES: Final = tuple(f'{{"type":"{name}"'.encode() for name in NOTICES)

_NAME_FIXED: Final = "name_fixed"
_RETRY_MS: Final = re.compile(r"\bretry_ms=(\d{1,9})\b")
_REQUEST_OF: Final = {
    "setUsername": request_names.JOIN,
    "joinRoom": request_names.JOIN,
    "typing": request_names.TYPING,
    "ping": request_names.PING,
    "fileStart": request_names.UPLOAD,
    "fileChunk": request_names.UPLOAD,
    "fileEnd": request_names.UPLOAD,
}

_encode: Final = msgspec.json.Encoder().encode


def set_username(name: str) -> bytes:
    """Return the message that sets the user's name."""
    return _encode({"type": "setUsername", "username": name})


def join_room(room: str) -> bytes:
    """Return the message that joins a room."""
    return _encode({"type": "joinRoom", "room": room})


LEAVE_ROOM: Final = b'{"type":"leaveRoom"}'


def encode(message: Mapping[str, Any] | str | bytes) -> bytes:
    """Return a message as it is sent: a mapping as JSON, a text in UTF-8, bytes unchanged."""
    if isinstance(message, bytes):
        return message
    return message.encode() if isinstance(message, str) else _encode(message)


def escape(text: str) -> bytes:
    """Return a text escaped for a JSON string, without the quotes."""
    return _encode(text)[1:-1]


def ping(timestamp: int) -> bytes:
    """Return a `ping`; the server repeats its timestamp in the `pong`."""
    return b'{"type":"ping","timestamp":%d}' % timestamp


def is_name_fixed(message: dict[str, Any]) -> bool:
    """Return whether an `error` only reports that the token sets the user's name; the load test accepts that name."""
    return message.get("type") == "error" and message.get("code") == _NAME_FIXED


def request_of(error: dict[str, Any]) -> str:
    """Return the name of the request that an `error` message is about."""
    return _REQUEST_OF.get(str(error.get("about")), request_names.SEND)


def answers(message: dict[str, Any], kind: str, request: str) -> bool:
    """Return whether a message answers a request: by its type, or as an `error` that does not name another request."""
    if message["type"] == "error":
        return "about" not in message or request_of(message) == request
    return bool(message["type"] == kind)


def is_error_about(message: dict[str, Any], kind: str) -> bool:
    """Return whether a message is an `error` about a message of this type."""
    return bool(message["type"] == "error" and message.get("about") == kind)


def label_of(error: dict[str, Any]) -> str:
    """Return the label under which an `error` message is counted."""
    code = error.get("code")
    return f"error: {code}" if isinstance(code, str) else f"error: {str(error.get('message'))[:100]}"


def retry_after(close_reason: str) -> float | None:
    """Return the delay before a reconnect that a close reason requests, in seconds; None without one."""
    found = _RETRY_MS.search(close_reason)
    return min(int(found[1]) / 1000, MAX_RETRY_SECONDS) if found else None
