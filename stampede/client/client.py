"""One client of the chat protocol: name, room, messages; works with any server of the protocol.

Of the answers only those without which nothing works are waited for: `roomJoined`, and `pong` where one is timed.
"""

from __future__ import annotations

import re
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any, Final

import msgspec
from gevent import sleep
from gevent.event import Event

from stampede.client.sender import Sender
from stampede.ledger import stamp
from stampede.measure import measures
from stampede.websocket.connect import connect
from stampede.websocket.target import ClientError, LostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.ledger.room import Membership, Room
    from stampede.measure.measures import Measures
    from stampede.websocket.connection import Connection
    from stampede.websocket.reactor import Reactor
    from stampede.websocket.target import Target

LONGEST_RETRY: Final = 120.0
"""Seconds that a server may ask its clients to stay away."""

_RETRY_MS: Final = re.compile(r"\bretry_ms=(\d{1,9})\b")

_NAME_FIXED: Final = "name_fixed"  # the name is the token's: as good as the one that was asked for

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode

_TYPE: Final = b'{"type":"typing"}'
_PING: Final = b'{"type":"ping","timestamp":%d}'
_SYNC: Final = 0
"""Timestamp of the pings of `ask_pong`; those that are timed count from 1."""

# What the server tells and nobody asked for: recognised by its first bytes, since joins alone are a flood.
_NOTICES: Final = tuple(
    b'{"type":"%b"' % name
    for name in (b"userJoined", b"userLeft", b"userTyping", b"roomPresence", b"fileShared", b"fileProgress")
)
_REQUEST_OF: Final = {
    "setUsername": measures.JOIN,
    "joinRoom": measures.JOIN,
    "typing": measures.TYPING,
    "ping": measures.PING,
    "fileStart": measures.UPLOAD,
    "fileChunk": measures.UPLOAD,
    "fileEnd": measures.UPLOAD,
}


class AnswerError(ClientError):
    """The server refused, or did not answer."""


class Identity:
    """Whose messages these are.

    Attributes:
        host: which machine the clock belongs to.
        origin: which process and test run.
    """

    __slots__ = ("host", "origin")

    def __init__(self, host: int, origin: int) -> None:
        self.host = host
        self.origin = origin


