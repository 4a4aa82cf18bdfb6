"""A small chat protocol, with a server whose faults tests choose, and its dialect.

Clients send `hello` with a token, `join`, `say` and `leave`. The server answers `welcome`, `joined`, `message`, `ack`,
`left` and `error`, each a JSON object with its kind as `op`.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from stampede.dialects.base import Conversation, Dialect, Feature
from stampede.dialects.events import Acknowledged, Event, Joined, Left, Opened, Refused
from stampede.ledger import stamp
from stampede.measure import request_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SECRET = "s3cret-token"

Writer = Callable[[Mapping[str, Any]], str | bytes]


class AcmeDialect(Dialect):
    """The dialect of the server without options."""

    name = "acme"
    path = "/chat"
    confirms_opening = acknowledges_joins = acknowledges_leaves = True
    features = frozenset({Feature.PING})
    notices: tuple[bytes, ...] = (b'{"op":"presence"',)
    max_message_bytes = 500

    def converse(self, values: Mapping[str, str], rooms: Sequence[str]) -> Conversation:
        return AcmeConversation(self, values.get("token", ""))

    def find_stamp(self, payload: bytes) -> stamp.Fields | None:
        return stamp.search(payload) if payload.startswith(b'{"op":"message"') else None


class AcmeConversation(Conversation):
    say_op = "say"

    def __init__(self, dialect: Dialect, token: str) -> None:
        self._encode = dialect.encode
        self._token = token
        self._said = 0

    def open(self) -> Sequence[bytes]:
        return (self._encode({"op": "hello", "token": self._token}),)

    @property
    def awaited(self) -> str:
        return "welcome"

    def join(self, room: str) -> Sequence[bytes]:
        return (self._encode({"op": "join", "room": room}),)

    def leave(self, room: str) -> Sequence[bytes]:
        return (self._encode({"op": "leave", "room": room}),)

    def say(self, room: str, text: str) -> bytes:
        return self._encode({"op": self.say_op, "room": room, "text": text})

    def receive(self, payload: bytes) -> Sequence[Event]:
        try:
            message: dict[str, Any] = json.loads(payload)
        except ValueError:
            return ()
        kind = message.get("op")
        if kind == "welcome":
            return (Opened(),)
        if kind == "joined":
            return (Joined(message["room"]),)
        if kind == "left":
            return (Left(message["room"]),)
        if kind == "ack":
            return (Acknowledged(),)
        if kind == "error":
            request = {"hello": request_names.CONNECT, "join": request_names.JOIN}.get(message["about"])
            return (Refused(f"error: {message['reason']}", request),)
        return ()


class EchoingDialect(AcmeDialect):
    """The dialect of a server that echoes and acknowledges."""

    echoes = True
    acknowledges_messages = True


class UnknownEchoDialect(AcmeDialect):
    """A dialect whose echo must be discovered."""

    echoes = None


class UnconfirmedDialect(AcmeDialect):
    """A dialect without confirmations and pings."""

    features = frozenset()

    confirms_opening = acknowledges_joins = acknowledges_leaves = False


class OnlyAcknowledgedDialect(UnconfirmedDialect):
    """A dialect without confirmations but those of messages; the server's `joined` is ignored."""

    acknowledges_messages = True
    notices = (b'{"op":"presence"', b'{"op":"joined"')


class TextDialect(AcmeDialect):
    """A dialect that ignores binary messages."""

    receives_binary = False


class OtherDeliveryDialect(AcmeDialect):
    """A dialect that takes other messages for deliveries."""

    def find_stamp(self, payload: bytes) -> stamp.Fields | None:
        return stamp.search(payload) if payload.startswith(b'{"op":"delivery"') else None


class WrongEventDialect(AcmeDialect):
    """A dialect with a wrong name of the event."""

    def converse(self, values: Mapping[str, str], rooms: Sequence[str]) -> Conversation:
        return WrongEventConversation(self, values.get("token", ""))


class WrongEventConversation(AcmeConversation):
    say_op = "publish"


