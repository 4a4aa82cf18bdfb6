"""What the load generator must know about the wire protocol of a server; pure.

A dialect says which messages to send and what received messages mean. It knows no socket and no clock. One object
serves all connections of a process, so it keeps no state of a connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from stampede.ledger import stamp

Message = Mapping[str, Any] | str | bytes
"""A message as scenarios give it: a mapping is sent as JSON, a text or bytes unchanged."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


class Dialect:
    """A server whose rooms are joined without a message: by the address, or over HTTP.

    Every received message that contains a stamp is a delivery, wherever the stamp stands in it. Subclasses describe
    what their server needs beyond that.

        class Acme(Dialect):
            name = "acme"

            def say(self, room, text):
                return self.encode({"op": "publish", "channel": room, "data": text})

    Attributes:
        name: of the dialect.
        rooms_per_connection: how many rooms one connection can be in; None for any number.
        acknowledges_joins: whether the server confirms a join, see `confirms_join`.
        echoes: whether the server sends a chat message to its sender, too.
        notices: first bytes of messages that need not be decoded. Decoding each would be costly.
        has_typing: whether there are typing notices.
        has_ping: whether there is a ping of the application, see `ping`.
        has_upload: whether users can upload files as the stampede dialect does.
    """

    name: str = "plain"
    rooms_per_connection: int | None = None
    acknowledges_joins: bool = False
    echoes: bool = False
    notices: tuple[bytes, ...] = ()
    has_typing: bool = False
    has_ping: bool = False
    has_upload: bool = False

    # --- messages to send ---

    def encode(self, message: Message) -> bytes:
        """Return a message as it is sent: a mapping as JSON, a text in UTF-8, bytes unchanged."""
        if isinstance(message, bytes):
            return message
        return message.encode() if isinstance(message, str) else _encode(message)

    def hello(self, username: str) -> Sequence[bytes]:
        """Return the messages to send after the handshake."""
        return ()

    def join(self, room: str) -> Sequence[bytes]:
        """Return the messages that join a room."""
        return ()

    def leave(self, room: str) -> Sequence[bytes]:
        """Return the messages that leave a room."""
        return ()

    def say(self, room: str, text: str) -> bytes:
        """Return a chat message. The text must arrive unchanged at the other members, since it contains the stamp."""
        raise NotImplementedError(f"the dialect {self.name!r} does not say how to send a chat message: override `say`")

    def escape(self, text: str) -> bytes:
        """Return a text as `say_stamped` takes it."""
        return text.encode()

    def say_stamped(self, room: str, prefix: bytes, text: bytes) -> bytes:
        """Return a chat message whose text is a stamp and an escaped text; override it where `say` is too slow."""
        return self.say(room, (stamp.for_any_server(prefix) + text).decode())

    def typing(self, room: str) -> bytes:
        """Return a typing notice."""
        raise NotImplementedError

    def ping(self, number: int) -> bytes:
        """Return a ping of the application; its pong must contain the number."""
        raise NotImplementedError

    # --- received messages ---

    def find_stamp(self, payload: bytes) -> stamp.Fields | None:
        """Return the fields of the stamp in a message, or None. It is called with each message, so it must be fast."""
        return stamp.search(payload)

    def decode(self, payload: bytes) -> dict[str, Any] | None:
        """Return a message without a stamp as a mapping with a `type`; None to ignore it.

        Raises:
            ValueError: no such server sends this message; the text says why.
        """
        try:
            message = _decode(payload)
        except msgspec.DecodeError:
            return None
        return {"type": "", **message} if isinstance(message, dict) else None

    def stamp_in(self, message: dict[str, Any]) -> stamp.Fields | None:
        """Return the fields of the stamp in a decoded message in which `find_stamp` found none, or None."""
        return None

    def confirms_join(self, message: dict[str, Any], room: str) -> bool:
        """Return whether a message confirms the join of a room."""
        return False

    def confirms_leave(self, message: dict[str, Any], room: str) -> bool:
        """Return whether a message confirms that a room was left."""
        return False

    def pong(self, message: dict[str, Any]) -> int | None:
        """Return the number in a pong; None if the message is none."""
        return None

    def is_error(self, message: dict[str, Any]) -> bool:
        """Return whether a message reports an error of an earlier request."""
        return False

    def request_of(self, error: dict[str, Any]) -> str | None:
        """Return the request that an error is about, as in Locust's table; None if it does not say so."""
        return None

    def label_of(self, error: dict[str, Any]) -> str:
        """Return the few words under which an error is counted."""
        return "error"

    def is_error_about(self, message: dict[str, Any], kind: str) -> bool:
        """Return whether a message reports an error of a message of this type."""
        return False

    def retry_after(self, close_reason: str) -> float | None:
        """Return the seconds that a close reason asks the client to wait before it reconnects; None without one."""
        return None