class ChatClient:
    """One connection that is, or will be, in one room.

    Args:
        measures: of this process.
        identity: of this process.
        on_lost: called once, in the hub, when the connection ends without our doing.
        padding: what a chat message says after its stamp.

    Attributes:
        membership: its membership in the ledger, while it is in a room or about to be.
        record: where deliveries are timed, on both clocks.
        on_delivery: called with the time of each delivery, if set.
        on_pong: called once with the time of the pong that `ask_pong` asked for.
        retry_after: seconds that the server asked to stay away when it ended the last connection, if it did.
        cut: whether the last connection was ended by `vanish`, which is no failure of the server.
        away: whether the user is out of its room on purpose, so that it is no failure if it cannot speak.
    """

    __slots__ = (
        "_answer",
        "_answered",
        "_awaited",
        "_connection",
        "_identity",
        "_measures",
        "_on_lost",
        "_ping",
        "_pinged",
        "_sender",
        "away",
        "cut",
        "membership",
        "on_delivery",
        "on_pong",
        "record",
        "retry_after",
    )

    def __init__(
        self, measures: Measures, identity: Identity, on_lost: Callable[[], None], padding: bytes = b""
    ) -> None:
        self._measures = measures
        self._identity = identity
        self._on_lost = on_lost
        self._sender = Sender(measures, identity, padding)
        self._connection: Connection | None = None
        self.membership: Membership | None = None
        self.record: Callable[[int, int], None] = measures.delivered
        self.on_delivery: Callable[[int], None] | None = None
        self.on_pong: Callable[[int], None] | None = None
        self.retry_after: float | None = None
        self.cut = self.away = False
        self._awaited: tuple[str, ...] = ()
        self._answer: dict[str, Any] | None = None
        self._answered: Event | None = None
        self._ping = 0
        self._pinged = 0  # when the ping was due that has no answer yet

    # --- life ---

    def connect(self, reactor: Reactor, target: Target, timeout: float, token: str | None = None) -> None:
        """Open the connection, with a token if the server wants one.

        Raises:
            ConnectError: it failed.
        """
        self._connection = connect(reactor, target, self, timeout=timeout, token=token)
        self.retry_after = None
        self.cut = False

    def join(self, name: str, room_name: str, room: Room, timeout: float) -> None:
        """Take a name and enter a room, in one write: a server handles one client's messages in their order.

        Raises:
            AnswerError: the server refused, or did not answer within `timeout` seconds.
            LostError: the connection ended meanwhile.
        """
        self.membership = room.enter()
        self.expect(("roomJoined", "error"))
        self.send(_encode({"type": "setUsername", "username": name}))
        self.send(_encode({"type": "joinRoom", "room": room_name}))
        answer = self.answer(timeout)
        if answer is None:
            raise AnswerError("no roomJoined")
        if answer["type"] == "error":
            raise AnswerError(label_of(answer))
        self.away = False

    @property
    def is_ready(self) -> bool:
        """Whether the client is in its room."""
        return self.membership is not None and self.membership.joined

    def leave(self, grace: float, timeout: float) -> int:
        """Hear out what was sent before now (`grace` seconds at most, if any), then leave and say goodbye.

        Returns how many messages were on their way and are no longer owed.
        """
        connection, membership = self._connection, self.membership
        if connection is None:
            return 0
        mark = None
        if grace and membership is not None and membership.joined:
            mark = membership.room.mark()
            deadline = monotonic() + grace
            while not membership.arrived(mark) and connection.is_open and monotonic() < deadline:
                sleep(0.01)
            if not connection.is_open:
                mark = None
        closed_cleanly = connection.close(timeout)
        return self._end(waited_for=mark, closed_cleanly=closed_cleanly)

    def vanish(self) -> int:
        """Drop the connection like a cut line; return how many messages were on their way."""
        self.cut = True
        if self._connection is not None:
            self._connection.reset()
        on_its_way = self._end(closed_cleanly=False)
        if self._answered is not None:
            self._answered.set()
        return on_its_way

    def _end(self, *, waited_for: list[int] | None = None, closed_cleanly: bool) -> int:
        membership, self.membership, self._connection = self.membership, None, None
        self._pinged = 0
        self.on_pong = None
        before = self._measures.deliveries.churned
        if membership is not None:
            membership.leave(waited_for=waited_for, closed_cleanly=closed_cleanly)
        return self._measures.deliveries.churned - before

    def lost(self, error: LostError) -> None:
        """Learn that the connection ended without our doing; called by the connection."""
        self._measures.requests[measures.CONNECT].failed(error.label)
        asked = _RETRY_MS.search(error.reason)
        self.retry_after = min(int(asked[1]) / 1000, LONGEST_RETRY) if asked else None
        if self._pinged:
            self._measures.requests[measures.PING].failed("connection lost")
        self._end(closed_cleanly=False)
        if self._answered is not None:
            self._answered.set()
        self._on_lost()

    # --- sending ---

    def send(self, payload: bytes) -> bool:
        """Send a text message; return False when it does not fit into the buffer, or there is no connection."""
        return self._connection is not None and self._connection.send_text(payload)

    def send_binary(self, payload: bytes, timeout: float) -> bool:
        """Send a binary message and wait until the kernel has taken it; return False when it has not in time."""
        if self._connection is None:
            return False
        self._connection.send_binary(payload)
        return self._connection.drained(timeout)

    def say(self, intended: int) -> None:
        """Send a stamped chat message that was due at `intended`, or as soon as it can be sent."""
        self._sender.say(self._connection, self.membership, intended, away=self.away)

    def relieved(self) -> None:
        """Send what was held back, if it can be sent now."""
        if self._connection is not None and self.membership is not None and self.membership.joined:
            self._sender.catch_up(self._connection, self.membership)

    def give_up(self, why: str | None = None) -> None:
        """Say no more of what is held back; without a reason that is no failure."""
        self._sender.give_up(why)

    @property
    def holds_back(self) -> bool:
        """Whether something is held back that may still be sent."""
        return self._sender.waits and self.is_ready

    def type(self, intended: int) -> None:
        """Tell the room that somebody writes, now or never: kept back it would be stale."""
        request, connection = self._measures.requests[measures.TYPING], self._connection
        if connection is not None and self.is_ready and not connection.congested and connection.send_text(_TYPE):
            request.done(monotonic_ns() - intended)
        elif not self.away:
            request.failed("dropped: held back" if self.is_ready else "dropped: not in a room")

    def ping(self, intended: int) -> None:
        """Ask for a `pong` and time it from `intended`; one that has not come by the next ping is a failure."""
        request = self._measures.requests[measures.PING]
        if self._pinged:
            request.failed("no pong")
        self._ping += 1
        self._pinged = intended if self.send(_PING % self._ping) else 0
        if not self._pinged and not self.away:
            request.failed("dropped: held back" if self._connection is not None else "dropped: not connected")

    def ask_pong(self, on_pong: Callable[[int], None]) -> None:
        """Ask for a `pong` that is not timed, and call `on_pong` when it comes over this connection."""
        self.on_pong = on_pong
        self.send(_PING % _SYNC)

    # --- receiving ---

    def take(self, payload: bytes, now: int) -> None:
        """Take one message; called by the connection in the hub."""
        fields = stamp.from_payload(payload)
        if fields is not None:
            self._deliver(fields, now)
        elif not payload.startswith(_NOTICES):
            self._take_decoded(payload, now)

    def _deliver(self, fields: tuple[int, int, int, int, int, int, int], now: int) -> None:
        """Enter one delivery, by the fields of its stamp."""
        intended, sent, _, origin, room, slot, seq = fields
        membership = self.membership
        if membership is None:
            return
        if origin != self._identity.origin:
            self._measures.deliveries.foreign_clock += 1
        elif room != membership.room.number:
            self._measures.deliveries.duplicated += 1
        elif membership.receive(slot, seq):
            self.record(now - intended, now - sent)
            if self.on_delivery is not None:
                self.on_delivery(now)

    def _take_decoded(self, payload: bytes, now: int) -> None:
        try:
            message = _decode(payload)
            kind = message["type"]
        except (msgspec.DecodeError, TypeError, KeyError):
            self._measures.requests[measures.CONNECT].failed("not a chat server: no JSON object with a type")
            return
        if kind == "chatMessage":
            text = message.get("text")
            found = stamp.from_text(text) if isinstance(text, str) else None
            if found is not None:
                self._deliver(found, now)
        elif kind == "pong":
            self._take_pong(message, now)
        elif kind == "roomJoined" and self.membership is not None:
            self.membership.confirm_join()
            self.relieved()
        if kind == "error" and message.get("code") == _NAME_FIXED:
            return
        if kind in self._awaited:
            self._answer, self._awaited = message, ()
            if self._answered is not None:
                self._answered.set()
        elif kind == "error":
            about = _REQUEST_OF.get(str(message.get("about")), measures.SEND)
            self._measures.requests[about].failed(label_of(message))

    def _take_pong(self, message: dict[str, Any], now: int) -> None:
        if self._pinged and message.get("timestamp") == self._ping:
            self._measures.requests[measures.PING].done(now - self._pinged)
            self._pinged = 0
        elif self.on_pong is not None and message.get("timestamp") == _SYNC:
            on_pong, self.on_pong = self.on_pong, None
            on_pong(now)

    def expect(self, kinds: tuple[str, ...]) -> None:
        """Keep the first message of one of some types that comes from now on, for `answer`."""
        self._awaited = kinds
        self._answer = None

    def answer(self, timeout: float) -> dict[str, Any] | None:
        """Return what was expected, waiting for it `timeout` seconds at most; None if it did not come.

        Raises:
            LostError: the connection ended meanwhile.
        """
        if self._answer is None and self._connection is not None:
            self._answered = Event()
            try:
                self._answered.wait(timeout)
            finally:
                self._answered = None
        answer, self._answer, self._awaited = self._answer, None, ()
        if answer is None and self._connection is None:
            raise LostError(1006)
        return answer


def label_of(error: dict[str, Any]) -> str:
    """Return the few words under which an `error` message is counted."""
    code = error.get("code")
    return f"error: {code}" if isinstance(code, str) else f"error: {str(error.get('message'))[:100]}"