def compact(message: Mapping[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))


def utf16(message: Mapping[str, Any]) -> bytes:
    """Encode a message in UTF-16, which goes into a binary frame."""
    return compact(message).encode("utf-16-le")


def slashes_escaped(message: Mapping[str, Any]) -> str:
    """Encode a message as PHP does."""
    return compact(message).replace("/", "\\/")


def plus_escaped(message: Mapping[str, Any]) -> str:
    """Encode a message as System.Text.Json does."""
    return compact(message).replace("+", "\\u002B")


def lower_case(message: Mapping[str, Any]) -> str:
    return compact(message).lower()


@dataclass
class AcmeServer:
    """A chat server, and its faults.

    Attributes:
        token: that clients must send; None accepts any.
        silent: kinds of messages without any effect.
        forbidden: first characters of the rooms that nobody may join.
        echoes: whether senders receive their own messages.
        copies: whether senders receive a message `own` with their text.
        times: how often each message is delivered.
        acknowledges: whether messages are acknowledged.
        closes_after: kind of a message after which the server closes the connection.
        write: encodes the messages.
        members: that a room must have before its messages are handled; joins that are not confirmed may be late.
    """

    token: str | None = None
    silent: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    echoes: bool = False
    copies: bool = False
    times: int = 1
    acknowledges: bool = False
    closes_after: str = ""
    write: Writer = compact
    members: int = 0
    rooms: dict[str, set[ServerConnection]] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def serve(self, connection: ServerConnection) -> None:
        try:
            for text in connection:
                message = json.loads(text)
                if message["op"] not in self.silent:
                    self._handle(connection, message)
                if message["op"] == self.closes_after:
                    connection.close(1008, "not allowed")
        except ConnectionClosed:
            pass
        except (ValueError, KeyError, TypeError):
            connection.close(1003, "not understood")
        finally:
            with self.changed:
                for members in self.rooms.values():
                    members.discard(connection)

    def _send(self, connection: ServerConnection, op: str, **fields: object) -> None:
        connection.send(self.write({"op": op, **fields}))

    def _handle(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        kind, room = message["op"], message.get("room", "")
        with self.changed:
            self.seen.append(f"{kind} {room}")
            if kind == "hello":
                if self.token in (None, message["token"]):
                    self._send(connection, "welcome", session={"token": "issued-by-the-server"})
                else:
                    self._send(connection, "error", about="hello", reason="bad token")
            elif kind == "join" and room.startswith(self.forbidden):
                self._send(connection, "error", about="join", reason="no permission")
            elif kind == "join":
                self.rooms.setdefault(room, set()).add(connection)
                self.changed.notify_all()
                self._send(connection, "presence", members=len(self.rooms[room]))
                self._send(connection, "joined", room=room)
            elif kind == "leave":
                self.rooms[room].discard(connection)
                self._send(connection, "left", room=room)
            elif kind == "say":
                self.changed.wait_for(lambda: len(self.rooms.get(room, ())) >= self.members, 60)
                self._deliver(connection, message)
            else:
                self._send(connection, "error", about=kind, reason=f"unknown op {kind}")

    def _deliver(self, sender: ServerConnection, message: dict[str, Any]) -> None:
        for member in list(self.rooms.get(message["room"], ())):
            if member is not sender or self.echoes:
                for _ in range(self.times):
                    self._send(member, "message", room=message["room"], text=message["text"])
        if self.copies:
            self._send(sender, "own", text=f"You wrote: {message['text']}")
        if self.acknowledges:
            self._send(sender, "ack")

    @contextmanager
    def running(self, certificate: Path | None = None) -> Iterator[str]:
        """Serve in a thread, with TLS if a certificate is given; yield the URL."""
        tls = None
        if certificate is not None:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(certificate)
        with serve(self.serve, "127.0.0.1", 0, ssl=tls) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"{'ws' if tls is None else 'wss'}://127.0.0.1:{server.socket.getsockname()[1]}"
            finally:
                server.shutdown()
                thread.join()
