"""The packets of Socket.IO on one connection; pure.

A frame is a packet of Engine.IO, and begins with its type as a digit: 0 open, 1 close, 2 ping, 3 pong, 4 message, 6
nothing. A message is a packet of Socket.IO: a digit again (0 connect, 1 disconnect, 2 event, 3 acknowledgement, 4
connect error, 5 and 6 with binary attachments), the namespace and a comma unless it is `/`, the number of the
acknowledgement if there is one, and JSON.

    server  0{"sid":"..","pingInterval":25000,..}    open
    client  40{"token":".."}                         connect to the namespace
    server  40{"sid":".."}                           connected; or 44{"message":".."}
    client  421["join","red"]                        an event with a number
    server  431[{"joined":"red"}]                    its acknowledgement
    server  42["message",{..}]                       an event without a number
    server  2                                        ping, which the client answers by 3
    client  41                                       disconnect
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stampede.dialects.base import Conversation
from stampede.dialects.events import Answer, Closed, Delivery, Event, Joined, Opened, Refused
from stampede.dialects.outgoing import Outgoing
from stampede.dialects.requests import Requests, error_in, text_of
from stampede.ledger import stamp
from stampede.measure import request_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stampede.dialects.socketio import SocketIoDialect

_OPEN, _CLOSE, _PING, _PONG, _NOOP = b"0", b"1", b"2", b"3", b"6"
_CONNECT, _DISCONNECT, _EVENT, _ACK, _CONNECT_ERROR = b"0", b"1", b"2", b"3", b"4"
_PACKET: Final = re.compile(rb"4([0-6])(?:(\d{1,9})-)?(?:(/[^,]*),?)?(\d{1,18})?(.*)", re.DOTALL)
_NOT_SOCKET_IO: Final = "not a Socket.IO server: expected a packet of Engine.IO 4"
_OLD: Final = "a server of Socket.IO 2: versions 3 and 4 are supported"

_decode: Final = msgspec.json.Decoder().decode


class SocketIoConversation(Conversation):
    """The state of Socket.IO on one connection."""

    __slots__ = ("_attachments", "_connected", "_dialect", "_opened", "_outgoing", "_requests", "_rooms", "_values")

    def __init__(self, dialect: SocketIoDialect, values: Mapping[str, str]) -> None:
        self._dialect = dialect
        self._values = values
        self._outgoing = Outgoing(dialect.outgoing, values)
        self._requests = Requests()
        self._rooms: dict[str, str] = {}  # by their namespace, if each room is one
        self._attachments = 0  # binary frames that belong to the last packet
        self._opened = False  # whether the open packet has come
        self._connected = False  # whether the client may join rooms

    @property
    def awaited(self) -> str:
        """What the client waits for until the conversation is open."""
        if not self._opened:
            return "the open packet of Engine.IO (0); is this a Socket.IO server?"
        return f"the answer to the connection to namespace {self._namespace('')} (40 or 44)"

    # --- messages to send ---

    def join(self, room: str) -> Sequence[bytes]:
        """Return the event that joins a room, or the packet that connects to its namespace."""
        dialect = self._dialect
        if dialect.rooms_are_namespaces:
            self._rooms[self._namespace(room)] = room
            return (self._connect(room),)
        if not dialect.options.events.join:
            return ()
        return (self._event("join", room, self._requests.join(room) if dialect.acknowledges_joins else None),)

    def leave(self, room: str) -> Sequence[bytes]:
        """Return the event that leaves a room, or the packet that disconnects from its namespace."""
        dialect = self._dialect
        if dialect.rooms_are_namespaces:
            self._rooms.pop(self._namespace(room), None)
            return (self._packet(_DISCONNECT, room),)
        if not dialect.options.events.leave:
            return ()
        return (self._event("leave", room, self._requests.leave(room) if dialect.acknowledges_leaves else None),)

    def say(self, room: str, text: str) -> bytes:
        """Return the event of a chat message, without a number."""
        return self._event("say", room, None, self._dialect.escape(text))

    def say_stamped(self, room: str, prefix: bytes, text: bytes) -> bytes:
        """Return the event of a chat message, with a number if the server confirms it."""
        number = self._requests.say() if self._dialect.acknowledges_messages else None
        return self._event("say", room, number, stamp.for_any_server(prefix) + text)

    def typing(self, room: str) -> bytes:
        """Return the event of a typing notice."""
        return self._event("typing", room, None)

    def close(self) -> Sequence[bytes]:
        """Return the packets that disconnect from the namespaces."""
        if self._dialect.rooms_are_namespaces:
            return [self._packet(_DISCONNECT, room) for room in self._rooms.values()]
        return (self._packet(_DISCONNECT, ""),)

    def _event(self, kind: str, room: str, number: int | None, text: bytes = b"") -> bytes:
        return self._packet(_EVENT, room, number) + self._outgoing.message(kind, room, text)

    def _connect(self, room: str) -> bytes:
        auth = self._dialect.auth
        filled = "" if auth is None else auth.fill({**self._values, "room": room})
        return self._packet(_CONNECT, room) + filled.encode()

    def _packet(self, kind: bytes, room: str, number: int | None = None) -> bytes:
        """Return a packet without its JSON."""
        namespace = self._namespace(room)
        place = b"" if namespace == "/" else b"%b," % namespace.encode()
        return b"4%b%b%b" % (kind, place, b"" if number is None else b"%d" % number)

    def _namespace(self, room: str) -> str:
        namespace = self._dialect.namespace
        return namespace.fill({**self._values, "room": room}) if namespace.names else self._dialect.options.namespace

    # --- received messages ---

    def receive(self, payload: bytes) -> Sequence[Event]:
        """Return what a packet means.

        Raises:
            ValueError: it is no packet of Engine.IO.
        """
        if self._attachments:
            self._attachments -= 1
            return ()
        if payload == _PING:
            return (Answer(_PONG),)
        packet = _PACKET.fullmatch(payload)
        if packet is not None:
            return self._receive_packet(packet)
        if payload.startswith(_OPEN):
            return self._receive_open()
        if payload == _CLOSE:
            return (Closed("closed by the server (Engine.IO)"),)
        return () if payload == _NOOP else self._malformed()

    def _receive_open(self) -> Sequence[Event]:
        self._opened = True
        if self._dialect.rooms_are_namespaces:
            self._connected = True
            return (Opened(),)
        return (Answer(self._connect("")),)

    def _receive_packet(self, packet: re.Match[bytes]) -> Sequence[Event]:
        kind, attachments, namespace, number, data = packet.groups()
        try:
            value = _decode(data) if data else None
        except msgspec.DecodeError:
            return self._malformed()
        self._attachments = int(attachments or 0)
        room = self._rooms.get(namespace.decode(errors="replace") if namespace else "/")
        if kind == _CONNECT:
            return (self._connected_to(room, value),)
        if kind == _CONNECT_ERROR:
            label = f"error: {text_of(value)}"
            return (Refused(label, request_names.CONNECT if room is None else request_names.JOIN, room=room),)
        if kind == _DISCONNECT:
            return (Closed("disconnected by the server (Socket.IO)"),)
        if not isinstance(value, list):
            return self._malformed()
        if kind == _ACK:
            message = {"type": "acknowledgement", "arguments": value}
            return (self._requests.confirm(int(number or 0), message, error_in(value[0]) if value else None),)
        return self._receive_event(packet, value)

    def _connected_to(self, room: str | None, value: object) -> Event:
        if room is not None:
            return Joined(room)
        if value is None:  # the protocol of version 2 has no session ID here
            return Refused(_OLD, request_names.CONNECT)
        self._connected = True
        return Opened()

    def _receive_event(self, packet: re.Match[bytes], value: list[Any]) -> Sequence[Event]:
        if not value or not isinstance(value[0], str):
            return self._malformed()
        name, *arguments = value
        message = {"type": name, "arguments": arguments}
        fields = stamp.search(packet[0]) if name == self._dialect.receive_event else None
        event = Event(message=message)
        if fields is not None:
            event = Delivery(fields, message=message)
        elif name == self._dialect.options.events.error:
            event = Refused(f"error: {text_of(arguments[0] if arguments else None)}", message=message)
        if packet[4] is None:
            return (event,)
        place = b"" if packet[3] is None else b"%b," % packet[3]
        return (Answer(b"4%b%b%b[]" % (_ACK, place, packet[4])), event)

    def _malformed(self) -> Sequence[Event]:
        """Report a frame that is no packet: during the opening, the server refuses; later, it is an error."""
        if self._connected:
            raise ValueError(_NOT_SOCKET_IO)
        return (Refused(_NOT_SOCKET_IO, request_names.CONNECT),)
